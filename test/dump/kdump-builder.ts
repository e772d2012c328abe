/** Builds kdump-compressed and flattened dumps by hand, laid out from makedumpfile's diskdump_mod.h and not by our reader. */
import { deflateSync } from 'node:zlib';

export interface KdumpPage {
  readonly number: number;
  readonly bytes: Uint8Array;
  /** DUMP_DH_COMPRESSED_*; 0: as it is. */
  readonly flags?: number;
  /** What stands in the file, when it is not what `flags` makes of `bytes`. */
  readonly packed?: Uint8Array;
}

export interface KdumpOptions {
  readonly bits?: 32 | 64;
  readonly little?: boolean;
  readonly machine?: string;
  /** Pages that the machine has and the file has not. */
  readonly leftOut?: readonly number[];
  readonly notes?: Uint8Array;
  readonly vmcoreinfo?: Uint8Array;
  readonly maximumPage?: bigint;
  readonly bitmapBlocks?: number;
}

const BLOCK = 4096;

export function buildKdump(pages: readonly KdumpPage[], options: KdumpOptions = {}): Buffer {
  const wide = (options.bits ?? 64) === 64;
  const little = options.little ?? true;
  const machine = options.machine ?? 'x86_64';
  const bitmapBlocks = options.bitmapBlocks ?? 2;
  const dataStart = (2 + bitmapBlocks) * BLOCK;
  const sorted = [...pages].sort((a, b) => a.number - b.number);
  const packed = sorted.map((page) => page.packed ?? (page.flags === 1 ? deflateSync(page.bytes) : page.bytes));
  const notes = options.notes ?? new Uint8Array(0);
  const vmcoreinfo = options.vmcoreinfo ?? new Uint8Array(0);
  const notesAt = dataStart + sorted.length * 24;
  const vmcoreinfoAt = notesAt + notes.length;
  let offset = vmcoreinfoAt + vmcoreinfo.length;
  const file = Buffer.alloc(offset + packed.reduce((sum, bytes) => sum + bytes.length, 0));
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const word = (at: number, value: number) => view.setUint32(at, value, little);
  const long = (at: number, value: bigint) => view.setBigUint64(at, value, little);

  file.write('KDUMP   ', 0, 'latin1');
  word(8, 6);
  file.write(machine, 12 + 4 * 65, 'latin1');
  const status = wide ? 424 : 412;
  word(status + 4, BLOCK);
  word(status + 8, 1);
  word(status + 12, bitmapBlocks);
  const maximumPage = options.maximumPage ?? BigInt((sorted.at(-1)?.number ?? 0) + 9);
  word(status + 16, Number(maximumPage & 0xffff_ffffn));
  const align8 = wide || !/^i[3-6]86$/.test(machine);
  // struct kdump_sub_header, member by member.
  const at = wide
    ? { vmcoreinfo: 32, vmcoreinfoSize: 40, note: 48, noteSize: 56, maximum: 96 }
    : align8
      ? { vmcoreinfo: 24, vmcoreinfoSize: 32, note: 40, noteSize: 48, maximum: 88 }
      : { vmcoreinfo: 20, vmcoreinfoSize: 28, note: 32, noteSize: 40, maximum: 72 };
  const size = (place: number, value: number) => (wide ? long(place, BigInt(value)) : word(place, value));
  long(BLOCK + at.vmcoreinfo, BigInt(vmcoreinfoAt));
  size(BLOCK + at.vmcoreinfoSize, vmcoreinfo.length);
  long(BLOCK + at.note, BigInt(notesAt));
  size(BLOCK + at.noteSize, notes.length);
  long(BLOCK + at.maximum, maximumPage);

  const second = 2 * BLOCK + (bitmapBlocks * BLOCK) / 2;
  const set = (start: number, page: number) => {
    const byte = start + (page >> 3);
    if (byte < dataStart) file[byte] = file[byte]! | (1 << (page & 7));
  };
  for (const { number } of sorted) {
    set(2 * BLOCK, number);
    set(second, number);
  }
  for (const page of options.leftOut ?? []) set(2 * BLOCK, page);
  sorted.forEach((page, index) => {
    const descriptor = dataStart + index * 24;
    long(descriptor, BigInt(offset));
    word(descriptor + 8, packed[index]!.length);
    word(descriptor + 12, page.flags ?? 0);
    file.set(packed[index]!, offset);
    offset += packed[index]!.length;
  });
  file.set(notes, notesAt);
  file.set(vmcoreinfo, vmcoreinfoAt);
  return file;
}

/** The pieces as `makedumpfile -F` writes them, in the order given. */
export function buildFlattened(pieces: readonly { readonly offset: number; readonly bytes: Uint8Array }[]): Buffer {
  const header = Buffer.alloc(4096);
  header.write('makedumpfile', 0, 'latin1');
  header.writeBigInt64BE(1n, 16);
  header.writeBigInt64BE(1n, 24);
  const record = (offset: bigint, size: bigint) => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigInt64BE(offset, 0);
    bytes.writeBigInt64BE(size, 8);
    return bytes;
  };
  return Buffer.concat([
    header,
    ...pieces.flatMap(({ offset, bytes }) => [record(BigInt(offset), BigInt(bytes.length)), Buffer.from(bytes)]),
    record(-1n, -1n),
  ]);
}
