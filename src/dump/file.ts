/**
 * A file that is read in pieces where they are needed, through a small cache: dumps are larger than memory, and nothing
 * is mapped, so that a file that shrinks under our hands is a short read and not a SIGBUS.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { badInput, codeOf, UsercopyError } from '../errors.js';
import { RecentlyUsed } from './recently-used.js';

const BLOCK_SHIFT = 16;
const BLOCK_SIZE = 1 << BLOCK_SHIFT;
/** 4 MiB in all. */
const CACHED_BLOCKS = 64;

/** Offsets: the first byte, and the first byte after. */
export interface ByteExtent {
  readonly start: number;
  readonly end: number;
}

/** Bytes at offsets: a file, or what a container of one holds. */
export interface ByteSource {
  /** Names it in errors. */
  readonly path: string;
  /** Bytes, when it was opened. */
  readonly size: number;
  /** `length` bytes at `offset`; undefined when they are not all there. The result must not be written to. */
  read(offset: number, length: number): Uint8Array | undefined;
  /** Fills `target` from `offset`; false when not all of it is there. */
  readInto(offset: number, target: Uint8Array): boolean;
  /** Parts of [start, end) that were written, in order; the rest, when it is not past the end, reads as zero. */
  extents(start: number, end: number): Iterable<ByteExtent>;
  close(): void;
}

export class FileReader implements ByteSource {
  readonly path: string;
  /** Bytes, when it was opened. */
  readonly size: number;
  #descriptor: number | null;
  readonly #blocks = new RecentlyUsed<number, Uint8Array>(CACHED_BLOCKS);

  private constructor(path: string, descriptor: number, size: number) {
    this.path = path;
    this.size = size;
    this.#descriptor = descriptor;
  }

  /** Opens a regular file; anything else, and a file that cannot be read, is an error. */
  static open(path: string): FileReader {
    let descriptor: number;
    try {
      // A pipe without a writer must not block the opening.
      descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw badInput(path, 'a file that can be read', codeOf(error));
    }
    const status = fstatSync(descriptor);
    if (!status.isFile()) {
      closeSync(descriptor);
      throw badInput(path, 'a regular file', status.isDirectory() ? 'a directory' : 'a device, pipe or socket');
    }
    return new FileReader(path, descriptor, status.size);
  }

  /** `length` bytes at `offset`; undefined when the file does not have them all. The result must not be written to. */
  read(offset: number, length: number): Uint8Array | undefined {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > this.size) return undefined;
    const first = Math.floor(offset / BLOCK_SIZE);
    const within = offset - first * BLOCK_SIZE;
    if (within + length <= BLOCK_SIZE) {
      const block = this.#block(first);
      return within + length <= block.length ? block.subarray(within, within + length) : undefined;
    }
    const bytes = new Uint8Array(length);
    return this.readInto(offset, bytes) ? bytes : undefined;
  }

  /** Fills `target` from `offset`, past the cache; false when the file does not have all of it. */
  readInto(offset: number, target: Uint8Array): boolean {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + target.length > this.size) return false;
    return this.#fill(offset, target) === target.length;
  }

  extents(start: number, end: number): Iterable<ByteExtent> {
    const last = Math.min(end, this.size);
    return start < last ? [{ start, end: last }] : [];
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
    this.#blocks.clear();
  }

  #block(number: number): Uint8Array {
    const cached = this.#blocks.get(number);
    if (cached) return cached;
    const start = number * BLOCK_SIZE;
    const buffer = new Uint8Array(Math.min(BLOCK_SIZE, this.size - start));
    const block = buffer.subarray(0, this.#fill(start, buffer));
    this.#blocks.set(number, block);
    return block;
  }

  /** Bytes that were read: fewer than asked for only at the end of the file. */
  #fill(offset: number, target: Uint8Array): number {
    if (this.#descriptor === null) throw new UsercopyError('bad-input', `${this.path}: read after it was closed`);
    let done = 0;
    try {
      while (done < target.length) {
        const count = readSync(this.#descriptor, target, done, target.length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
    } catch (error) {
      throw badInput(this.path, `bytes at offset ${offset + done}`, codeOf(error));
    }
    return done;
  }
}
