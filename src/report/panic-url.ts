/**
 * The address in the QR code of a kernel that panicked with drm_panic (6.12 on): its parameter `zl` is the log, packed by zlib,
 * as decimal digits. drivers/gpu/drm/drm_panic_qr.rs knew two ways to write bytes as digits: 13 bits, most significant first, as
 * 4 digits (6.12), then 7 bytes, least significant first, as 17 digits.
 */
import { inflateSome } from '../kernel/payload/portable-zlib.js';

/** Stands before the digits in such an address. */
export const PANIC_MARK = 'zl=';
const DIGITS = /\d{16,20000}/y;
/** What stands before the mark in an address, at most so many characters. */
const ADDRESS = /(?:^|[\s<"'(])https?:\/\/\S{0,2000}?[?&#]$/;
const LONGEST_ADDRESS = 2010;
/** A log that a QR code holds is some KiB. */
const LARGEST_LOG = 1 << 20;

/** The digits of the first such address in a text; null where there is none. Takes time in proportion to the text. */
export const panicDigits = (text: string): string | null => digitsIn(text).next().value?.digits ?? null;

/** Of every such address, in the order of the text. */
function* digitsIn(text: string): Generator<{ readonly digits: string; readonly at: number }, undefined> {
  // What was looked at for one mark is not looked at for the next.
  let seen = 0;
  for (let at = text.indexOf(PANIC_MARK); at >= 0; at = text.indexOf(PANIC_MARK, at + PANIC_MARK.length)) {
    DIGITS.lastIndex = at + PANIC_MARK.length;
    const digits = DIGITS.exec(text)?.[0];
    if (digits === undefined) continue;
    if (ADDRESS.test(text.slice(Math.max(seen, at - LONGEST_ADDRESS), at))) yield { digits, at };
    seen = at;
  }
}

/** Digits that a remainder of so many bytes takes. */
const DIGITS_OF_BYTES: readonly number[] = [0, 3, 5, 8, 10, 13, 15, 17];

function bytesOfSevens(digits: string): Uint8Array | null {
  const bytes: number[] = [];
  for (let at = 0; at < digits.length; at += 17) {
    const piece = digits.slice(at, at + 17);
    const count = DIGITS_OF_BYTES.indexOf(piece.length);
    if (count < 0) return null;
    let value = BigInt(piece);
    for (let index = 0; index < count; index++) {
      bytes.push(Number(value & 0xffn));
      value >>= 8n;
    }
    if (value !== 0n) return null;
  }
  return Uint8Array.from(bytes);
}

/** Bits that a last group of so many digits holds, at most: what is left of the last byte is no byte. */
const BITS_OF_DIGITS = [0, 4, 7, 10, 13] as const;

function bytesOfThirteens(digits: string): Uint8Array | null {
  const groups = digits.match(/\d{1,4}/g) ?? [];
  const bits = groups.reduce((sum, group) => sum + (BITS_OF_DIGITS[group.length] ?? 0), 0);
  const bytes = new Uint8Array(bits >> 3);
  let held = 0;
  let heldBits = 0;
  let at = 0;
  for (const [index, group] of groups.entries()) {
    const isLast = index === groups.length - 1;
    const width = isLast ? bytes.length * 8 - 13 * (groups.length - 1) : 13;
    const value = Number(group);
    if (width <= 0 || value >= 1 << width) return null;
    held = held * (1 << width) + value;
    heldBits += width;
    while (heldBits >= 8) {
      heldBits -= 8;
      const byte = Math.floor(held / 2 ** heldBits);
      bytes[at++] = byte;
      held -= byte * 2 ** heldBits;
    }
  }
  return bytes;
}

/** The first two bytes of a zlib stream (RFC 1950). */
const isZlib = (bytes: Uint8Array): boolean =>
  bytes.length > 2 && ((bytes[0] ?? 0) & 0xf) === 8 && (((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)) % 31 === 0;

export interface PanicLog {
  readonly text: string;
  /** False: a digit is wrong or missing, and what follows that place is not to be believed. */
  readonly whole: boolean;
}

/** The log that an address's digits hold; null where they hold none. */
export function panicLog(digits: string): PanicLog | null {
  const found = [bytesOfSevens, bytesOfThirteens].flatMap((decode) => {
    const bytes = decode(digits);
    if (bytes === null || !isZlib(bytes)) return [];
    const log = inflateSome(bytes, LARGEST_LOG);
    return log === null || log.bytes.length === 0 ? [] : [log];
  });
  const best = found.find(({ whole }) => whole) ?? found.sort((a, b) => b.bytes.length - a.bytes.length)[0];
  return best === undefined ? null : { text: new TextDecoder().decode(best.bytes), whole: best.whole };
}

export interface LoggedIn {
  readonly log: string;
  /** Where in the text the digits of it begin. */
  readonly at: number;
  /** What a reader of the log must know. */
  readonly notes: readonly string[];
}

/** Addresses with a log that are read in one text: an archive may have many; each costs the unpacking of some KiB. */
const MOST_LOGS = 1000;

/** The logs of all such addresses in a text; an address that holds none is passed over. */
export function loggedIn(text: string): readonly LoggedIn[] {
  const found: LoggedIn[] = [];
  for (const { digits, at } of digitsIn(text)) {
    const log = panicLog(digits);
    if (log === null) continue;
    const from = "the log is the one in a panic's QR code";
    const notes = [log.whole ? from : `${from}; a digit of it is wrong or missing: its end is not to be believed`];
    found.push({ log: log.text, at, notes });
    if (found.length >= MOST_LOGS) break;
  }
  return found;
}
