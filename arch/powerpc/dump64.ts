/**
 * Dumps of 64-bit Book3S machines. QEMU's files are in the byte order in which the CPU takes interrupts from firmware:
 * big endian of most little-endian guests.
 */
import type { DumpConvention, PageTableShape, RegisterValues } from '../dump.js';
import { HASH, RADIX, translate } from './paging64.js';

const PAGE_OFFSET = 0xc000_0000_0000_0000n;

/** A hash kernel's linear map needs no table: those shapes fit any memory and come last. */
const SHAPES: readonly PageTableShape[] = [
  { pageShift: 16, addressBits: 52, format: RADIX },
  { pageShift: 16, addressBits: 52, format: HASH },
  { pageShift: 12, addressBits: 46, format: HASH },
];

const general = Array.from({ length: 32 }, (_, index) => `${index}`);

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
  notes: [],
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
