/**
 * A dump as `makedumpfile -F` writes it to a pipe: pieces with their places in the real file, big endian
 * (`struct makedumpfile_header` and `makedumpfile_data_header` of makedumpfile.h). A later piece overwrites an earlier one.
 */
import { badInput } from '../errors.js';
import { latin1 } from '../kernel/bytes.js';
import { countBefore } from '../kernel/sorted.js';
import { BIG, Words } from '../kernel/words.js';
import type { ByteExtent, ByteSource } from './file.js';
import { type Claim, disjointIntervals, lieApart } from './intervals.js';

const SIGNATURE = 'makedumpfile';
const HEADER_SIZE = 4096;
const RECORD_SIZE = 16;
const TYPE_FLATTENED = 1n;
/** Pieces are some hundred KiB each; a TiB has this many. Each takes 24 bytes here. */
const MAXIMUM_PIECES = 1 << 22;
const LARGEST_SIZE = BigInt(Number.MAX_SAFE_INTEGER);

/** A piece of the real file; what is written later wins. */
interface Piece extends Claim<number> {
  /** Where its bytes are in this file. */
  readonly at: number;
}

export function isFlattened(magic: Uint8Array): boolean {
  return latin1(magic, 0, SIGNATURE.length) === SIGNATURE;
}

/** The real file behind a flattened one. Only the places of its pieces are read. */
export class FlattenedFile implements ByteSource {
  readonly path: string;
  readonly size: number;
  readonly #file: ByteSource;
  /** Disjoint, in order. */
  readonly #pieces: readonly Piece[];

  private constructor(file: ByteSource, pieces: readonly Piece[]) {
    this.#file = file;
    this.path = file.path;
    this.#pieces = pieces;
    this.size = pieces.at(-1)?.end ?? 0;
  }

  /** @throws UsercopyError `bad-input` when the pieces do not make sense. */
  static open(file: ByteSource): FlattenedFile {
    const header = file.read(0, 32);
    const type = header && new Words(header, BIG).int64(16);
    if (type !== TYPE_FLATTENED) throw badInput(file.path, 'a flattened dump of type 1', `type ${type ?? 'unknown'}`);
    return new FlattenedFile(file, disjoint(readPieces(file)));
  }

  read(offset: number, length: number): Uint8Array | undefined {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > this.size) return undefined;
    const first = this.#pieces[this.#indexOf(offset)];
    if (first && offset >= first.start && offset + length <= first.end) {
      return this.#file.read(first.at + (offset - first.start), length);
    }
    const bytes = new Uint8Array(length);
    return this.readInto(offset, bytes) ? bytes : undefined;
  }

  readInto(offset: number, target: Uint8Array): boolean {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + target.length > this.size) return false;
    let index = this.#indexOf(offset);
    for (let done = 0; done < target.length; ) {
      const piece = this.#pieces[index];
      const at = offset + done;
      if (!piece || piece.start >= offset + target.length) {
        target.fill(0, done);
        return true;
      }
      // Places that nobody wrote read as zero, as in a sparse file.
      if (at < piece.start) {
        const hole = piece.start - at;
        target.fill(0, done, done + hole);
        done += hole;
        continue;
      }
      const count = Math.min(target.length - done, piece.end - at);
      if (!this.#file.readInto(piece.at + (at - piece.start), target.subarray(done, done + count))) return false;
      done += count;
      index++;
    }
    return true;
  }

  *extents(start: number, end: number): Iterable<ByteExtent> {
    for (let index = this.#indexOf(start); ; index++) {
      const piece = this.#pieces[index];
      if (piece === undefined || piece.start >= end) return;
      yield { start: Math.max(start, piece.start), end: Math.min(end, piece.end) };
    }
  }

  close(): void {
    this.#file.close();
  }

  /** The first piece that ends after `offset`. */
  #indexOf(offset: number): number {
    return countBefore(this.#pieces, ({ end }) => end <= offset);
  }
}

function readPieces(file: ByteSource): Piece[] {
  const pieces: Piece[] = [];
  for (let at = HEADER_SIZE; ; ) {
    const record = file.read(at, RECORD_SIZE);
    // A stream that broke off has no end mark: what came is used.
    if (!record) return pieces;
    const view = new Words(record, BIG);
    const offset = view.int64(0);
    const size = view.int64(8);
    if (offset === -1n && size === -1n) return pieces;
    if (offset < 0n || size <= 0n || offset + size > LARGEST_SIZE) {
      throw badInput(`${file.path}: piece at byte ${at}`, 'an offset and a size', `${offset} and ${size}`);
    }
    if (pieces.length === MAXIMUM_PIECES) throw badInput(file.path, `at most ${MAXIMUM_PIECES} pieces`, 'more');
    at += RECORD_SIZE;
    const present = Math.min(Number(size), Math.max(file.size - at, 0));
    if (present > 0) {
      pieces.push({ start: Number(offset), end: Number(offset) + present, at, rank: -pieces.length });
    }
    at += Number(size);
  }
}

/** Each byte belongs to the piece that was written last. */
function disjoint(pieces: readonly Piece[]): Piece[] {
  pieces = [...pieces].sort((a, b) => a.start - b.start);
  if (lieApart(pieces)) return [...pieces];
  return disjointIntervals<number, Piece>(pieces).map(({ start, end, owner }) => ({
    start,
    end,
    at: owner.at + (start - owner.start),
    rank: owner.rank,
  }));
}
