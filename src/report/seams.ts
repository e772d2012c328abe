/** Lines that were broken once, where nothing says whether a blank stood at the break: what is known all the same. */
import { SEAM } from './join.js';

/** A value that is whole, or null with a note. */
export interface Whole {
  readonly value: string | null;
  readonly note: string | null;
}

export const unseamed = (text: string): string => text.replaceAll(SEAM, ' ');

/** Words that stand before values, which a break inside would hide. */
const WORDS = ['Last Breaking-Event-Address:', 'Comm: ', 'Not tainted', 'Tainted: ', 'Modules linked in:'].map(
  (word) => ({
    word,
    broken: new RegExp(`\\b${[...word].map((letter) => (letter === ' ' ? '[ \0]' : letter)).join('\0?')}`, 'g'),
  }),
);

/** Values of registers have 8 or 16 digits, a number of a line its exclamation mark, brackets their end, a symbol its size. */
export function withKnownSeams(text: string): string {
  if (!text.includes(SEAM)) return text;
  const known = WORDS.reduce((told, { word, broken }) => told.replace(broken, word), text)
    .replace(/(\.c:\d{0,6})\0(\d{0,6}!)/g, '$1$2')
    .replace(/(\.[chS]:\d{1,6})\0(\d{1,6}(?=[\n )\]]|$))/g, '$1$2')
    .replace(/(\.[chS]:\d{1,7})\0(?=[A-Za-z_.[(])/g, '$1 ')
    .replace(/(\([A-Z+-]{0,8})\0([A-Z+-]{0,8}\))/g, '$1$2')
    .split('\n');
  return known
    .map((line) => (line.includes(SEAM) ? withWholeValues(withWholeSymbols(withWholePlaces(line))) : line))
    .join('\n');
}

/** What decode_stacktrace.sh makes of a frame: `name (file.c:12 other.h:3 (discriminator 4))`. */
const DECODED = /^(?:\? )?[A-Za-z_][\w.]{0,200} \((?=[^)]{0,400}\.\0?[a-zA-Z]\0?:)/;

/** Each place ends with its line's number, and a blank stands behind that alone. */
function withWholePlaces(line: string): string {
  const start = DECODED.exec(line)?.[0].length;
  if (start === undefined) return line;
  const [first = '', ...parts] = line.slice(start).split(SEAM);
  let places = first;
  for (const part of parts) {
    const [last = ''] = /[^ ()]{0,200}$/.exec(places) ?? [];
    const isEnd = /:\d{1,7}$/.test(last) && !/^\d/.test(part);
    const isCounted = last === 'discriminator' || last === '' || /\)$/.test(places);
    places += `${isCounted || (isEnd && !/^[)]/.test(part)) ? ' ' : ''}${part}`;
  }
  return line.slice(0, start) + places;
}

const PLACE = /^\.?[A-Za-z_][\w.$]*\+0x[0-9a-f]{1,8}\/0x[0-9a-f]{1,8}$/;
const PLACE_BEGUN = /^\.?[A-Za-z_][\w.$]*\+0x[0-9a-f]{1,8}$/;
const NAME = /^\.?[A-Za-z_][\w.$]*$/;
/** What stands before a symbol, a blank in between: the last word of `PC is at`, an address. */
const BEFORE_SYMBOL = /^(?:at|from|[0-9a-f]{8}|[0-9a-f]{16})$/;

function withWholeSymbols(line: string): string {
  const parts = line.split(SEAM);
  return parts
    .map((part, index) => {
      const [left = ''] = /[\w.$+/]{0,220}$/.exec(part.slice(-220)) ?? [];
      const [right = ''] = /^[\w.$+/]{0,220}/.exec(parts[index + 1] ?? '') ?? [];
      const isDecoded = /^ \([\w./+-]{1,200}:\d/.test((parts[index + 1] ?? '').slice(right.length));
      const isSymbol =
        PLACE.test(left + right) ||
        (PLACE_BEGUN.test(left + right) && NAME.test(left)) ||
        (isDecoded && NAME.test(left) && NAME.test(left + right));
      const isOne = isSymbol && !PLACE.test(left) && !BEFORE_SYMBOL.test(left);
      return isOne || index === parts.length - 1 ? part : `${part}${SEAM}`;
    })
    .join('');
}

/** Values of a row stand side by side, without their names. */
const ROW = /(?<![0-9a-f])(?:[0-9a-f]{8}|[0-9a-f]{16}) (?:[0-9a-f]{8}|[0-9a-f]{16})(?![0-9a-f])/;
const WORDS_OF_CODE = /^(?:Code|Instruction dump):/i;
const VALUE16 = /(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])/;

/** Two parts of eight digits are one value of 64 bits or two of 32: the line's other values tell, and that a value has its name before it. */
function withWholeValues(line: string): string {
  return line.replace(/\b([0-9a-f]{1,15})\0([0-9a-f]{1,15})\b/g, (seam, left: string, right: string, at: number) => {
    const digits = left.length + right.length;
    if (left.length !== 8 || right.length !== 8) return digits === 16 || digits === 8 ? left + right : seam;
    if (VALUE16.test(line)) return left + right;
    if (WORDS_OF_CODE.test(line) || ROW.test(line)) return `${left} ${right}`;
    return /[:=] {0,2}$/.test(line.slice(0, at)) ? left + right : '?'.repeat(digits);
  });
}

/** Loggers and pages put it in the place of what they leave out. */
export const LEFT_OUT = '\u2026';

export function wholeOf(value: string | null, what: string): Whole {
  if (value?.includes(LEFT_OUT))
    return { value: null, note: `${what} is not whole: something was left out of '${unseamed(value)}'` };
  if (value === null || !value.includes(SEAM)) return { value, note: null };
  return { value: null, note: `${what} is broken, and whether a blank stood there is not known: '${unseamed(value)}'` };
}
