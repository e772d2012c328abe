/** Dumps of arm64 machines. */
import type { Kernel, KernelConfig, SymbolTable } from '../../src/kernel/kernel.js';
import { readWord, structPageOf } from '../common.js';
import type { MemoryLayout } from '../driver.js';
import type { DumpConvention, KernelNotes, PageTableShape, PageTables, RegisterValues } from '../dump.js';
import { largestMinimumBits, layout as layoutOf } from './layout.js';
import { translate } from './paging.js';

/** Virtual address sizes that arch/arm64/Kconfig offers for each granule, Debian's own first. */
const SHAPES: readonly PageTableShape[] = [
  { pageShift: 12, addressBits: 48 },
  { pageShift: 12, addressBits: 39 },
  { pageShift: 16, addressBits: 52 },
  { pageShift: 16, addressBits: 48 },
  { pageShift: 16, addressBits: 42 },
  { pageShift: 14, addressBits: 48 },
  { pageShift: 14, addressBits: 47 },
  { pageShift: 14, addressBits: 36 },
  { pageShift: 12, addressBits: 52 },
  { pageShift: 14, addressBits: 52 },
];

/**
 * A driver reads the address size off the image's link address; KASLR moves the image by up to half of the upper half, so
 * the page tables have to tell. With RANDOMIZE_BASE the linear map is moved by making memstart_addr negative
 * (arm64_memblock_init()): the shift in `vmemmap` is an arithmetic one.
 */
function runningLayout(kernel: Kernel, tables: PageTables): MemoryLayout {
  const bits = BigInt(Math.min(tables.addressBits, largestMinimumBits(tables.pageShift)));
  const linked = BigInt.asUintN(64, -(1n << (bits - 1n)));
  const running = {
    ...kernel,
    symbols: withText(kernel.symbols, linked),
    config: kernel.config ?? granuleConfig(tables.pageShift),
  };
  const layout = layoutOf(running, tables.addressBits);
  const start = readWord(kernel, 'memstart_addr', 8) ?? 0n;
  if (layout.vmemmap === null || start < 1n << 63n) return layout;
  const { size: structPage } = structPageOf(kernel);
  const missingSign = (1n << BigInt(64 - layout.pageShift)) * structPage;
  return { ...layout, vmemmap: BigInt.asUintN(64, layout.vmemmap + missingSign) };
}

/** The table with `_text` where a kernel without KASLR has it. */
function withText(symbols: SymbolTable, text: bigint): SymbolTable {
  return {
    count: symbols.count,
    source: symbols.source,
    address: (name) => (name === '_text' ? text : symbols.address(name)),
    get: (name) => symbols.get(name),
    all: (name) => symbols.all(name),
    find: (address) => symbols.find(address),
    [Symbol.iterator]: () => symbols[Symbol.iterator](),
  };
}

function granuleConfig(pageShift: number): KernelConfig {
  const set = { 12: 'ARM64_4K_PAGES', 14: 'ARM64_16K_PAGES', 16: 'ARM64_64K_PAGES' }[pageShift];
  const plain = (name: string): string => name.replace(/^CONFIG_/, '');
  return {
    get: (name) => (plain(name) === set ? 'y' : undefined),
    enabled: (name) => plain(name) === set,
  };
}

export const arm64Dump: DumpConvention = {
  utsMachine: /^aarch64$/,
  translate,
  /** TTBR1_EL1's low bit is CnP, the upper 16 an ASID; TCR_EL1 has T1SZ in bits 16 to 21 and the granule in 30 and 31. */
  fromRegisters(registers: RegisterValues) {
    const ttbr1 = registers.get('ttbr1_el1');
    if (ttbr1 === undefined) return [];
    const root = ttbr1 & 0x0000_ffff_ffff_fffen;
    const tcr = registers.get('tcr_el1');
    if (tcr === undefined) return SHAPES.map((shape) => ({ ...shape, root }));
    const pageShift = [12, 14, 12, 16][Number((tcr >> 30n) & 3n)] ?? 12;
    return [{ root, pageShift, addressBits: 64 - Number((tcr >> 16n) & 63n) }];
  },
  rootSymbols: ['swapper_pg_dir'],
  shapes: SHAPES,
  shapeFromNotes(notes: KernelNotes): PageTableShape | null {
    const size = Number(notes.text('PAGESIZE') ?? Number.NaN);
    const pageShift = Math.log2(size);
    if (![12, 14, 16].includes(pageShift)) return null;
    // TCR_EL1_T1SZ is what the hardware was given; VA_BITS only what the kernel was built for.
    const sizeOffset = notes.number('TCR_EL1_T1SZ');
    const bits = sizeOffset === undefined ? notes.number('VA_BITS') : 64n - sizeOffset;
    if (bits === undefined || bits < 25n || bits > 52n) return null;
    return { pageShift, addressBits: Number(bits) };
  },
  imageOffsetFromNotes: (notes: KernelNotes) => notes.number('kimage_voffset') ?? null,
  runningLayout,
  placement: { kind: 'variable', symbol: 'kimage_voffset' },
  prstatus: {
    size: 392,
    offset: 112,
    width: 8,
    registers: [...Array.from({ length: 31 }, (_, index) => `x${index}`), 'sp', 'pc', 'pstate'],
  },
  // AAPCS64, 6.1.1; x29 is the frame pointer.
  trapFrame: { member: 'regs', preserved: Array.from({ length: 11 }, (_, index) => `x${19 + index}`) },
  notes: [],
  text: [
    { pattern: /\b(PC|SP|X[0-9]{2}) *=([0-9a-f]{16})\b/g, name: (name) => name.toLowerCase().replace(/^x0/, 'x') },
    { pattern: /\b(PSTATE)=([0-9a-f]{8})\b/g, name: () => 'pstate' },
  ],
  /** QEMU's notes and its register text leave SP_EL0 out. */
  currentBase: (registers: RegisterValues) => registers.get('sp_el0') ?? null,
};
