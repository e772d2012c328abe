/**
 * Guest memory: what the emulator and the check read are the same bytes, inside the check's WASM memory wherever the emulator
 * can map it. RAM is one block, seen at one or more virtual addresses; a few regions are few and large, since mapping many is slow.
 */
import type { Variant } from '../../arch/driver.js';
import type { Engine } from '../engine/engine.js';
import { hex, UsercopyError } from '../errors.js';
import { equalBytes, latin1 } from '../kernel/bytes.js';
import type { Endian, Kernel } from '../kernel/kernel.js';
import { decodeUnsigned, encodeUnsigned } from '../kernel/words.js';
import type { GuestBacking } from './backing.js';

const PAGE = 4096n;
/** THREAD_SIZE of most: stacks are aligned to their size. */
const STACK_ALIGNMENT = 16_384n;

export interface MappedRange {
  readonly address: bigint;
  readonly size: bigint;
  /** Byte offset in the WASM memory, or in the emulator's block. */
  readonly offset: number;
}

export interface RamBlock {
  /** Physical address of its first byte. */
  readonly physicalBase: bigint;
  readonly bytes: bigint;
  /** Physical address of the first byte after the image. */
  readonly firstFree: bigint;
}

/** Bytes that a snapshot compares and keeps together; a piece of zeroes is not kept. */
const PIECE = 65_536;
const ZEROES = new Uint8Array(PIECE);

/** See `GuestMemory.snapshot`. */
export interface MemorySnapshot {
  readonly owner: GuestMemory;
  /** By offset, those that are not all zero. */
  readonly pieces: ReadonlyMap<number, Uint8Array>;
  readonly endOfFree: bigint;
  readonly nextOwn: number;
  readonly regions: readonly MappedRange[];
  readonly inEngine: readonly MappedRange[];
}

export class GuestMemory {
  readonly #engine: Engine;
  #backing: GuestBacking | null;
  readonly #ram: RamBlock;
  readonly #addressMask: bigint | null;
  readonly #wordBytes: number;
  readonly #endian: Endian;
  readonly #regions: MappedRange[] = [];
  readonly #inEngine: MappedRange[] = [];
  #endOfFree: bigint;
  #nextOwn: number;
  #linearAddress: bigint | null = null;

  constructor(engine: Engine, backing: GuestBacking, kernel: Kernel, variant: Variant, ram: RamBlock) {
    this.#engine = engine;
    this.#backing = backing;
    this.#ram = ram;
    this.#addressMask = variant.addressMask ?? null;
    this.#wordBytes = kernel.bits / 8;
    this.#endian = kernel.endian;
    this.#endOfFree = ram.physicalBase + ram.bytes;
    this.#nextOwn = backing.start + Number(ram.bytes);
  }

  /** Lets go of the memory: nothing is mapped any more. */
  close(): void {
    this.#backing = null;
    this.#regions.length = 0;
    this.#inEngine.length = 0;
  }

  get #bytes(): GuestBacking {
    if (this.#backing === null)
      throw new UsercopyError('guest', 'guest memory: the guest is closed; create another one');
    return this.#backing;
  }

  /** Physical RAM: [base, base + bytes). */
  get ram(): RamBlock {
    return this.#ram;
  }

  /** Virtual address of RAM's first byte in the linear map. */
  get linearAddress(): bigint {
    if (this.#linearAddress === null) throw new UsercopyError('guest', 'guest memory: no linear map was made');
    return this.#linearAddress;
  }

  /** Shows [physical, physical + size) of RAM at a virtual address. The first call makes the linear map. */
  mapRam(address: bigint, physical: bigint, size: bigint): void {
    const start = physical - this.#ram.physicalBase;
    if (start < 0n || start + size > this.#ram.bytes) {
      throw new UsercopyError(
        'bad-input',
        `guest RAM: expected a range within ${this.#ram.bytes} bytes, found ${hex(physical)} + ${hex(size)}`,
      );
    }
    if (this.#linearAddress === null) this.#linearAddress = address - start;
    this.#map(address, size, this.#bytes.start + Number(start));
  }

  /** Maps zeroed memory that is no RAM (user pages, a vmalloc arena). */
  mapOwn(address: bigint, size: bigint): void {
    const rounded = ((size + PAGE - 1n) / PAGE) * PAGE;
    const offset = this.#nextOwn;
    if (offset + Number(rounded) > this.#bytes.end) {
      throw new UsercopyError('bad-input', `guest memory: expected room for ${rounded} more bytes, found none`);
    }
    this.#nextOwn += Number(rounded);
    this.#map(address, rounded, offset);
  }

  /** Takes pages from the top of RAM; gives their address in the linear map. Size in bytes; stacks come out aligned. */
  allocate(size: bigint): bigint {
    return this.allocateAligned(size, size >= STACK_ALIGNMENT ? STACK_ALIGNMENT : PAGE);
  }

  /** The same at a physical address that is a multiple of `alignment` (bytes, at least a page). */
  allocateAligned(size: bigint, alignment: bigint): bigint {
    const start = this.#endOfFree - size;
    const physical = start - (start % alignment);
    if (this.#linearAddress === null || physical < this.#ram.firstFree) {
      throw new UsercopyError(
        'bad-input',
        `guest RAM: expected ${size} free bytes, found ${this.#endOfFree - this.#ram.firstFree}`,
      );
    }
    this.#endOfFree = physical;
    return this.#linearAddress + (physical - this.#ram.physicalBase);
  }

  /** Physical address of the end of RAM that `allocate` has not taken. */
  get endOfFree(): bigint {
    return this.#endOfFree;
  }

  isMapped(address: bigint): boolean {
    return this.#find(address) !== undefined;
  }

  /** Bytes at a virtual address (a copy); undefined when some are not there. */
  tryRead(address: bigint, length: number): Uint8Array | undefined {
    const offset = this.#offset(address, length);
    return offset === undefined ? undefined : this.#bytes.read(offset, length);
  }

  /** @throws UsercopyError `guest` when some of the bytes are not there. */
  read(address: bigint, length: number): Uint8Array {
    const offset = this.#require(address, length);
    return this.#bytes.read(offset, length);
  }

  /** Writes bytes; code that was translated from them is dropped. */
  write(address: bigint, bytes: Uint8Array): void {
    this.#bytes.write(this.#require(address, bytes.length), bytes);
    this.#engine.dropCode(address, bytes.length);
  }

  /** A word of the guest (4 or 8 bytes), in its byte order. */
  readWord(address: bigint): bigint {
    return this.#bytes.word(this.#require(address, this.#wordBytes));
  }

  writeWord(address: bigint, value: bigint): void {
    this.#bytes.setWord(this.#require(address, this.#wordBytes), value);
  }

  /** An unsigned number of 1, 2, 4 or 8 bytes in the guest's byte order. */
  readUnsigned(address: bigint, size: number): bigint {
    return decodeUnsigned(this.read(address, size), this.#endian);
  }

  writeUnsigned(address: bigint, size: number, value: bigint): void {
    this.#bytes.write(this.#require(address, size), encodeUnsigned(value, size, this.#endian));
  }

  writePhysical(physical: bigint, bytes: Uint8Array): void {
    const start = physical - this.#ram.physicalBase;
    if (start < 0n || start + BigInt(bytes.length) > this.#ram.bytes) {
      throw new UsercopyError(
        'bad-input',
        `guest RAM: expected room at physical ${hex(physical)} for ${bytes.length} bytes, found none`,
      );
    }
    this.#bytes.write(this.#bytes.start + Number(start), bytes);
  }

  /** Byte offset among the guest's bytes of what the emulator shows from `start` on; undefined: no region starts there. */
  offsetOfRegion(start: bigint): number | undefined {
    const region = this.#inEngine.find(({ address }) => address === start);
    return region && region.offset - this.#bytes.start;
  }

  /** A C string of at most `limit` bytes. */
  readString(address: bigint, limit = 256): string {
    let text = '';
    for (let at = address; text.length < limit; at = address + BigInt(text.length)) {
      const region = this.#find(at);
      if (region === undefined) break;
      const within = Number(at - region.address);
      const part = this.#bytes.look(
        region.offset + within,
        Math.min(limit - text.length, Number(region.size) - within),
      );
      const end = part.indexOf(0);
      text += latin1(part, 0, end < 0 ? part.length : end);
      if (end >= 0) break;
    }
    return text;
  }

  /**
   * The guest's own addresses of what the emulator tells of at `address`, that one first: where it drops bits of addresses
   * (`Variant.addressMask`), its hooks tell what is left.
   */
  aliasesOf(address: bigint): bigint[] {
    if (this.#addressMask === null) return [address];
    const mask = this.#addressMask;
    const places = this.#regions.flatMap((region) => {
      const within = address - (region.address & mask);
      return within >= 0n && within < region.size ? [region.address + within] : [];
    });
    return [...new Set([address, ...places])];
  }

  /** Whether the bytes at an address of the emulator are of this memory. */
  maps(address: bigint): boolean {
    return this.#inEngine.some((region) => address >= region.address && address - region.address < region.size);
  }

  /** All guest bytes as they are, and what was taken and mapped; `restore` puts them back. */
  snapshot(): MemorySnapshot {
    const pieces = new Map<number, Uint8Array>();
    for (let offset = this.#bytes.start; offset < this.#nextOwn; offset += PIECE) {
      const piece = this.#piece(offset);
      if (!equalBytes(piece, ZEROES.subarray(0, piece.length))) pieces.set(offset, new Uint8Array(piece));
    }
    return {
      owner: this,
      pieces,
      endOfFree: this.#endOfFree,
      nextOwn: this.#nextOwn,
      regions: [...this.#regions],
      inEngine: [...this.#inEngine],
    };
  }

  /**
   * Puts a snapshot back, an earlier one or a later one. What was not mapped then is unmapped, what was is mapped; what was not
   * taken is free; code is dropped where bytes differ. @throws UsercopyError `guest` for a snapshot of another guest.
   */
  restore(snapshot: MemorySnapshot): void {
    if (snapshot.owner !== this) {
      throw new UsercopyError('guest', 'restore: expected a snapshot of this guest, found one of another');
    }
    const { inEngine, regions } = snapshot;
    // One by one, so that what is noted is true wherever it ends with an error, and the same snapshot can be tried again.
    for (const range of without(this.#inEngine, inEngine)) {
      this.#engine.unmap(range.address, range.size);
      this.#inEngine.splice(this.#inEngine.indexOf(range), 1);
    }
    for (const range of without(this.#regions, regions)) {
      this.#bytes.hideFromCheck(range.address);
      this.#regions.splice(this.#regions.indexOf(range), 1);
    }
    for (const range of without(inEngine, this.#inEngine)) {
      this.#showInEngine(range);
      this.#inEngine.push(range);
    }
    for (const range of without(regions, this.#regions)) {
      this.#bytes.showInCheck(range.address, range.size, range.offset);
      this.#regions.push(range);
    }
    const end = Math.max(this.#nextOwn, snapshot.nextOwn);
    for (let offset = this.#bytes.start; offset < end; offset += PIECE) {
      const piece = this.#piece(offset);
      const saved = snapshot.pieces.get(offset) ?? ZEROES.subarray(0, piece.length);
      if (equalBytes(piece, saved)) continue;
      this.#bytes.write(offset, saved);
      this.#dropCodeAt(offset, piece.length);
    }
    this.#nextOwn = snapshot.nextOwn;
    this.#endOfFree = snapshot.endOfFree;
  }

  /** Guest bytes at an offset, as many as are looked at together. */
  #piece(offset: number): Uint8Array {
    return this.#bytes.look(offset, Math.min(PIECE, this.#bytes.end - offset));
  }

  /** Wherever those bytes are seen. */
  #dropCodeAt(offset: number, length: number): void {
    for (const region of this.#inEngine) {
      const from = Math.max(offset, region.offset);
      const to = Math.min(offset + length, region.offset + Number(region.size));
      if (from < to) this.#engine.dropCode(region.address + BigInt(from - region.offset), to - from);
    }
  }

  #map(address: bigint, size: bigint, offset: number): void {
    this.#mapInEngine(address, size, offset);
    if (this.#addressMask !== null && !this.#redirects(address & this.#addressMask))
      this.#mapInEngine(address & this.#addressMask, size, offset);
    this.#bytes.showInCheck(address, size, offset);
    this.#regions.push({ address, size, offset });
  }

  /** Some emulators mask addresses of some segments themselves: what was mapped is there already. */
  #redirects(masked: bigint): boolean {
    return (
      !this.#inEngine.some(({ address, size }) => masked >= address && masked - address < size) &&
      this.#engine.regions().some(({ start, end }) => masked >= start && masked < end)
    );
  }

  /** Once is enough for bytes that are seen there already: a masked address may be one of the image's own. */
  #mapInEngine(address: bigint, size: bigint, offset: number): void {
    const seen = this.#inEngine.some(
      (region) =>
        address >= region.address &&
        address + size <= region.address + region.size &&
        offset - region.offset === Number(address - region.address),
    );
    if (seen) return;
    const range = { address, size, offset };
    this.#showInEngine(range);
    this.#inEngine.push(range);
  }

  #showInEngine({ address, size, offset }: MappedRange): void {
    this.#bytes.showInEngine(address, size, offset);
  }

  #find(address: bigint): MappedRange | undefined {
    return this.#regions.find((region) => address >= region.address && address < region.address + region.size);
  }

  #offset(address: bigint, length: number): number | undefined {
    const region = this.#find(address);
    if (!region || address + BigInt(length) > region.address + region.size) return undefined;
    return region.offset + Number(address - region.address);
  }

  #require(address: bigint, length: number): number {
    const offset = this.#offset(address, length);
    if (offset === undefined) {
      throw new UsercopyError(
        'guest',
        `guest memory: expected ${length} bytes at ${hex(address)}, found none mapped there`,
      );
    }
    return offset;
  }
}

const without = (ranges: readonly MappedRange[], others: readonly MappedRange[]): MappedRange[] =>
  ranges.filter((range) => !others.includes(range));
