import type { AddressRange, Slot } from '../../../src/check/parameters.js';
import { present } from '../../present.js';
import type { Random } from './random.js';

/** Where the parts of kernel memory lie; sizes in bytes. */
export interface Layout {
  readonly linear: bigint;
  readonly linearSize: bigint;
  readonly vmalloc: bigint;
  readonly vmallocSize: bigint;
  readonly modules: AddressRange;
  readonly kmap: bigint;
  readonly structures: bigint;
  readonly structPages: bigint;
  /** Start of the kernel image's own mapping; null where the image lies in the linear map. */
  readonly image: bigint | null;
}

/** A structure whose fields lie at random, naturally aligned places. */
export interface RandomLayout<Name extends string> {
  /** Bytes. */
  readonly size: number;
  readonly slots: Readonly<Record<Name, Slot>>;
}

/**
 * Lays out fields of the given sizes (bytes) in random order with up to `gaps` words of padding in all; `sizes` restricts
 * the size of the whole.
 */
export function layOut<Name extends string>(
  random: Random,
  fields: Readonly<Record<Name, number>>,
  gaps: number,
  sizes?: readonly number[],
): RandomLayout<Name> {
  // The record has these keys and no others.
  const names = Object.keys(fields) as Name[];
  for (let i = names.length - 1; i > 0; i--) {
    const other = random.below(i + 1);
    [names[i], names[other]] = [present(names[other]), present(names[i])];
  }
  // Filled below, name by name.
  const slots = {} as Record<Name, Slot>;
  let offset = 0;
  let padding = random.below(gaps + 1);
  for (const name of names) {
    const size = fields[name];
    const skipped = sizes === undefined ? random.below(Math.min(padding, 3) + 1) : 0;
    padding -= skipped;
    const alignment = Math.min(size, 8);
    offset = Math.ceil((offset + skipped * 8) / alignment) * alignment;
    slots[name] = { offset, size };
    offset += size;
  }
  const size = Math.ceil(offset / 8) * 8;
  return { size: sizes?.find((allowed) => allowed >= size) ?? size, slots };
}
