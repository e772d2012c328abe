/** The usercopy line itself, in every wording from PaX to today, out of lines that may have been broken anywhere. */
import { messageStart } from './anchors.js';
import { canonicalOf, type ReadMessage, readSqueezed, squeeze, startsSqueezed } from './grammar.js';
import type { LogLine } from './log-lines.js';
import type { UsercopyMessage } from './report.js';

/** Lines that a narrow terminal makes of one. */
const MOST_PIECES = 12;
const LONGEST_MESSAGE = 600;
/** Another record in the same line: consoles that two CPUs write to at once. */
const RECORD_INSIDE = /(?:<\d{1,3}>)?\[ {0,6}\d{1,10}\.\d{6}\]/;

const STARTS = ['usercopy:', 'PAX:', 'grsec:', 'Bad or missing usercopy whitelist?'].flatMap((subsystem) =>
  ['exposure', 'overwrite', 'leak'].map((attempt) => `${subsystem} kernel memory ${attempt} attempt detected`),
);

const SQUEEZED_STARTS = STARTS.map((start) => squeeze(start).toLowerCase());
const FIRST_LETTER = new RegExp(`\\b[${[...new Set(SQUEEZED_STARTS.map((start) => start[0]))].join('')}]`, 'gi');
const MOST_BLANKS_AT_END = 4;

/**
 * Where in a text such a start begins in whose middle the text ends, with a blank at most between two letters; null where none
 * does. As one regular expression, letter behind letter, it took a tenth of a second to be compiled, in every process.
 */
function begunStart(text: string): number | null {
  const own = text.trimEnd();
  if (text.length - own.length > MOST_BLANKS_AT_END) return null;
  for (const { index } of own.matchAll(FIRST_LETTER)) {
    const begun = own.slice(index);
    const squeezed = squeeze(begun).toLowerCase();
    if (!/\s{2}/.test(begun) && SQUEEZED_STARTS.some((start) => start.startsWith(squeezed))) return index;
  }
  return null;
}

export const startsMessage = (text: string): boolean => messageStart(text) !== null;

export interface MessageFound {
  readonly message: UsercopyMessage;
  /** Where it begins in its first line. */
  readonly start: number;
  /** Lines that it takes. */
  readonly length: number;
  /** A line break stood inside one of its words or numbers. */
  readonly insideWord: boolean;
  /** All other ways to join its pieces inside a name, as the kernel would have written them. */
  readonly alternatives: readonly UsercopyMessage[];
  readonly notes: readonly string[];
}

interface Piece {
  readonly text: string;
  readonly blankAtEnd: boolean;
  readonly blankAtStart: boolean;
}

/** Reads the message that starts in line `at`; null when none does. */
export function messageAt(
  lines: readonly LogLine[],
  at: number,
  endsBefore: (text: string) => boolean,
): MessageFound | null {
  const first = lines[at];
  if (first === undefined) return null;
  const start = messageStart(first.text) ?? startOverBreak(lines, at);
  if (start === null) return null;
  const own = first.text.slice(start, start + LONGEST_MESSAGE);
  const other = RECORD_INSIDE.exec(own);
  const head: Piece = {
    text: other === null ? own : own.slice(0, other.index).trimEnd(),
    blankAtEnd: first.blanksAtEnd > 0,
    blankAtStart: false,
  };
  let pieces: Piece[] = [head];
  let length = 1;
  let read = readPieces(pieces);
  if (other === null && read?.whole !== true) {
    const found = withMore(lines, at, pieces, read, endsBefore);
    pieces = found.pieces;
    length = found.lines;
    read = found.read;
  }
  const after = lines[at + length];
  if (read?.whole === true && after?.text === '!' && !after.prefixed && !after.gap) {
    // A terminal broke the line before its last character.
    pieces = [...pieces, { text: '!', blankAtEnd: false, blankAtStart: false }];
    length++;
    read = readPieces(pieces);
  }
  if (read === null) return { ...bare(head.text), start, length: 1 };
  return { ...messageOf(pieces, read), start, length };
}

const readPieces = (pieces: readonly Piece[]): ReadMessage | null =>
  readSqueezed(squeeze(pieces.map(({ text }) => text).join('')));

/** A start that a line break stands in: where the line's rest and the next ones together are one. */
function startOverBreak(lines: readonly LogLine[], at: number): number | null {
  const LONGEST_START = 90;
  const [first, next] = [lines[at], lines[at + 1]];
  if (first === undefined || next === undefined || next.prefixed || next.gap) return null;
  const from = Math.max(0, first.text.length - LONGEST_START);
  const tail = first.text.slice(from);
  const begins = begunStart(tail);
  if (begins === null) return null;
  let joined = tail.slice(begins);
  for (let more = 1; more < MOST_PIECES && joined.length < 2 * LONGEST_START; more++) {
    const line = lines[at + more];
    if (line === undefined || line.prefixed || line.gap) break;
    joined += line.text.slice(0, LONGEST_MESSAGE);
    if (startsSqueezed(squeeze(joined))) return from + begins;
  }
  return null;
}

/**
 * Lines more that make the message whole, or at least take it further in its own words. A line that the log put its prefix
 * before, or that comes after an empty one, must make it whole: nothing else does so by chance.
 */
function withMore(
  lines: readonly LogLine[],
  at: number,
  head: readonly Piece[],
  first: ReadMessage | null,
  endsBefore: (text: string) => boolean,
): { readonly pieces: Piece[]; readonly read: ReadMessage | null; readonly lines: number } {
  let kept = [...head];
  let read = first;
  const pieces = [...head];
  let apart = 0;
  for (let more = 1; more < MOST_PIECES; more++) {
    const line = lines[at + more];
    if (line === undefined || startsMessage(line.text)) break;
    const { text, blanksAtEnd, blanksAtStart } = line;
    if (line.gap || (line.prefixed && lines[at]?.prefixed)) apart++;
    if (apart > 1 || (apart === 0 && endsBefore(text) && !/^\d{1,20}[,) ]/.test(text))) break;
    pieces.push({
      text: text.slice(0, LONGEST_MESSAGE),
      blankAtEnd: blanksAtEnd > 0,
      blankAtStart: blanksAtStart > 0,
    });
    const now = readPieces(pieces);
    if (now === null) {
      // Its start is not over yet.
      if (first === null && apart === 0) continue;
      break;
    }
    if (now.whole && now.place.refusal !== null) return { pieces, read: now, lines: pieces.length };
    const other = now.whole && apart === 0 ? withoutStranger(pieces) : null;
    if (other !== null) return other;
    if (apart === 0 && now.reach > (read?.reach ?? -1)) {
      kept = [...pieces];
      read = now;
    }
  }
  return { pieces: kept, read, lines: kept.length };
}

/** The pieces without one that makes their place none that a kernel knows: somebody's words between two halves of the line. */
function withoutStranger(
  pieces: readonly Piece[],
): { readonly pieces: Piece[]; readonly read: ReadMessage; readonly lines: number } | null {
  for (let index = 1; index < pieces.length - 1; index++) {
    const others = pieces.filter((_, place) => place !== index);
    const read = readPieces(others);
    if (read?.whole === true && read.place.refusal !== null) return { pieces: others, read, lines: pieces.length };
  }
  return null;
}

const CUT_NOTE = 'the message is cut off before its end: its size is not known';

/** A message that does not get as far as its place. */
function bare(text: string): Omit<MessageFound, 'start' | 'length'> {
  const overwrite = /overwrite/i.test(text);
  const pax = /^(?:PAX|grsec): /i.test(text);
  return {
    message: {
      format: pax ? 'pax' : /^Bad/i.test(text) ? 'whitelist warning' : /Kernel memory/.test(text) ? 'new' : 'old',
      text: text.trim(),
      canonical: null,
      direction: overwrite ? 'from_user' : 'to_user',
      refusal: null,
      regionKind: 'special',
      region: '',
      cache: null,
      address: null,
      addressDigits: null,
      noAddress: false,
      offset: null,
      size: null,
      sizeDigits: null,
    },
    insideWord: false,
    alternatives: [],
    notes: [CUT_NOTE],
  };
}

function messageOf(pieces: readonly Piece[], read: ReadMessage): Omit<MessageFound, 'start' | 'length'> {
  const { place, placeAt } = read;
  // Indices of the squeezed text → those of the pieces, each with its own spaces.
  const plain = pieces.map(({ text }) => text).join('\n');
  const letters = [...plain.matchAll(/\S/g)];
  const endOf = (count: number): number => afterLetter(letters[count - 1]);
  const slice = ([begin, end]: readonly [number, number], join: string): string =>
    begin >= end ? '' : plain.slice(letters[begin]?.index, endOf(end)).replaceAll('\n', join);
  const spelled = place.name === null ? null : slice(place.name, '');
  const spaced = place.name === null ? null : slice(place.name, ' ');
  const name = place.nameOpen && !read.whole ? null : spelled;
  const canonical = canonicalOf(read, name);
  const text = joined(pieces, plain.slice(0, endOf(read.length)), canonical ?? unfinished(read, spelled));
  const numbers = addressOf(read.address);
  const message: UsercopyMessage = {
    format: read.format,
    text,
    canonical,
    direction: read.direction,
    refusal: place.refusal,
    regionKind: place.regionKind,
    region: regionOf(read, slice(placeAt, ' '), spelled),
    cache: name,
    address: numbers.address,
    addressDigits: numbers.digits,
    noAddress: read.noAddress,
    offset: read.offset === null ? null : BigInt(read.offset),
    size: read.size === null ? null : BigInt(read.size),
    sizeDigits: read.whole ? null : (/size:?(\d{1,20})$/i.exec(squeeze(text))?.[1] ?? null),
  };
  const notes = [...(read.size === null ? [CUT_NOTE] : []), ...numbers.notes];
  if (spelled !== null && name === null) notes.push('the name of the cache is cut off');
  const other = spaced !== null && spaced !== spelled && name !== null ? canonicalOf(read, spaced) : null;
  const alternatives = other === null ? [] : [{ ...message, canonical: other, cache: spaced }];
  return { message, insideWord: isGlued(pieces, text), alternatives, notes };
}

const afterLetter = (letter: RegExpExecArray | undefined): number => (letter === undefined ? 0 : letter.index + 1);

/** The words of a cut message as far as they are known, to tell where its own spaces are. */
function unfinished(read: ReadMessage, name: string | null): string {
  const attempt = read.direction === 'to_user' ? 'exposure attempt detected from' : 'overwrite attempt detected to';
  const start = read.format === 'whitelist warning' ? 'Bad or missing usercopy whitelist?' : 'usercopy:';
  return `${start} kernel memory ${attempt} ${read.place.canonical.replace('\0', name ?? '')}`;
}

/** A detail in quotation marks that is no name stays as the log shows it: a reader must be able to find it there. */
const DETAIL = "'noarea'";

/** The pieces as one line: a space where the log has one, or where the kernel's own line does. */
function joined(pieces: readonly Piece[], plain: string, kernels: string): string {
  const detail = squeeze(kernels).indexOf(DETAIL);
  const inDetail = (index: number): boolean => detail >= 0 && index > detail && index < detail + DETAIL.length;
  const spaces = new Set<number>();
  let letters = 0;
  for (const letter of kernels) {
    if (letter === ' ') spaces.add(letters);
    else letters++;
  }
  const knows = squeeze(kernels).toLowerCase().startsWith(squeeze(plain).toLowerCase().slice(0, letters));
  let text = '';
  let passed = 0;
  for (const [index, part] of plain.split('\n').entries()) {
    if (index > 0) {
      const blank = pieces[index - 1]?.blankAtEnd || pieces[index]?.blankAtStart;
      text += blank || !knows || passed >= letters || spaces.has(passed) || inDetail(passed) ? ' ' : '';
    }
    text += part;
    passed += squeeze(part).length;
  }
  return text.replace(/\s+/g, ' ').trim();
}

/** Whether two pieces stand together in a text without a space between them. */
const isGlued = (pieces: readonly Piece[], text: string): boolean =>
  pieces.slice(1).some((piece, index) => {
    const before = (pieces[index]?.text ?? '').trim().slice(-8);
    const after = piece.text.trim().slice(0, 4);
    return text.includes(`${before}${after}`);
  });

function regionOf(read: ReadMessage, place: string, name: string | null): string {
  if (name !== null) return name;
  const { canonical, refusal, regionKind } = read.place;
  if (refusal !== null && regionKind === 'special' && !squeeze(canonical).includes(DETAIL)) return canonical;
  const notIn = /\bnot in SL[AU]B page\?!/.exec(canonical)?.[0];
  if (notIn !== undefined) return notIn;
  const shown = place.replace(/\s+/g, ' ').trim();
  const [words] = refusal === null ? [''] : canonical.split("'");
  const detail = shown.indexOf("'");
  return detail < 0 || words === '' ? shown : `${words}${shown.slice(detail)}`;
}

/** `%p` prints every digit of a word, so that another number of them is a piece of one. */
function addressOf(printed: string | null): {
  readonly address: bigint | null;
  readonly digits: number | null;
  readonly notes: readonly string[];
} {
  if (printed === null) return { address: null, digits: null, notes: [] };
  if (printed === 'null') return { address: 0n, digits: null, notes: [] };
  if (printed === 'hidden') {
    return { address: null, digits: null, notes: ['the address was hidden by %p: (____ptrval____)'] };
  }
  if (printed.length === 8 || printed.length === 16) {
    return { address: BigInt(`0x${printed}`), digits: printed.length, notes: [] };
  }
  const notes = [`the address ${printed} has ${printed.length} digits, where %p prints 8 or 16: it is not taken`];
  return { address: null, digits: printed.length, notes };
}
