/** A view as the address's fragment: packed, in letters that an address may have. Nothing of it is sent anywhere. */

/** What a link brings back. */
export interface Linked {
  readonly tab: string;
  /** The log, or the small memory of the play tab as JSON. */
  readonly text?: string;
  readonly chosen?: number;
}

/** Longer addresses are cut by mail programs and refused by browsers. */
export const LONGEST_LINK = 64_000;
/** A link can be made by anybody: what it unpacks to is read no further than this. */
const LONGEST_TEXT = 16 << 20;

/** Bytes packed or unpacked. @throws RangeError for more than `limit` bytes of what comes out. */
export async function through(
  stream: CompressionStream | DecompressionStream,
  bytes: Uint8Array,
  limit: number,
): Promise<Uint8Array> {
  const writer = stream.writable.getWriter();
  // No shared memory reaches a page.
  const written = writer.write(bytes as Uint8Array<ArrayBuffer>).then(() => writer.close());
  written.catch(() => {});
  const reader = stream.readable.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > limit) {
      await reader.cancel();
      throw new RangeError('too long');
    }
    parts.push(value);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The fragment, without `#`. */
export async function fragmentOf(linked: Linked): Promise<string> {
  const packed = await through(
    new CompressionStream('deflate-raw'),
    new TextEncoder().encode(JSON.stringify(linked)),
    LONGEST_TEXT,
  );
  let letters = '';
  for (const byte of packed) letters += String.fromCharCode(byte);
  return `v1.${btoa(letters).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')}`;
}

/** What a fragment holds; null for an empty one, and a sentence for one that cannot be read. */
export async function readFragment(fragment: string): Promise<Linked | string | null> {
  const text = fragment.replace(/^#/, '');
  if (text === '') return null;
  const unreadable = 'The link could not be read: a part of it is missing or changed.';
  const letters = /^v1\.([\w-]+)$/.exec(text)?.[1];
  if (letters === undefined) return unreadable;
  try {
    const packed = Uint8Array.from(atob(letters.replaceAll('-', '+').replaceAll('_', '/')), (letter) =>
      letter.charCodeAt(0),
    );
    const json = new TextDecoder().decode(await through(new DecompressionStream('deflate-raw'), packed, LONGEST_TEXT));
    // As fragmentOf() wrote it; of anything else only what has the right type is taken.
    const { tab, text: log, chosen } = JSON.parse(json) as Record<string, unknown>;
    return {
      tab: String(tab),
      ...(typeof log === 'string' ? { text: log } : {}),
      ...(typeof chosen === 'number' && Number.isSafeInteger(chosen) && chosen >= 0 ? { chosen } : {}),
    };
  } catch {
    return unreadable;
  }
}
