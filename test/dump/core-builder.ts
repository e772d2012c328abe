/** Builds small ELF core files by hand, laid out from the ELF specification and not by our reader. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CorePiece {
  readonly physical: bigint;
  /** Default 0. */
  readonly virtual?: bigint;
  readonly bytes: Uint8Array;
  /** Overrides, for broken files. */
  readonly offset?: bigint;
  readonly fileSize?: bigint;
  readonly memorySize?: bigint;
}

export interface CoreOptions {
  readonly wide?: boolean;
  readonly little?: boolean;
  readonly machine?: number;
  readonly notes?: readonly { readonly owner: string; readonly type: number; readonly data: Uint8Array }[];
  /** Written to e_phnum instead of the real count. */
  readonly count?: number;
  /** Put the real count into section header 0 (PN_XNUM). */
  readonly extended?: boolean;
  /** Bytes between the headers and the first segment: dumps need not align them. */
  readonly gap?: number;
}

export function buildCore(pieces: readonly CorePiece[], options: CoreOptions = {}): Uint8Array {
  const wide = options.wide ?? true;
  const little = options.little ?? true;
  const notes = buildNotes(options.notes ?? [], little);
  const headerSize = wide ? 64 : 52;
  const entrySize = wide ? 56 : 32;
  const sectionSize = wide ? 64 : 40;
  const sections = options.extended ? sectionSize : 0;
  const entries = pieces.length + 1;
  let offset = headerSize + sections + entries * entrySize;
  const noteOffset = offset;
  offset += notes.length + (options.gap ?? 3);
  const placed = pieces.map((piece) => {
    const at = offset;
    offset += piece.bytes.length;
    return at;
  });
  const file = Buffer.alloc(offset);
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const half = (at: number, value: number) => view.setUint16(at, value, little);
  const word = (at: number, value: number) => view.setUint32(at, value, little);
  const long = (at: number, value: bigint) =>
    wide ? view.setBigUint64(at, value, little) : view.setUint32(at, Number(value & 0xffffffffn), little);
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, little ? 1 : 2, 1]);
  half(16, 4);
  half(18, options.machine ?? 62);
  word(20, 1);
  long(wide ? 32 : 28, BigInt(headerSize + sections));
  long(wide ? 40 : 32, options.extended ? BigInt(headerSize) : 0n);
  half(wide ? 54 : 42, entrySize);
  half(wide ? 56 : 44, options.extended ? 0xffff : (options.count ?? entries));
  if (options.extended) word(headerSize + (wide ? 44 : 28), entries);
  const entry = (
    index: number,
    type: number,
    at: bigint,
    virtual: bigint,
    physical: bigint,
    size: bigint,
    memory: bigint,
  ) => {
    const base = headerSize + sections + index * entrySize;
    word(base, type);
    const step = wide ? 8 : 4;
    const first = base + (wide ? 8 : 4);
    for (const [position, value] of [at, virtual, physical, size, memory].entries())
      long(first + position * step, value);
  };
  entry(0, 4, BigInt(noteOffset), 0n, 0n, BigInt(notes.length), 0n);
  for (const [index, piece] of pieces.entries()) {
    const size = piece.fileSize ?? BigInt(piece.bytes.length);
    entry(
      index + 1,
      1,
      piece.offset ?? BigInt(placed[index]!),
      piece.virtual ?? 0n,
      piece.physical,
      size,
      piece.memorySize ?? size,
    );
    file.set(piece.bytes, placed[index]!);
  }
  file.set(notes, noteOffset);
  return file;
}

function buildNotes(notes: NonNullable<CoreOptions['notes']>, little: boolean): Uint8Array {
  const parts = notes.map(({ owner, type, data }) => {
    const name = Buffer.from(`${owner}\0`);
    const nameEnd = 12 + Math.ceil(name.length / 4) * 4;
    const note = Buffer.alloc(nameEnd + Math.ceil(data.length / 4) * 4);
    const view = new DataView(note.buffer, note.byteOffset, note.length);
    view.setUint32(0, name.length, little);
    view.setUint32(4, data.length, little);
    view.setUint32(8, type, little);
    note.set(name, 12);
    note.set(data, nameEnd);
    return note;
  });
  return Buffer.concat(parts);
}

/** A directory of temporary files. */
export class Scratch {
  readonly directory = mkdtempSync(join(tmpdir(), 'usercopy-dump-'));
  #count = 0;

  write(bytes: Uint8Array): string {
    const path = join(this.directory, `${this.#count++}.vmcore`);
    writeFileSync(path, bytes);
    return path;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Deterministic numbers in [0, 2^32): xorshift32. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}
