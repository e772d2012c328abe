/** Kernels that consist of bytes at an address and of structures written by hand. */
import { typesFromTable } from '../../src/image/offset-tables.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { noSymbols } from '../../src/kernel/symbols.js';
import { NO_VERSION } from '../../src/kernel/version.js';

export const BASE = 0xc000_0000n;

type Structs = Parameters<typeof typesFromTable>[0]['structs'];

/** Reads what lies wholly in `bytes`. */
export function kernelWith(
  bytes: Uint8Array,
  { bits = 64, endian = 'little', structs = {} }: Partial<Pick<Kernel, 'bits' | 'endian'>> & { structs?: Structs } = {},
): Kernel {
  const table = { variant: 'x86_64', source: 'by hand', releases: [], structs, enumerators: {} };
  return {
    variant: 'x86_64',
    bits,
    endian,
    segments: [],
    symbols: noSymbols(),
    types: typesFromTable(table, 'by hand'),
    version: NO_VERSION,
    config: null,
    read: (address, length) => {
      const at = Number(address - BASE);
      return at >= 0 && at + length <= bytes.length ? bytes.subarray(at, at + length) : undefined;
    },
  };
}
