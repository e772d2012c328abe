/** The usercopy line itself, in every wording from PaX to today, out of lines that may have been wrapped. */
import type { Direction, Refusal } from '../check/verdict.js';
import type { LogLine } from './log-lines.js';
import type { MessageFormat, UsercopyMessage } from './report.js';

/** `attemp`, and capitals or not: people type these by hand. */
const START =
  /(?:\b(?:usercopy|PAX|grsec): |Bad or missing usercopy whitelist\? )(?:From [\d.:a-f]{3,45}: )?kernel memory (?:exposure|overwrite|leak) attempt?\b/i;
/** A line that ends in the middle of that. */
const BEGINS =
  /\b(?:usercopy:|PAX:|grsec:|usercopy whitelist\?)(?: kernel(?: memory(?: (?:exposure|overwrite|leak))?)?)?$/i;
const DIRECTION = /kernel memory (exposure|overwrite|leak) attempt? (?:detected )?(?:from|to)\b/i;
const NEW_TAIL = /\(offset (\d{1,20}), size (\d{1,20})(\)?)!/;
const OLD_TAIL = /\*?\((.{1,200}?)\)\*? \*?\((\d{1,20}) bytes\*?\)\*?/;
const OLD_ADDRESS = /^(?:0x)?([0-9a-f]{8,16}|\(null\)|\(____ptrval____\))\b|^\(null\)|^\(____ptrval____\)/i;
/** Pieces of a wrapped line that are looked at. */
const MOST_PIECES = 5;
const LONGEST_MESSAGE = 600;

/** The kernel's names of what is no slab object, new wording; the old one puts them in <>. */
const SPECIAL: Readonly<Record<string, Refusal>> = {
  'wrapped address': 'wrapped address',
  'null address': 'null address',
  null: 'null address',
  'process stack': 'process stack',
  kmap: 'kmap',
  vmalloc: 'vmalloc',
  "vmalloc 'no area'": 'vmalloc, no area',
  'page alloc': 'page alloc',
  rodata: 'rodata',
  'spans multiple pages': 'spans multiple pages',
  'spans Reserved and non-Reserved pages': 'spans Reserved and non-Reserved pages',
  'spans CMA and non-CMA pages': 'spans CMA and non-CMA pages',
  'kernel text': 'kernel text',
  'linear kernel text': 'linear kernel text',
};
const squeeze = (text: string): string => text.replace(/\s+/g, '').toLowerCase();
const SPECIAL_BY_SQUEEZED = new Map(Object.keys(SPECIAL).map((name) => [squeeze(name), name]));

export function startsMessage(text: string): boolean {
  // The cheap question first: most lines of a log have no such word.
  return text.includes('ernel memory ') && START.test(text);
}

interface Wording {
  readonly refusal: Refusal | null;
  readonly regionKind: string;
  readonly region: string;
  /** The kernel's own spelling of the place. */
  readonly canonical: string;
  readonly cache: string | null;
}

/** Cache names hold no space unless a module chose one: breaks inside them are mended, where the line was wrapped. */
const mend = (name: string, wrapped: boolean): string => (wrapped ? name.replace(/\s+/g, '') : name);

function special(place: string): Wording | null {
  const name = SPECIAL_BY_SQUEEZED.get(squeeze(place));
  if (name === undefined) return null;
  return { refusal: SPECIAL[name]!, regionKind: 'special', region: place, canonical: name, cache: null };
}

function newWording(place: string, wrapped: boolean): Wording {
  const known = special(place);
  if (known !== null) return known;
  const slab = /^(SL[AU]B) ?object\b/.exec(place);
  if (slab !== null) {
    const rest = place.slice(slab[0].length).trim();
    const kind = `${slab[1]} object`;
    if (/^not in SL[AU]B page\?!$/.test(rest)) {
      return { refusal: 'slab object not in slab page', regionKind: kind, region: rest, canonical: place, cache: null };
    }
    const named = /^(in left red zone )?'(.*?)'?$/.exec(rest);
    if (named !== null) {
      const cache = mend(named[2]!, wrapped);
      const zone = named[1] === undefined ? '' : ' in left red zone';
      return {
        refusal: zone === '' ? 'slab object' : 'slab object in left red zone',
        regionKind: `${kind}${zone}`,
        region: named[2]!,
        canonical: `${kind}${zone} '${cache}'`,
        cache,
      };
    }
    if (rest === '' || rest === 'in left red zone') {
      return {
        refusal: rest === '' ? 'slab object' : 'slab object in left red zone',
        regionKind: `${kind}${rest === '' ? '' : ` ${rest}`}`,
        region: place,
        canonical: place,
        cache: null,
      };
    }
  }
  return { refusal: null, regionKind: 'special', region: place, canonical: place, cache: null };
}

function oldWording(type: string, wrapped: boolean): Wording {
  const bracketed = /^<(.*)>$/.exec(type);
  const known = bracketed === null ? null : special(bracketed[1]!);
  if (known !== null) return { ...known, region: type, canonical: `<${known.canonical}>` };
  if (bracketed !== null) return { refusal: null, regionKind: 'special', region: type, canonical: type, cache: null };
  const cache = mend(type, wrapped);
  return { refusal: 'slab object', regionKind: 'slab cache (old format)', region: type, canonical: cache, cache };
}

export interface MessageFound {
  readonly message: UsercopyMessage;
  /** Lines that it takes. */
  readonly length: number;
  readonly notes: readonly string[];
}

/** Reads the message that starts in line `at`; null when none does. */
export function messageAt(
  lines: readonly LogLine[],
  at: number,
  endsBefore: (text: string) => boolean,
): MessageFound | null {
  const first = lines[at]!;
  let whole = first.text;
  let length = 1;
  const second = lines[at + 1];
  if (!startsMessage(whole) && BEGINS.test(whole.slice(-60)) && second !== undefined && !second.prefixed) {
    whole = `${whole} ${second.text}`;
    length = 2;
  }
  const start = startsMessage(whole) ? START.exec(whole) : null;
  if (start === null) return null;
  let text = whole.slice(start.index);
  while (!isWhole(text) && length < MOST_PIECES) {
    const next = lines[at + length];
    // A line with the log's own prefix begins something new, unless the first had none either.
    if (next === undefined || (next.prefixed && first.prefixed) || startsMessage(next.text) || endsBefore(next.text))
      break;
    text = `${text} ${next.text}`;
    length++;
  }
  const wrapped = length > 1;
  return { ...parse(text.slice(0, LONGEST_MESSAGE).replace(/\s+/g, ' ').trim(), wrapped), length };
}

const isWhole = (text: string): boolean => NEW_TAIL.test(text) || OLD_TAIL.test(text.replace(/\s+/g, ' '));

function parse(text: string, wrapped: boolean): Omit<MessageFound, 'length'> {
  const told = DIRECTION.exec(text);
  const verb = /memory (exposure|overwrite|leak)/i.exec(text)![1]!.toLowerCase();
  const direction: Direction = verb === 'overwrite' ? 'from_user' : 'to_user';
  const after = told === null ? '' : text.slice(told.index + told[0].length).trim();
  const pax = /^(?:PAX|grsec): /i.test(text);
  const warning = text.startsWith('Bad or missing');
  const tail = NEW_TAIL.exec(after);
  if (tail !== null || (!pax && /Kernel memory/.test(text) && !OLD_TAIL.test(after))) {
    const place = (tail === null ? after.replace(/\s*\((?:offset.*)?$/, '') : after.slice(0, tail.index)).trim();
    const wording = newWording(place, wrapped);
    const offset = tail === null ? (/\(offset (\d{1,20}),/.exec(after)?.[1] ?? null) : tail[1]!;
    const size = tail !== null && tail[3] === ')' ? BigInt(tail[2]!) : null;
    const format: MessageFormat = warning ? 'whitelist warning' : 'new';
    const end = tail === null ? after.length : tail.index + tail[0].length;
    const message = {
      format,
      text: tail === null ? text : text.slice(0, text.length - (after.length - end)),
      direction,
      refusal: wording.refusal,
      regionKind: wording.regionKind,
      region: wording.region,
      cache: wording.cache,
      address: null,
      offset: offset === null ? null : BigInt(offset),
      size,
    };
    const notes = size === null ? ['the message is cut off before its end: its size is not known'] : [];
    const canonical = size === null || offset === null ? null : canonicalNew(format, direction, wording, offset, size);
    return { message: { ...message, canonical }, notes };
  }
  return parseOld(text, after, direction, pax ? 'pax' : 'old', wrapped);
}

function canonicalNew(
  format: MessageFormat,
  direction: Direction,
  wording: Wording,
  offset: string,
  size: bigint,
): string {
  const prefix = format === 'whitelist warning' ? 'Bad or missing usercopy whitelist?' : 'usercopy:';
  const attempt = direction === 'to_user' ? 'exposure attempt detected from' : 'overwrite attempt detected to';
  return `${prefix} Kernel memory ${attempt} ${wording.canonical} (offset ${offset}, size ${size})!`;
}

function parseOld(
  text: string,
  after: string,
  direction: Direction,
  format: 'pax' | 'old',
  wrapped: boolean,
): Omit<MessageFound, 'length'> {
  const address = OLD_ADDRESS.exec(after);
  const printed = address?.[1] ?? null;
  const rest = address === null ? after : after.slice(address[0].length).trim();
  const tail = OLD_TAIL.exec(rest);
  const wording = oldWording(tail === null ? rest.replace(/^\(|\)$/g, '') : tail[1]!, wrapped);
  const end = tail === null ? after.length : after.length - rest.length + tail.index + tail[0].length;
  const size = tail === null ? null : BigInt(tail[2]!);
  const isNumber = printed !== null && /^[0-9a-f]+$/i.test(printed);
  const isNull = address?.[0].startsWith('(null') === true;
  const notes = size === null ? ['the message is cut off before its end: its size is not known'] : [];
  if (/ptrval/.test(address?.[0] ?? '')) notes.push('the address was hidden by %p: (____ptrval____)');
  const attempt = direction === 'to_user' ? 'exposure attempt detected from' : 'overwrite attempt detected to';
  return {
    message: {
      format,
      text: text.slice(0, text.length - (after.length - end)),
      canonical:
        format === 'old' && size !== null && isNumber
          ? `usercopy: kernel memory ${attempt} ${printed} (${wording.canonical}) (${size} bytes)`
          : null,
      direction,
      refusal: wording.refusal,
      regionKind: wording.regionKind,
      region: wording.region,
      cache: wording.cache,
      address: isNumber ? BigInt(`0x${printed}`) : isNull ? 0n : null,
      offset: null,
      size,
    },
    notes,
  };
}
