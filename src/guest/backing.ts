/** What a guest's memory is made of: bytes of the check's WASM memory, or a block of an emulator that can show no other's. */
import type { Check } from '../check/check.js';
import type { Engine, EngineBlock } from '../engine/engine.js';
import { decodeWord, encodeWord, type WordFormat, Words } from '../kernel/words.js';

/** Bytes from `start` to `end`, by offset; `bytes` of an offset are the guest's, zero at first. */
export interface GuestBacking {
  readonly start: number;
  readonly end: number;
  /** A copy. */
  read(offset: number, length: number): Uint8Array;
  /** The bytes for a short look: a view, where there is one. */
  look(offset: number, length: number): Uint8Array;
  write(offset: number, bytes: Uint8Array): void;
  word(offset: number): bigint;
  setWord(offset: number, value: bigint): void;
  /** Shows bytes in the emulator. */
  showInEngine(address: bigint, size: bigint, offset: number): void;
  /** Tells the check where bytes are seen, and that they are not any more. */
  showInCheck(address: bigint, size: bigint, offset: number): void;
  hideFromCheck(address: bigint): void;
}

/** Emulator and check read the same bytes. */
export class SharedBacking implements GuestBacking {
  readonly start: number;
  readonly end: number;
  readonly #engine: Engine;
  readonly #check: Check;
  readonly #bytes: Uint8Array;
  readonly #words: Words;

  constructor(engine: Engine, check: Check, format: WordFormat) {
    this.start = check.guestOffset;
    this.end = check.guestOffset + check.guestBytes;
    this.#engine = engine;
    this.#check = check;
    this.#bytes = new Uint8Array(check.memory.buffer);
    this.#words = new Words(this.#bytes, format);
  }

  read(offset: number, length: number): Uint8Array {
    return this.#bytes.slice(offset, offset + length);
  }

  look(offset: number, length: number): Uint8Array {
    return this.#bytes.subarray(offset, offset + length);
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, offset);
  }

  word(offset: number): bigint {
    return this.#words.word(offset);
  }

  setWord(offset: number, value: bigint): void {
    this.#words.setWord(offset, value);
  }

  showInEngine(address: bigint, size: bigint, offset: number): void {
    this.#engine.mapShared(address, size, 'rwx', this.#check.memory, offset);
  }

  showInCheck(address: bigint, size: bigint, offset: number): void {
    this.#check.mapRegion(address, size, offset);
  }

  hideFromCheck(address: bigint): void {
    this.#check.unmapRegion(address);
  }
}

/** The emulator has the bytes; the check reads them through it. */
export class BlockBacking implements GuestBacking {
  readonly start = 0;
  readonly end: number;
  readonly #block: EngineBlock;
  readonly #format: WordFormat;

  constructor(engine: Engine, check: Check, block: EngineBlock, format: WordFormat) {
    this.end = block.bytes;
    this.#block = block;
    this.#format = format;
    check.readFromEngine(engine);
  }

  read(offset: number, length: number): Uint8Array {
    return this.#block.read(offset, length);
  }

  look(offset: number, length: number): Uint8Array {
    return this.#block.read(offset, length);
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#block.write(offset, bytes);
  }

  word(offset: number): bigint {
    return decodeWord(this.#block.read(offset, this.#format.bits / 8), this.#format);
  }

  setWord(offset: number, value: bigint): void {
    this.#block.write(offset, encodeWord(value, this.#format));
  }

  showInEngine(address: bigint, size: bigint, offset: number): void {
    this.#block.map(address, size, 'rwx', offset);
  }

  showInCheck(): void {}

  hideFromCheck(): void {}
}
