/** How the bytes of a log are to be read, by the first of them. */

export type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be';

/** By the mark at its start, or by where its zeros are: letters of UTF-16 have one each, on the same side. */
export function encodingOf(head: Uint8Array): Encoding {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le';
  if (head[0] === 0xfe && head[1] === 0xff) return 'utf-16be';
  let even = 0;
  let odd = 0;
  const pairs = Math.floor(Math.min(head.length, 4096) / 2);
  let letters = 0;
  for (let pair = 0; pair < pairs; pair++) {
    const first = head[2 * pair];
    const second = head[2 * pair + 1];
    // Zeros alone are what a machine that lost its power leaves.
    if (first === 0 && second === 0) continue;
    letters++;
    if (first === 0) even++;
    if (second === 0) odd++;
  }
  if (letters < 8) return 'utf-8';
  if (odd > 0.8 * letters && even === 0) return 'utf-16le';
  return even > 0.8 * letters && odd === 0 ? 'utf-16be' : 'utf-8';
}

/** Whether bytes can be a log's: text in one of the encodings, zeros aside. */
export function looksLikeText(head: Uint8Array): boolean {
  const text = new TextDecoder(encodingOf(head)).decode(head).replaceAll('\0', '');
  const LEAST = 0.9;
  let plain = 0;
  for (const letter of text) {
    const code = letter.codePointAt(0) ?? 0;
    if ((code >= 0x20 && code !== 0x7f && code !== 0xfffd) || (code >= 7 && code <= 13) || code === 0x1b) plain++;
  }
  return text.length === 0 || plain >= LEAST * [...text].length;
}
