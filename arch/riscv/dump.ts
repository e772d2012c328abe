/** Dumps of riscv64 machines. */
import type { DumpConvention, KernelNotes, PageTableShape, RegisterValues } from '../dump.js';
import { KERNEL_LINK_ADDRESS } from './layout.js';
import { translate } from './paging.js';
import { GENERAL_REGISTERS } from './registers.js';

/** QEMU's virt machine begins in Sv57, most boards have Sv39. */
const SHAPES: readonly PageTableShape[] = [57, 48, 39].map((addressBits) => ({ pageShift: 12, addressBits }));
/** satp.MODE. */
const MODES: ReadonlyMap<bigint, number> = new Map([
  [8n, 39],
  [9n, 48],
  [10n, 57],
]);
const ROOT_FRAME = (1n << 44n) - 1n;

/** How QEMU prints them: ` x10/a0   ffffffff80a00000`. */
const GENERAL = /\bx\d{1,2}\/(\w+) +([0-9a-f]{16})\b/g;

/** user_regs_struct of arch/riscv/include/uapi/asm/ptrace.h begins so. */
const NOTE_REGISTERS = ['pc', ...GENERAL_REGISTERS];

export const riscv64Dump: DumpConvention = {
  utsMachine: /^riscv64$/,
  translate,
  fromRegisters(registers: RegisterValues) {
    const satp = registers.get('satp');
    const addressBits = satp === undefined ? undefined : MODES.get(satp >> 60n);
    if (satp === undefined || addressBits === undefined) return [];
    return [{ root: (satp & ROOT_FRAME) << 12n, pageShift: 12, addressBits }];
  },
  rootSymbols: ['swapper_pg_dir'],
  shapes: SHAPES,
  shapeFromNotes(notes: KernelNotes): PageTableShape | null {
    const bits = Number(notes.number('VA_BITS') ?? Number.NaN);
    return SHAPES.find(({ addressBits }) => addressBits === bits) ?? null;
  },
  imageOffsetFromNotes: (notes: KernelNotes) => notes.number('va_kernel_pa_offset') ?? null,
  // KASLR stays within a gigabyte: 84fe419dc757 "riscv: Introduce virtual kernel mapping KASLR" (6.6).
  placement: { kind: 'slots', start: KERNEL_LINK_ADDRESS, end: KERNEL_LINK_ADDRESS + (1n << 30n), step: 2n << 20n },
  prstatus: { size: 376, offset: 112, width: 8, registers: NOTE_REGISTERS },
  trapFrame: { member: 'epc', preserved: Array.from({ length: 12 }, (_, index) => `s${index}`) },
  notes: [],
  text: [
    { pattern: GENERAL, name: (name) => (name === 'zero' ? null : name) },
    { pattern: /\b(pc|satp|sscratch) +([0-9a-f]{16})\b/g, name: (name) => name },
  ],
  /** While user code runs `tp` is its own, and the task waits in sscratch, which is 0 in the kernel (arch/riscv/kernel/entry.S). */
  currentBase: (registers: RegisterValues) => registers.get('sscratch') || (registers.get('tp') ?? null),
};
