/** Dumps of ia64 machines, as kdump wrote them. None was to be had: they are read as the kernel's sources say. */
import type { Kernel } from '../../src/kernel/kernel.js';
import type { DumpConvention, KernelNotes, PageTableShape, RegisterValues } from '../dump.js';
import { configuredPageShift, KERNEL_START, layoutWith } from './layout.js';
import { translate } from './paging.js';

/** PTRS_PER_PTD_SHIFT for each level, and the page. */
const shapeOf = (pageShift: number, levels: number): PageTableShape => ({
  pageShift,
  addressBits: pageShift + levels * (pageShift - 3),
});

/** Distributions had 16 KiB and three levels. Pages of 64 KiB never have four (Kconfig). */
const SHAPES: readonly PageTableShape[] = [
  ...[14, 16, 13, 12].map((pageShift) => shapeOf(pageShift, 3)),
  ...[14, 13, 12].map((pageShift) => shapeOf(pageShift, 4)),
];

/** arch_crash_save_vmcoreinfo() (arch/ia64/kernel/machine_kexec.c) tells the levels, the generic part the page. */
function shapeFromNotes(notes: KernelNotes): PageTableShape | null {
  const levels = notes.text('CONFIG_PGTABLE_3') === 'y' ? 3 : notes.text('CONFIG_PGTABLE_4') === 'y' ? 4 : null;
  const pageShift = Math.log2(Number(notes.text('PAGESIZE')));
  return levels === null || !SHAPES.some((shape) => shape.pageShift === pageShift) ? null : shapeOf(pageShift, levels);
}

function shapeFromImage(image: Kernel): PageTableShape | null {
  const pageShift = configuredPageShift(image);
  if (pageShift === null) return null;
  // CONFIG_PGTABLE_LEVELS since 4.1, a choice of two before.
  const four = image.config?.get('PGTABLE_LEVELS') === '4' || image.config?.enabled('PGTABLE_4');
  return shapeOf(pageShift, four ? 4 : 3);
}

const named = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

/** elf_gregset_t (arch/ia64/include/asm/elf.h): 128 slots, of which these are used. */
const NOTE_REGISTERS = [
  ...named('r', 32),
  null,
  'pr',
  ...named('b', 8),
  ...['ip', 'cfm', 'psr', 'rsc', 'bsp', 'bsps', 'rnat', 'ccv', 'unat', 'fpsr', 'pfs', 'lc', 'ec', 'csd', 'ssd'],
];

export const ia64Dump: DumpConvention = {
  utsMachine: /^ia64$/,
  translate,
  // The tables of region 5 are in no register.
  fromRegisters: () => [],
  rootSymbols: ['swapper_pg_dir'],
  shapes: SHAPES,
  shapeFromNotes,
  // ia64 writes no phys_base.
  imageOffsetFromNotes: () => null,
  placement: { kind: 'linked' },
  // KERNEL_TR_PAGE_SIZE
  pinnedImage: { virtual: KERNEL_START, size: 64n << 20n, shapeFromImage },
  // pr_fpvalid and its padding follow the registers.
  prstatus: { size: 112 + 128 * 8 + 8, offset: 112, width: 8, registers: NOTE_REGISTERS },
  notes: [],
  // QEMU has no ia64.
  text: [],
  currentBase: (registers: RegisterValues) => registers.get('r13') ?? null,
  runningLayout: (kernel, { pageShift }) => layoutWith(kernel, pageShift),
};
