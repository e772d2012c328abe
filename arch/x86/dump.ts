/** Dumps of x86_64 machines: QEMU's and the kernel's own notes, `info registers`, where KASLR may put the image. */

import type { Words } from '../../src/kernel/words.js';
import type {
  DumpConvention,
  KernelNotes,
  PageTables,
  RegisterNote,
  RegisterPattern,
  RegisterValues,
} from '../dump.js';
import { translate } from './paging.js';

const KERNEL_MAP = 0xffff_ffff_8000_0000n;
const KERNEL_HALF = 1n << 63n;
const CR4_LA57 = 1n << 12n;

/**
 * CR3's table first. Page-table isolation gives user space a table one page above the kernel's own
 * (arch/x86/mm/pti.c); a CPU stopped in user mode points there.
 */
function fromRegisters(registers: RegisterValues): readonly PageTables[] {
  const cr3 = registers.get('cr3');
  if (cr3 === undefined) return [];
  const cr4 = registers.get('cr4');
  const addressBits = cr4 !== undefined && (cr4 & CR4_LA57) !== 0n ? 57 : 48;
  const root = cr3 & 0x000f_ffff_ffff_f000n;
  const roots = (root & 4096n) === 0n ? [root] : [root, root & ~4096n];
  return roots.map((table) => ({ root: table, pageShift: 12, addressBits }));
}

/** Order of `QEMUCPUState` in QEMU's target/i386/arch_dump.c: 18 registers, 10 segments, cr0 to cr4, kernel_gs_base. */
const QEMU_REGISTERS = 'rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags'.split(' ');
const QEMU_SEGMENTS = 'cs ds es fs gs ss ldt tr gdt idt'.split(' ');
const QEMU_SEGMENT_SIZE = 24;

function* qemuState(data: Words): Iterable<readonly [string, bigint]> {
  let offset = 8;
  const word = (at: number): bigint | undefined => (at + 8 <= data.length ? data.uint64(at) : undefined);
  for (const name of QEMU_REGISTERS) {
    const value = word(offset);
    if (value !== undefined) yield [name, value];
    offset += 8;
  }
  for (const name of QEMU_SEGMENTS) {
    const base = word(offset + 16);
    if (base !== undefined && (name === 'fs' || name === 'gs')) yield [`${name}_base`, base];
    offset += QEMU_SEGMENT_SIZE;
  }
  for (const name of ['cr0', 'cr1', 'cr2', 'cr3', 'cr4', 'kernel_gs_base']) {
    const value = word(offset);
    if (value !== undefined && name !== 'cr1') yield [name, value];
    offset += 8;
  }
}

/** QEMU writes the same state whatever mode the CPU is in; `nameOf` turns its 64-bit names into the variant's. */
export function qemuNote(nameOf: (name: string) => string = (name) => name): RegisterNote {
  return {
    owner: 'QEMU',
    type: 0,
    *parse(data) {
      for (const [name, value] of qemuState(data)) yield [nameOf(name), value];
    },
  };
}

export const segmentBases: RegisterPattern = {
  pattern: /\b([FG]S) *=[0-9a-f]{4} ([0-9a-f]{8,16}) /g,
  name: (name) => `${name.toLowerCase()}_base`,
};

export const x86_64Dump: DumpConvention = {
  translate,
  fromRegisters,
  // swapper_pg_dir is a macro for init_top_pgt in 5.10 and later.
  rootSymbols: ['init_top_pgt', 'init_level4_pgt', 'swapper_pg_dir'],
  shapes: [
    { pageShift: 12, addressBits: 48 },
    { pageShift: 12, addressBits: 57 },
  ],
  shapeFromNotes: (notes: KernelNotes) => ({
    pageShift: 12,
    addressBits: notes.number('pgtable_l5_enabled') === 1n ? 57 : 48,
  }),
  imageOffsetFromNotes(notes: KernelNotes): bigint | null {
    const base = notes.number('phys_base');
    return base === undefined ? null : BigInt.asUintN(64, KERNEL_MAP - base);
  },
  // CONFIG_PHYSICAL_ALIGN is at least 2 MiB on x86_64; RANDOMIZE_BASE stays within 1 GiB.
  placement: { kind: 'slots', start: KERNEL_MAP, end: KERNEL_MAP + (1n << 30n), step: 1n << 21n },
  prstatus: {
    size: 336,
    offset: 112,
    width: 8,
    registers: [
      ...'r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi'.split(' '),
      null,
      ...'rip cs eflags rsp ss fs_base gs_base ds es fs gs'.split(' '),
    ],
  },
  // System V ABI of x86_64, 3.2.1.
  trapFrame: { member: 'r15', preserved: ['rbx', 'rbp', 'r12', 'r13', 'r14', 'r15'] },
  notes: [qemuNote()],
  text: [
    {
      pattern: /\b(R[A-Z0-9]{1,2}|RFL) *=([0-9a-f]{8,16})\b/g,
      name: (name) => (name === 'RFL' ? 'eflags' : name.toLowerCase()),
    },
    { pattern: /\b(CR[0-4])=([0-9a-f]{8,16})\b/g, name: (name) => name.toLowerCase() },
    segmentBases,
  ],
  /** Stopped in user mode, the per-cpu base waits in MSR_KERNEL_GS_BASE for `swapgs`. */
  currentBase(registers: RegisterValues): bigint | null {
    const candidates = [registers.get('gs_base'), registers.get('kernel_gs_base')];
    return candidates.find((base) => base !== undefined && base >= KERNEL_HALF) ?? null;
  },
};
