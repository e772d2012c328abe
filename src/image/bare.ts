/** A kernel that is only a few named addresses: code without Linux around it. */
import type { Variant } from '../../arch/driver.js';
import { withSymbols } from '../kernel/added-symbols.js';
import type { Kernel } from '../kernel/kernel.js';
import { CompactSymbolTable } from '../kernel/symbols.js';
import { NO_VERSION } from '../kernel/version.js';

/** Nothing of it can be read, and it has no types: only declared memory is judged. */
export function bareKernel(variant: Variant, symbols: ReadonlyMap<string, bigint>): Kernel {
  const empty = new CompactSymbolTable('none', {
    addresses: new BigUint64Array(),
    sizes: null,
    types: new Uint8Array(),
    names: new Uint8Array(),
    nameStarts: new Uint32Array(1),
  });
  const kernel: Kernel = {
    variant: variant.name,
    bits: variant.bits,
    endian: variant.endian,
    segments: [],
    symbols: empty,
    types: null,
    version: { ...NO_VERSION, release: 'none' },
    config: null,
    read: () => undefined,
  };
  return withSymbols(kernel, symbols);
}
