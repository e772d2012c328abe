/**
 * Bytes and text, wherever this runs. Node.js searches and decodes in native code through its `Buffer`; without one the
 * same is done here.
 */
const nodeBuffer = typeof Buffer === 'undefined' ? null : Buffer;

const CHARACTERS_AT_ONCE = 4096;

/** The same bytes as Node.js sees them. */
const viewed = (node: typeof Buffer, bytes: Uint8Array): Buffer =>
  node.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** One character for each byte (ISO 8859-1), of the bytes from `start` to `end`. */
export function latin1(bytes: Uint8Array, start = 0, end = bytes.length): string {
  if (nodeBuffer) return viewed(nodeBuffer, bytes).toString('latin1', start, end);
  let text = '';
  for (let at = start; at < end; at += CHARACTERS_AT_ONCE) {
    text += String.fromCharCode(...bytes.subarray(at, Math.min(end, at + CHARACTERS_AT_ONCE)));
  }
  return text;
}

/** A byte for each character; only its low eight bits count. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Where `wanted` first stands in `bytes`, from `start` on; -1 when it does not. */
export function indexOfBytes(bytes: Uint8Array, wanted: Uint8Array, start = 0): number {
  if (nodeBuffer) return viewed(nodeBuffer, bytes).indexOf(wanted, start);
  // A byte that is rare in kernels: neither 0 nor 0xff, where there is one.
  const rare = Math.max(
    0,
    wanted.findIndex((byte) => byte !== 0 && byte !== 0xff),
  );
  const sought = wanted[rare];
  if (sought === undefined) return Math.min(start, bytes.length);
  for (let at = bytes.indexOf(sought, start + rare); at >= 0; at = bytes.indexOf(sought, at + 1)) {
    if (at - rare + wanted.length > bytes.length) return -1;
    if (isAt(bytes, wanted, at - rare)) return at - rare;
  }
  return -1;
}

/** Everywhere that `wanted` stands in `bytes`, in order; occurrences may overlap. Nothing stands nowhere. */
export function* occurrences(bytes: Uint8Array, wanted: Uint8Array): Iterable<number> {
  if (wanted.length === 0) return;
  for (let at = indexOfBytes(bytes, wanted); at >= 0; at = indexOfBytes(bytes, wanted, at + 1)) yield at;
}

function isAt(bytes: Uint8Array, wanted: Uint8Array, offset: number): boolean {
  for (let at = 0; at < wanted.length; at++) if (bytes[offset + at] !== wanted[at]) return false;
  return true;
}

export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (nodeBuffer) return viewed(nodeBuffer, left).equals(right);
  return left.length === right.length && isAt(left, right, 0);
}

/** One after the other. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** Two hexadecimal digits for each byte. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
