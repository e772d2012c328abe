/**
 * Files of an .rpm: a lead of 96 bytes, two headers (the signature's padded to 8 bytes), then a compressed cpio archive in
 * its "newc" form (rpm's doc/manual/format_v4.md; cpio(5)).
 */
import { badInput } from '../errors.js';
import { BIG, Words } from '../kernel/words.js';

const LEAD_MAGIC = 0xedabeedb;
const LEAD = 96;
const HEADER_MAGIC = 0x8eade801;
const HEADER = 16;
const ENTRY = 16;
/** A header's fields: 8 hexadecimal digits each. */
const CPIO_HEADER = 110;
const CPIO_MAGIC = /^07070[12]$/;
const REGULAR_FILE = 0o100000;
const KIND = 0o170000;

export function isRpm(bytes: Uint8Array): boolean {
  return bytes.length > LEAD && new Words(bytes, BIG).uint32(0) === LEAD_MAGIC;
}

/** Where the payload begins. @throws UsercopyError `bad-input` for a damaged file. */
export function rpmPayload(bytes: Uint8Array, where: string): number {
  let at = LEAD;
  for (const padded of [true, false]) {
    const words = new Words(bytes, BIG);
    if (at + HEADER > bytes.length || words.uint32(at) !== HEADER_MAGIC)
      throw badInput(where, `an rpm header at byte ${at}`, 'something else');
    const size = HEADER + words.uint32(at + 8) * ENTRY + words.uint32(at + 12);
    at += padded ? Math.ceil(size / 8) * 8 : size;
  }
  if (at >= bytes.length) throw badInput(where, `a payload at byte ${at}`, `a file of ${bytes.length} bytes`);
  return at;
}

/** Regular files of a cpio archive. @throws UsercopyError `bad-input` for a damaged one. */
export function* cpioFiles(bytes: Uint8Array, where: string): Iterable<{ name: string; contents: Uint8Array }> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + CPIO_HEADER <= bytes.length; ) {
    const field = (index: number): number => {
      const value = Number.parseInt(text.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
      if (Number.isNaN(value)) throw badInput(where, `a number in the cpio header at byte ${at}`, 'something else');
      return value;
    };
    if (!CPIO_MAGIC.test(text.toString('latin1', at, at + 6)))
      throw badInput(where, `a cpio header at byte ${at}`, 'something else');
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const start = Math.ceil((at + CPIO_HEADER + nameSize) / 4) * 4;
    if (nameSize === 0 || start + size > bytes.length)
      throw badInput(where, `a cpio entry of ${size} bytes at byte ${at}`, 'the end of the archive');
    const name = text.toString('utf8', at + CPIO_HEADER, at + CPIO_HEADER + nameSize - 1);
    if (name === 'TRAILER!!!') return;
    if ((mode & KIND) === REGULAR_FILE) yield { name, contents: bytes.subarray(start, start + size) };
    at = start + Math.ceil(size / 4) * 4;
  }
}
