/** Which guest addresses lie where in linear memory: the table that the module searches, and a reader of its own. */

import { badInput, hex } from '../errors.js';
import { countBefore } from '../kernel/sorted.js';
import type { ControlArea } from './control.js';
import { type Layout, Structure } from './layout.js';
import type { Windows } from './windows.js';

export interface MappedRegion {
  /** Guest virtual address of the first byte. */
  readonly address: bigint;
  /** Bytes. */
  readonly size: bigint;
  /** Byte offset in linear memory. */
  readonly offset: number;
}

const ADDRESS_END = 1n << 64n;

export class RegionTable {
  readonly #memory: WebAssembly.Memory;
  readonly #layout: Layout;
  readonly #area: ControlArea;
  readonly #capacity: number;
  readonly #context: Structure;
  readonly #windows: Windows;
  #regions: MappedRegion[] = [];

  constructor(memory: WebAssembly.Memory, layout: Layout, area: ControlArea, windows: Windows, capacity: number) {
    this.#memory = memory;
    this.#layout = layout;
    this.#area = area;
    this.#capacity = capacity;
    this.#windows = windows;
    this.#context = new Structure(memory, layout, 'ContextLayout', area.context);
    this.#write();
  }

  /** In address order. */
  get list(): readonly MappedRegion[] {
    return this.#regions;
  }

  /** Index of the first region that starts above `address`. */
  #above(address: bigint): number {
    return countBefore(this.#regions, (region) => region.address <= address);
  }

  map(address: bigint, size: bigint, offset: number): void {
    if (address < 0n || size <= 0n || address + size > ADDRESS_END) {
      throw badInput(
        'check: region',
        'a range of bytes below 2^64',
        `${hex(address < 0n ? 0n : address)}, ${size} bytes`,
      );
    }
    const end = BigInt(this.#memory.buffer.byteLength);
    if (!Number.isSafeInteger(offset) || offset < this.#area.guest || BigInt(offset) + size > end) {
      throw badInput(
        `check: region at ${hex(address)}`,
        `a place inside guest memory, [${this.#area.guest}, ${end}) of linear memory`,
        `offset ${offset}, ${size} bytes`,
      );
    }
    const index = this.#above(address);
    const before = this.#regions[index - 1];
    const after = this.#regions[index];
    const other =
      before && before.address + before.size > address
        ? before
        : after && address + size > after.address
          ? after
          : undefined;
    if (other) {
      throw badInput(
        `check: region at ${hex(address)}`,
        'addresses that are not mapped yet',
        `the region ${hex(other.address)}, ${other.size} bytes, in its way`,
      );
    }
    if (this.#regions.length === this.#capacity) {
      throw badInput('check: regions', `at most ${this.#capacity} (regionCapacity)`, 'one more');
    }
    this.#regions.splice(index, 0, { address, size, offset });
    this.#write(index);
  }

  unmap(address: bigint): void {
    const index = this.#regions.findIndex((region) => region.address === address);
    if (index < 0) throw badInput('check: unmapRegion', 'the first address of a mapped region', hex(address));
    this.#regions.splice(index, 1);
    this.#write(index);
  }

  #write(from = 0): void {
    const bytes = this.#layout.get('RegionLayout', 'BYTES');
    this.#regions.slice(from).forEach((region, i) => {
      const index = from + i;
      const entry = new Structure(this.#memory, this.#layout, 'RegionLayout', this.#area.regions + index * bytes);
      entry.setU64('start', region.address);
      entry.setU64('size', region.size);
      entry.setU32('offset', region.offset);
    });
    this.#context.setU32('regions', this.#area.regions);
    this.#context.setU32('regionCount', this.#regions.length);
    this.#windows.close();
  }

  /** As many of `length` bytes as one region holds from `address` on; undefined when none does. */
  read(address: bigint, length: number): Uint8Array | undefined {
    const region = this.#regions[this.#above(address) - 1];
    if (!region || address - region.address >= region.size) return undefined;
    const delta = address - region.address;
    const available = region.size - delta;
    return new Uint8Array(
      this.#memory.buffer,
      region.offset + Number(delta),
      available < BigInt(length) ? Number(available) : length,
    );
  }
}
