/** Dumps of 32-bit arm machines. Their registers lead to no page tables: QEMU leaves the system registers out. */
import type { Kernel } from '../../src/kernel/kernel.js';
import type { DumpConvention, KernelNotes, PageTableShape } from '../dump.js';
import { LPAE, translate } from './paging.js';

const SHORT: PageTableShape = { pageShift: 12, addressBits: 32 };
const LONG: PageTableShape = { ...SHORT, format: LPAE };
/** PG_DIR_SIZE: swapper_pg_dir lies that far below the image (arch/arm/kernel/head.S). */
const DIRECTORY_SIZES = [0x4000n, 0x5000n];
/** CONFIG_VMSPLIT_*: PAGE_OFFSET is a multiple of this. */
const SPLIT = 0x1000_0000n;

const names = (register: string): string => ({ r13: 'sp', r14: 'lr', r15: 'pc' })[register] ?? register;

export const armDump: DumpConvention = {
  translate,
  fromRegisters: () => [],
  rootSymbols: ['swapper_pg_dir'],
  rootAddresses({ segments, symbols }: Kernel) {
    const start = symbols.address('_text') ?? segments[0]?.address ?? 0n;
    return DIRECTORY_SIZES.map((size) => start - size);
  },
  shapes: [SHORT, LONG],
  // VMCOREINFO_CONFIG(ARM_LPAE) (arch/arm/kernel/machine_kexec.c)
  shapeFromNotes: (notes: KernelNotes) => (notes.text('CONFIG_ARM_LPAE') === 'y' ? LONG : SHORT),
  /** Lowmem begins with the first memory that there is. */
  imageOffsetFromNotes(notes: KernelNotes, lowestMemory: bigint) {
    const text = notes.symbol('_stext');
    return text === undefined ? null : text - (text % SPLIT) - lowestMemory;
  },
  placement: { kind: 'linked' },
  prstatus: {
    size: 148,
    offset: 72,
    width: 4,
    registers: [...Array.from({ length: 16 }, (_, index) => names(`r${index}`)), 'cpsr'],
  },
  notes: [],
  text: [
    { pattern: /\bR([0-9]{2})=([0-9a-f]{8})\b/g, name: (printed) => names(`r${Number(printed)}`) },
    { pattern: /\b(PSR)=([0-9a-f]{8})\b/g, name: () => 'cpsr' },
  ],
  /** QEMU's notes and its register text leave TPIDRURO out. */
  currentBase: (registers) => registers.get('c13_c0_3') ?? null,
};
