/** Characters as the kernel printed them, in place of what terminals, web pages, word processors and mailers make of them. */

const ENTITIES: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
  nbsp: ' ',
};
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals' colours are control characters.
const TERMINAL = /\u001b\[[0-9;?]{0,20}[A-Za-z]|[\u0000-\u0008\u000b-\u001f\u007f]/g;
/** Elements that stand inside a line, in HTML and in the square brackets of forums. */
const INLINE =
  /<\/?(?:a|abbr|b|bdi|big|br|blockquote|body|code|dd|del|div|dl|dt|em|font|h[1-6]|head|hr|html|i|ins|kbd|li|mark|meta|ol|p|pre|s|samp|section|small|span|strong|sub|sup|table|tbody|td|th|thead|title|tr|tt|u|ul|var|wbr)(?:\s[^<>]{0,1000})?\/?>|\[\/?(?:font|color|size|b|i|u|code|quote|url|pre|spoiler)(?:=[^\][]{0,100})?\]/gi;

/** `&lt;`, `&#39;`, `&#x27;`. */
export function decodeEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,6})|#x([0-9a-f]{1,5})|([a-z]{2,5}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code >= 32 && code <= 0x10ffff ? String.fromCodePoint(code) : ' ';
  });
}

/** Spaces and quotation marks as the kernel prints them. */
function plainCharacters(text: string): string {
  return text
    .replace(/[\u00a0\u2000-\u200a\u202f\u3000]/g, ' ')
    .replace(/[\u200b\u200e\u200f\u2060\ufeff]/g, '')
    .replace(/[\u2018\u2019\u201a\u2032]/g, "'")
    .replace(/[\u201c\u201d\u201e\u2033]/g, '"');
}

/** One line, without its end: marks of carriage returns, entities, tags and colours are taken away. */
export function plainLine(raw: string): string {
  let line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
  if (line.endsWith('^M')) line = line.slice(0, -2);
  if (line.includes('<') || line.includes('[')) line = line.replace(INLINE, '');
  if (line.includes('&')) {
    line = decodeEntities(line);
    // A page that quotes a page.
    if (/&(?:#|lt;|gt;|quot;|apos;)/.test(line)) line = decodeEntities(line);
    if (line.includes('<')) line = line.replace(INLINE, '');
  }
  return plainCharacters(line.replace(TERMINAL, ''));
}

const utf8 = new TextDecoder();

/** The octets of `=C3=BC` in a row as the text that they are in UTF-8; Latin-1 where they are none. */
function decodeOctets(encoded: string): string {
  const octets = Uint8Array.from(encoded.slice(1).split('='), (hex) => Number.parseInt(hex, 16));
  const text = utf8.decode(octets);
  return text.includes('\ufffd') ? String.fromCharCode(...octets) : text;
}

/** One line of quoted-printable text (RFC 2045), without the `=` that joins it to the next. */
export const decodeQuotedPrintable = (line: string): string =>
  line.includes('=') ? line.replace(/(?:=[0-9A-Fa-f]{2}){1,400}/g, decodeOctets) : line;
