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
/** Colours whose escape was copied as two characters (`^[[31m`), as its picture, or not at all. */
const SHOWN_COLOUR = /(?:\^\[|\u241b)\[[0-9;?]{0,20}[A-Za-z]|\[\d{1,3}(?:;\d{1,3}){0,4}m/g;
/** What Markdown puts a backslash before; no line of an oops has one. */
const ESCAPED = /\\([_*[\]<>#()~+\-.!{}])/g;
/** `[mm/usercopy.c:102](https://…)` of Markdown, `<https://…|mm/usercopy.c:102>` of Slack. */
const LINK =
  /\[([^\][]{1,200})\]\((?:https?:\/\/|mailto:)[^\s()]{1,600}\)|<(?:https?:\/\/|mailto:)[^\s|<>]{1,600}\|([^<>]{1,200})>/g;
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

/** Characters as the kernel prints them, which has ASCII alone for its own words: blanks, quotation marks, hyphens, ligatures. */
function plainCharacters(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII begins with them.
  if (!/[^\u0000-\u007f]/.test(text)) return text;
  return text
    .replace(/[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g, ' ')
    .replace(/[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]/g, '')
    .replace(/[\u2018\u2019\u201a\u201b\u2032]/g, "'")
    .replace(/[\u201c\u201d\u201e\u2033]/g, '"')
    .replace(/(?<=\w)\u2013(?=\w)|[\u2010-\u2012\u2212\ufe63]/g, '-')
    .replace(/\u2013/g, '--')
    .replace(/[\u2014\u2015]/g, '---')
    .replace(/[\ufb00-\ufb06\uff01-\uff5e]/g, (letter) => letter.normalize('NFKC'))
    .replace(/(?<=\b0)\u00d7(?=[0-9a-f])/g, 'x');
}

/** One line, without its end: marks of carriage returns, entities, tags and colours are taken away. */
export function plainLine(raw: string): string {
  let line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
  if (line.endsWith('^M')) line = line.slice(0, -2);
  if (line.includes('[')) line = line.replace(SHOWN_COLOUR, '');
  if (line.includes('\\')) line = line.replace(ESCAPED, '$1');
  if (line.includes('://') || line.includes('mailto:')) line = line.replace(LINK, '$1$2');
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
