/**
 * The usercopy line without its spaces. Logs break the line anywhere, and people type it by hand; without spaces it is
 * still told apart, so that no break can be mistaken for the line's own. Pure text in, pure text out.
 */
import type { Direction, Refusal } from '../check/verdict.js';

/** How the message is worded. */
export type MessageFormat =
  /** `PAX: kernel memory leak attempt detected from …`, the ancestor. */
  | 'pax'
  /** Up to 4.15: address, type and size in brackets. Trees of Android 4.14: type in quotation marks and size, no address. */
  | 'old'
  /** 4.16 on, and trees that took it back to 4.15: name, 'detail', offset and size. */
  | 'new'
  /** `Bad or missing usercopy whitelist? …`: the copy was let through (HARDENED_USERCOPY_FALLBACK, 4.16 to 5.15). */
  | 'whitelist warning';

/** `attemp`, and capitals or not: people type these by hand. */
const HEAD =
  /^(?:(usercopy|pax|grsec):|badormissingusercopywhitelist\?)(?:from[\d.:a-f]{3,45}:)?kernelmemory(exposure|overwrite|leak)attempt?(?:detected)?(?:from|to)/i;
const NEW_TAIL = /\(off-?set:?(\d{1,20}),?size:?(\d{1,20})(?:(\))!?|!)/i;
const ADDRESS = /^(?:(?:0x)?([0-9a-f]{1,16})|\(null\)|\((?:____)?ptrval(?:____)?\)|(?=\*?\())/i;
const OLD_TAIL = /^\*?\((.{1,200}?)\)\*?\*?\((\d{1,20})bytes?\*?\)\*?/i;

/** The kernel's names of what is no slab object, new wording; the old one puts them in <>. */
const SPECIAL: Readonly<Record<string, Refusal>> = {
  'wrapped address': 'wrapped address',
  'null address': 'null address',
  null: 'null address',
  'process stack': 'process stack',
  kmap: 'kmap',
  "vmalloc 'no area'": 'vmalloc, no area',
  vmalloc: 'vmalloc',
  'page alloc': 'page alloc',
  rodata: 'rodata',
  'spans multiple pages': 'spans multiple pages',
  'spans Reserved and non-Reserved pages': 'spans Reserved and non-Reserved pages',
  'spans CMA and non-CMA pages': 'spans CMA and non-CMA pages',
  'kernel text': 'kernel text',
  'linear kernel text': 'linear kernel text',
};
const NOT_IN_PAGE = 'SLUB object not in SLUB page?!';
const LONGEST_PLACE = 160;

export const squeeze = (text: string): string => text.replace(/\s+/g, '');
const folded = (text: string): string => squeeze(text).toLowerCase().replaceAll('"', "'");
const SPECIAL_BY_FOLDED = new Map(Object.entries(SPECIAL).map(([name, refusal]) => [folded(name), { name, refusal }]));
/** Places as they begin, to tell whether a cut one may still become one of them. */
const PLACE_STARTS = [
  ...Object.keys(SPECIAL),
  NOT_IN_PAGE,
  NOT_IN_PAGE.replaceAll('SLUB', 'SLAB'),
  ...['SLUB', 'SLAB'].flatMap((name) => [`${name} object '`, `${name} object in left red zone '`]),
].map(folded);

/** What a name in quotation marks is a name of, and where it stands in the squeezed text. */
interface Place {
  readonly refusal: Refusal | null;
  readonly regionKind: string;
  /** The kernel's own spelling, with `\0` for the name of the cache. */
  readonly canonical: string;
  /** [begin, end) of the cache's name in the squeezed text; null where there is none. */
  readonly name: readonly [begin: number, end: number] | null;
  /** The name may go on where the text is cut. */
  readonly nameOpen: boolean;
}

export interface ReadMessage {
  readonly format: MessageFormat;
  readonly direction: Direction;
  readonly place: Place;
  /** [begin, end) of the place in the squeezed text. */
  readonly placeAt: readonly [begin: number, end: number];
  /** The type stands in quotation marks where the address would be. */
  readonly noAddress: boolean;
  /** Digits of the address, as printed; `null` and `hidden` for (null) and (____ptrval____). */
  readonly address: string | null;
  /** Decimal. */
  readonly offset: string | null;
  readonly size: string | null;
  /** Nothing is missing. */
  readonly whole: boolean;
  /** Characters of the squeezed text that belong to the message. */
  readonly length: number;
  /** How far it gets; a line more must take it further. -1: something follows that no message has. */
  readonly reach: number;
}

export const startsSqueezed = (text: string): boolean => HEAD.test(text);

/** Reads a message out of text without spaces; null when it does not get as far as its place. */
export function readSqueezed(text: string): ReadMessage | null {
  const head = HEAD.exec(text);
  if (head === null) return null;
  const rest = text.slice(head[0].length);
  const subsystem = head[1]?.toLowerCase();
  const direction: Direction = head[2]?.toLowerCase() === 'overwrite' ? 'from_user' : 'to_user';
  const warning = subsystem === undefined;
  const before = head[0].length;
  if (subsystem === 'usercopy' || warning) {
    const tail = NEW_TAIL.exec(rest.slice(0, LONGEST_PLACE + 80));
    const old = warning ? null : oldWhole(rest);
    if (tail !== null && tail.index > 0 && tail.index <= LONGEST_PLACE && old === null) {
      const [, offset = null, size = null, closed] = tail;
      return {
        format: warning ? 'whitelist warning' : 'new',
        direction,
        place: placeOf(rest.slice(0, tail.index), before),
        placeAt: [before, before + tail.index],
        noAddress: false,
        address: null,
        offset,
        size: closed === undefined ? null : size,
        whole: closed !== undefined,
        length: before + tail.index + tail[0].length,
        reach: WHOLE,
      };
    }
    const quoted = warning ? null : readQuoted(rest, before, direction);
    if (quoted !== null) return quoted;
    const cut = old === null ? cutNew(rest) : null;
    if (cut !== null) {
      return {
        format: warning ? 'whitelist warning' : 'new',
        direction,
        place: placeOf(rest.slice(0, cut.place), before),
        placeAt: [before, before + cut.place],
        noAddress: false,
        address: null,
        offset: cut.offset,
        size: null,
        whole: false,
        length: before + cut.length,
        reach: cut.reach,
      };
    }
  }
  return readOld(rest, before, direction, subsystem === 'usercopy' ? 'old' : 'pax');
}

const WHOLE = 100;

function oldWhole(rest: string): RegExpExecArray | null {
  const address = ADDRESS.exec(rest);
  return address === null ? null : OLD_TAIL.exec(rest.slice(address[0].length));
}

function readOld(rest: string, before: number, direction: Direction, format: 'old' | 'pax'): ReadMessage {
  const address = ADDRESS.exec(rest);
  const at = address?.[0].length ?? 0;
  const tail = address === null ? null : OLD_TAIL.exec(rest.slice(at));
  const [opened = '', openType = ''] = /^\*?\(?([^()]{0,80})/.exec(rest.slice(at)) ?? [];
  const type = tail?.[1] ?? openType;
  const typeAt = tail === null ? at + opened.length - type.length : at + tail[0].indexOf('(') + 1;
  const closed = tail !== null || rest[typeAt + type.length] === ')';
  const length = tail === null ? typeAt + type.length + (closed ? 1 : 0) : at + tail[0].length;
  const printed = address?.[1] ?? null;
  return {
    format,
    direction,
    place: oldPlaceOf(type, before + typeAt, closed),
    placeAt: [before + typeAt, before + typeAt + type.length],
    noAddress: false,
    // What nothing follows may have lost its end.
    address: printed !== null && rest.length > at ? printed : specialAddress(address?.[0] ?? ''),
    offset: null,
    size: tail?.[2] ?? null,
    whole: tail !== null,
    length: before + length,
    reach: tail !== null ? WHOLE : oldReach(rest),
  };
}

const QUOTED = /^['"`](.{1,200}?)['"`]\*?\((\d{1,20})bytes?\*?\)\*?/i;
/** As far as it goes: the type, what closes it, and the size. */
const QUOTED_STAGES = [
  /^['"`][^'"`()]{0,100}$/,
  /^['"`][^'"`()]{1,100}['"`]\(?$/,
  /^['"`][^'"`()]{1,100}['"`]\(\d{1,20}(?:b(?:y(?:t(?:es?)?)?)?)?$/i,
];

/** The old wording without its address (4f5e838605c2 alone); null where it is none. */
function readQuoted(rest: string, before: number, direction: Direction): ReadMessage | null {
  const whole = QUOTED.exec(rest);
  const reach = whole === null ? QUOTED_STAGES.findIndex((stage) => stage.test(rest)) : WHOLE;
  if (reach < 0) return null;
  const type = whole?.[1] ?? /^.([^'"`]*)/.exec(rest)?.[1] ?? '';
  const begin = before + 1;
  return {
    format: 'old',
    direction,
    place: oldPlaceOf(type, begin, reach > 0),
    placeAt: [begin, begin + type.length],
    noAddress: true,
    address: null,
    offset: null,
    size: whole?.[2] ?? null,
    whole: whole !== null,
    length: before + (whole?.[0].length ?? rest.length),
    reach,
  };
}

const specialAddress = (text: string): string | null =>
  /null/i.test(text) ? 'null' : /ptrval/i.test(text) ? 'hidden' : null;

function oldReach(rest: string): number {
  const stages = [
    /^(?:0x)?[0-9a-f]{0,16}$/i,
    /^(?:(?:0x)?[0-9a-f]{8,16}|\([\w]*\)?)\*?\([^()]{0,80}$/i,
    /^(?:(?:0x)?[0-9a-f]{8,16}|\(\w{1,16}\))\*?\([^()]{1,80}\)\*?(?:\*?\()?$/i,
    /^(?:(?:0x)?[0-9a-f]{8,16}|\(\w{1,16}\))\*?\([^()]{1,80}\)\*?\*?\(\d{1,20}(?:b(?:y(?:t(?:es?)?)?)?)?$/i,
  ];
  return stages.findIndex((stage) => stage.test(rest));
}

interface CutMessage {
  /** Length of the place. */
  readonly place: number;
  readonly length: number;
  readonly offset: string | null;
  readonly reach: number;
}

/** `(offset 12, size 3` as far as it goes, by what is there of it. */
const CUT_TAIL = new RegExp(
  `^(?:${['\\(', 'o', 'f', 'f', '-?s', 'e', 't', ':?(\\d{0,20})', '(,)', 's', 'i', 'z', 'e:?(\\d{0,20})'].reduceRight(
    (rest, part) => (rest === '' ? part : `${part}(?:${rest})?`),
    '',
  )})?$`,
  'i',
);

/** A message whose end is missing, or which prose follows; null where its place is none of this wording. */
function cutNew(rest: string): CutMessage | null {
  const place = placeIn(rest);
  if (place === null) {
    // The old wording's address, or nothing yet.
    if (rest === '' || ADDRESS.exec(rest)?.[1] !== undefined || /^\*?\(/.test(rest)) return null;
    const [words = ''] = /^[^(]{1,100}/.exec(rest) ?? [];
    return { place: words.length, length: words.length, offset: null, reach: -1 };
  }
  if (!place.closed) return { place: place.length, length: place.length, offset: null, reach: place.named ? 3 : 2 };
  const after = rest.slice(place.length);
  const tail = CUT_TAIL.exec(after);
  if (tail === null) {
    // Digits behind the comma are of one that was written in groups.
    const begun = /^\(off-?set:?(\d{1,20}),(?=s|$)/i.exec(after);
    return { place: place.length, length: place.length, offset: begun?.[1] ?? null, reach: -1 };
  }
  const [, offset = null, comma, size] = tail;
  const reach = 4 + (after === '' ? 0 : comma === undefined ? 1 : size === undefined ? 2 : 3);
  return { place: place.length, length: rest.length, offset: comma === undefined ? null : offset, reach };
}

/** The place that a squeezed text begins with. `closed`: nothing of it is missing. */
function placeIn(rest: string): { readonly length: number; readonly closed: boolean; readonly named: boolean } | null {
  const lower = rest.toLowerCase().replaceAll('"', "'");
  const slab = /^sl[au]bobject(?:inleftredzone)?'([^']{0,100})('?)/.exec(lower);
  if (slab !== null) return { length: slab[0].length, closed: slab[2] !== '', named: true };
  if (PLACE_STARTS.some((start) => start.startsWith(lower) && start !== lower)) {
    return { length: rest.length, closed: false, named: false };
  }
  const known = PLACE_STARTS.filter((start) => lower.startsWith(start)).sort((a, b) => b.length - a.length)[0];
  return known === undefined ? null : { length: known.length, closed: true, named: false };
}

const special = (text: string) => SPECIAL_BY_FOLDED.get(folded(text));

function placeOf(text: string, before: number): Place {
  const none = { name: null, nameOpen: false };
  const known = special(text);
  if (known !== undefined) {
    return { ...none, refusal: known.refusal, regionKind: 'special', canonical: known.name };
  }
  const [head = '', slab] = /^(sl[au]b)object/i.exec(text) ?? [];
  if (slab === undefined) return { ...none, refusal: null, regionKind: 'special', canonical: text };
  const kind = `${slab.toUpperCase()} object`;
  const rest = text.slice(head.length);
  if (/^notinsl[au]bpage\?!?$/i.test(rest)) {
    const canonical = `${kind} not in ${slab.toUpperCase()} page?!`;
    return { ...none, refusal: 'slab object not in slab page', regionKind: kind, canonical };
  }
  const zone = /^inleftredzone/i.exec(rest);
  const regionKind = zone === null ? kind : `${kind} in left red zone`;
  const refusal: Refusal = zone === null ? 'slab object' : 'slab object in left red zone';
  const named = rest.slice(zone?.[0].length ?? 0);
  const opened = /^['"`]{0,2}/.exec(named)?.[0].length ?? 0;
  const closed = /['"`]{1,2}$/.exec(named.slice(opened))?.[0].length ?? 0;
  // Cut so short, the kernel's other words may have stood here.
  const mayBeOther =
    opened === 0 &&
    ['notinslubpage?!', 'notinslabpage?!', 'inleftredzone'].some((words) => words.startsWith(named.toLowerCase()));
  if (mayBeOther) return { ...none, refusal: null, regionKind, canonical: regionKind, nameOpen: true };
  if (named.length - opened - closed <= 0)
    return { ...none, refusal, regionKind, canonical: regionKind, nameOpen: true };
  // A quotation mark inside is none of a name's: a line of something else stands between.
  if (/['"`]/.test(named.slice(opened, named.length - closed)))
    return { ...none, refusal: null, regionKind: 'special', canonical: text };
  const begin = before + text.length - named.length + opened;
  const end = before + text.length - closed;
  return { refusal, regionKind, canonical: `${regionKind} '\0'`, name: [begin, end], nameOpen: closed === 0 };
}

function oldPlaceOf(type: string, at: number, closed: boolean): Place {
  const none = { name: null, nameOpen: false };
  const bracketed = /^<(.*?)>?$/.exec(type)?.[1];
  const known = bracketed === undefined ? undefined : special(bracketed);
  if (known !== undefined) {
    return { ...none, refusal: known.refusal, regionKind: 'special', canonical: `<${known.name}>` };
  }
  if (type.startsWith('<')) return { ...none, refusal: null, regionKind: 'special', canonical: type };
  return {
    refusal: type === '' ? null : 'slab object',
    regionKind: 'slab cache (old format)',
    canonical: '\0',
    name: [at, at + type.length],
    nameOpen: !closed,
  };
}

/** The line in the kernel's own spelling; null where a number of it is missing. */
export function canonicalOf(read: ReadMessage, name: string | null): string | null {
  const { format, direction, place, offset, size, address } = read;
  if (size === null || (place.name !== null && name === null)) return null;
  const what = place.canonical.replace('\0', name ?? '');
  const attempt = direction === 'to_user' ? 'exposure attempt detected from' : 'overwrite attempt detected to';
  if (format === 'old') {
    if (read.noAddress) return `usercopy: kernel memory ${attempt} '${what}' (${size} bytes)`;
    const isNumber = address !== null && /^[0-9a-f]+$/i.test(address);
    return isNumber ? `usercopy: kernel memory ${attempt} ${address.toLowerCase()} (${what}) (${size} bytes)` : null;
  }
  if (format === 'pax' || offset === null) return null;
  const prefix = format === 'whitelist warning' ? 'Bad or missing usercopy whitelist?' : 'usercopy:';
  return `${prefix} Kernel memory ${attempt} ${what} (offset ${offset}, size ${size})!`;
}
