/**
 * What boot code does to the CPU, by code that runs before any other: Unicorn has no names for these registers.
 *
 * Addresses go through the CPU's own segments. UC_TLB_VIRTUAL, which other variants have, is not to be had here: up to 2.1.4 it writes
 * the CPU's state back at every page that is met for the first time, and where that is done in a delay slot the jump is taken twice.
 */
import type { Engine } from '../../src/engine/engine.js';
import { hex, UsercopyError } from '../../src/errors.js';
import { concatBytes } from '../../src/kernel/bytes.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { instructions } from '../common.js';
import { stopCode } from './common.js';

const PAGE = 4096n;
/** The boot ROM's first bytes, in kseg1 (CKSEG1) and in memory: no RAM lies there. */
const ROM = { 32: 0xbfc00000n, 64: 0xffffffffbfc00000n } as const;
const ROM_PHYSICAL = 0x1fc00000n;
/** Unsegmented addresses that reach memory: kseg0 and kseg1 are windows of 512 MiB, and so is the window below. */
export const SEGMENT_MASK = 0x1fffffffn;

/** Registers of coprocessor 0, with their selector. */
const ENTRY_LO0 = 2;
const ENTRY_LO1 = 3;
const PAGE_MASK = 5;
const ENTRY_HI = 10;
const STATUS = 12;
const CONFIG = 16;
const TLBWI = 0x42000002;

const T0 = 8;
const immediate = (opcode: number, target: number, source: number, value: number): number =>
  (opcode << 26) | (source << 21) | (target << 16) | value;
const lui = (value: number): number => immediate(15, T0, 0, value);
const ori = (value: number): number => immediate(13, T0, T0, value);
const xori = (value: number): number => immediate(14, T0, T0, value);
const mfc0 = (register: number): number => 0x40000000 | (T0 << 16) | (register << 11);
const mtc0 = (register: number): number => 0x40800000 | (T0 << 16) | (register << 11);
const dmtc0 = (register: number): number => 0x40a00000 | (T0 << 16) | (register << 11);
/** dsll32 $8, $8, 0 */
const SHIFT_UP = 0x0008403c;

/** Pages of 256 MiB. */
const PAGES = [lui(0x1fff), ori(0xe000), mtc0(PAGE_MASK)];
/** Two of them from physical 0 on: cached, writable, valid, for all address spaces. */
const LOW_HALF = [lui(0), ori(0x1f), mtc0(ENTRY_LO0)];
const HIGH_HALF = [lui(0x40), ori(0x1f), mtc0(ENTRY_LO1)];
/** What translated addresses begin with. */
const TRANSLATED = {
  32: [lui(0xc000), mtc0(ENTRY_HI)],
  64: [lui(0xc000), SHIFT_UP, dmtc0(ENTRY_HI)],
} as const;
/** Config: kseg0 is cached (3; reset leaves 2), and CAC_BASE follows: coherency_setup() (arch/mips/mm/c-r4k.c). */
const CACHED = [mfc0(CONFIG), ori(7), xori(4), mtc0(CONFIG)];
/** Status: KX, 64-bit addresses in kernel mode (arch/mips/kernel/head.S). ERL stays on: user addresses are memory's own. */
const WIDE = [mfc0(STATUS), ori(0x80), mtc0(STATUS)];

const CODE = {
  32: [...CACHED, ...PAGES, ...LOW_HALF, ...HIGH_HALF, ...TRANSLATED[32], TLBWI],
  64: [...CACHED, ...WIDE, ...PAGES, ...LOW_HALF, ...HIGH_HALF, ...TRANSLATED[64], TLBWI],
} as const;

/** Kernels for CPUs whose instructions Unicorn's lack: Octeon's and Loongson's own, and those of release 6, which are encoded anew. */
const FOREIGN_CPUS = ['CPU_CAVIUM_OCTEON', 'CPU_LOONGSON64', 'CPU_LOONGSON2EF', 'CPU_MIPS32_R6', 'CPU_MIPS64_R6'];

/** @throws UsercopyError `unsupported` for a kernel of another kind of CPU than the emulated one */
function refuseForeign({ config, version, variant }: Kernel): void {
  const found = FOREIGN_CPUS.find((option) => config?.enabled(option));
  if (found === undefined) return;
  throw new UsercopyError(
    'unsupported',
    `${variant} ${version.release}: expected a kernel for MIPS release 2, found CONFIG_${found}: no emulated CPU has its instructions`,
  );
}

/**
 * Sets the CPU up: the first 512 MiB of translated kernel addresses show what the first 512 MiB of memory do.
 * @throws UsercopyError `unsupported` where this libunicorn runs no 64-bit code (2.0.1 and 2.1.1 lose half of the
 *   address that it starts at, and take its instructions for none on every model of a CPU), and for a kernel of another kind of CPU
 */
export function prepareCpu(engine: Engine, kernel: Kernel | null, bits: 32 | 64): void {
  if (kernel !== null) refuseForeign(kernel);
  const start = ROM[bits];
  const code = instructions('little', ...CODE[bits]);
  engine.map(ROM_PHYSICAL, PAGE, 'rx');
  engine.write(ROM_PHYSICAL, concatBytes([code, stopCode]));
  let exception: number | null = null;
  const hook = engine.hookInterrupt((number) => {
    exception = number;
    engine.stop();
  });
  const until = start + BigInt(code.length);
  const { reason, pc, error } = engine.runSync({ start, until, blockLimit: 16 });
  hook.remove();
  engine.unmap(ROM_PHYSICAL, PAGE);
  if (reason === 'until') return;
  throw new UsercopyError(
    'unsupported',
    `mips of ${bits} bits: expected ${engine.name} ${engine.version} to run code at ${hex(start)}, found ${exception === null ? (error?.text ?? reason) : `exception ${exception}`} at ${hex(pc)}; use libunicorn 2.1.4 (UNICORN_PREFIX)`,
  );
}
