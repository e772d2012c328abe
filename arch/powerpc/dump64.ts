/**
 * Dumps of 64-bit Book3S machines. QEMU's files are in the byte order in which the CPU takes interrupts from firmware:
 * big endian of most little-endian guests.
 */
import type { Kernel } from '../../src/kernel/kernel.js';
import { Words } from '../../src/kernel/words.js';
import { readWord } from '../common.js';
import type { LinearMap } from '../driver.js';
import type { DumpConvention, PageTableShape, PageTables, RegisterValues } from '../dump.js';
import { HASH, RADIX, translate } from './paging64.js';

const PAGE_OFFSET = 0xc000_0000_0000_0000n;

/** A hash kernel's linear map needs no table: those shapes fit any memory and come last. */
const SHAPES: readonly PageTableShape[] = [
  { pageShift: 16, addressBits: 52, format: RADIX },
  { pageShift: 16, addressBits: 52, format: HASH },
  { pageShift: 12, addressBits: 46, format: HASH },
];

const general = Array.from({ length: 32 }, (_, index) => `${index}`);

/** More pieces of vmemmap than a machine has memory for; a longer list is corrupt. */
const MAXIMUM_PIECES = 1 << 16;
const LARGE_PIECE = 1n << 24n;
const SMALL_PIECE = 1n << 16n;

/**
 * With the hash MMU vmemmap is in no table of Linux's, but in a list: struct vmemmap_backing { next, phys, virt_addr }
 * (arch/powerpc/mm/init_64.c). Its pages are as large as those of the linear map, 16 MiB, where all of them fit that.
 */
function hashVmemmap(kernel: Kernel, tables: PageTables): readonly LinearMap[] {
  if (tables.format !== HASH) return [];
  const pieces: { virtual: bigint; physical: bigint }[] = [];
  let next = readWord(kernel, 'vmemmap_list', 8) ?? 0n;
  while (next !== 0n && pieces.length < MAXIMUM_PIECES) {
    const bytes = kernel.read(next, 24);
    if (!bytes) break;
    const words = new Words(bytes, kernel);
    pieces.push({ physical: words.uint64(8), virtual: words.uint64(16) });
    next = words.uint64(0);
  }
  const fits = pieces.every(({ virtual, physical }) => ((virtual | physical) & (LARGE_PIECE - 1n)) === 0n);
  return pieces.map((piece) => ({ ...piece, size: fits ? LARGE_PIECE : SMALL_PIECE }));
}

export const ppc64Dump: DumpConvention = {
  translate,
  // On a guest of a hypervisor the tables are registered with it, not in a register.
  fromRegisters: () => [],
  rootSymbols: ['swapper_pg_dir'],
  shapes: SHAPES,
  shapeFromNotes: () => null,
  imageOffsetFromNotes: () => PAGE_OFFSET,
  placement: { kind: 'offset', offset: () => PAGE_OFFSET },
  prstatus: {
    size: 504,
    offset: 112,
    width: 8,
    registers: [...general, 'pc', 'msr', null, 'ctr', 'lr', 'xer', 'cr'],
  },
  // 64-bit ELF V2 ABI, 2.2.1.1.
  trapFrame: { member: 'gpr', preserved: general.slice(14) },
  notes: [],
  hiddenMappings: hashVmemmap,
  text: [
    {
      pattern: /\b(NIP|MSR|LR|CTR|XER|CR) +([0-9a-f]{8,16})\b/g,
      name: (name) => (name === 'NIP' ? 'pc' : name.toLowerCase()),
    },
    { pattern: /\bGPR([0-9]{2})((?: [0-9a-f]{16})+)/g, name: (first, index) => `${Number(first) + index}` },
  ],
  /** The paca */
  currentBase: (registers: RegisterValues) => registers.get('13') ?? null,
};
