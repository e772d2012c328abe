/**
 * Dumps of s390x machines. Up to 6.9 the kernel's addresses are real ones; since c98d2ecae08f "s390/mm: Uncouple physical vs virtual address
 * spaces" (6.10) the image is mapped apart from memory. Per-CPU data begins at the prefix.
 */

import type { Words } from '../../src/kernel/words.js';
import type { DumpConvention, KernelNotes, PageTables, RegisterValues } from '../dump.js';
import { translate } from './paging.js';

const NT_S390_CTRS = 0x304;
const NT_S390_PREFIX = 0x305;
/** The prefix area, of two pages. */
const PREFIX_SIZE = 8192n;
const REAL_SPACE = 0x20n;

/** An address-space-control element: origin, and in bits 60 and 61 which table it is. */
function tablesOf(element: bigint): PageTables {
  return { root: element & ~0xfffn, pageShift: 12, addressBits: 31 + 11 * Number((element >> 2n) & 3n) };
}

function* controlRegisters(data: Words): Iterable<readonly [string, bigint]> {
  for (let index = 0; index < 16 && index * 8 + 8 <= data.length; index++) {
    yield [`cr${index}`, data.uint64(index * 8)];
  }
}

const withoutZero = (name: string): string => name.replace(/^([rc])0/, '$1');

export const s390xDump: DumpConvention = {
  translate,
  /** Primary space, which is the kernel's while it runs, then home space. */
  fromRegisters(registers: RegisterValues) {
    return ['cr1', 'cr13']
      .map((name) => registers.get(name))
      .filter((element): element is bigint => element !== undefined && (element & REAL_SPACE) === 0n)
      .map(tablesOf);
  },
  rootSymbols: ['swapper_pg_dir'],
  shapes: [
    { pageShift: 12, addressBits: 42 },
    { pageShift: 12, addressBits: 53 },
  ],
  shapeFromNotes: () => null,
  // Both are hexadecimal; kernels without the second one are where they run.
  imageOffsetFromNotes(notes: KernelNotes) {
    const [moved, placed] = ['KERNELOFFSET', 'KERNELOFFPHYS'].map((key) => notes.text(key));
    const isTold = [moved, placed].every((value) => /^[0-9a-f]{1,16}$/i.test(value ?? ''));
    return isTold ? BigInt.asUintN(64, BigInt(`0x${moved}`) - BigInt(`0x${placed}`)) : 0n;
  },
  placement: { kind: 'moved', symbol: 'vm_layout' },
  prstatus: {
    size: 336,
    offset: 112,
    width: 8,
    registers: ['pswm', 'pc', ...Array.from({ length: 16 }, (_, index) => `r${index}`)],
  },
  // ELF ABI s390x Supplement, 1.2.1; r15 is the stack pointer.
  trapFrame: { member: 'psw', preserved: Array.from({ length: 8 }, (_, index) => `r${6 + index}`) },
  notes: [
    { owner: 'LINUX', type: NT_S390_CTRS, parse: controlRegisters },
    {
      owner: 'LINUX',
      type: NT_S390_PREFIX,
      parse: (data) => (data.length >= 4 ? [['prefix', BigInt(data.uint32(0))]] : []),
    },
  ],
  text: [
    { pattern: /\bPSW=(mask) ([0-9a-f]{16})\b/g, name: () => 'pswm' },
    { pattern: /\b(addr) ([0-9a-f]{16})\b/g, name: () => 'pc' },
    { pattern: /\b(R[0-9]{2})=([0-9a-f]{16})\b/g, name: (name) => withoutZero(name.toLowerCase()) },
    { pattern: /\bC([0-9]{2})=([0-9a-f]{16})\b/g, name: (name) => `cr${Number(name)}` },
  ],
  /** The lowcore is at address 0. */
  currentBase: () => null,
  prefix(registers: RegisterValues) {
    const address = registers.get('prefix');
    return address === undefined || address === 0n ? null : { address, size: PREFIX_SIZE };
  },
};
