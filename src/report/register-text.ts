/** Pieces of the message in registers: formatting and copying the line leaves words of it there. */
import type { Direction } from '../check/verdict.js';
import type { RegisterText } from './report.js';

const SHORTEST = 5;

/** What the line can be made of, besides names and numbers. */
const PLACES = [
  "SLUB object '",
  "SLAB object '",
  'SLUB object not in SLUB page?!',
  "SLUB object in left red zone '",
  "vmalloc 'no area' (",
  'vmalloc (',
  'kmap (',
  'page alloc (',
  'process stack (',
  'null address (',
  'wrapped address (',
  'kernel text (',
  'linear kernel text (',
  'spans multiple pages (',
] as const;
const REGIONS: Readonly<Record<(typeof PLACES)[number], string>> = {
  "SLUB object '": 'SLUB object',
  "SLAB object '": 'SLAB object',
  'SLUB object not in SLUB page?!': 'SLUB object not in SLUB page?!',
  "SLUB object in left red zone '": 'SLUB object in left red zone',
  "vmalloc 'no area' (": "vmalloc 'no area'",
  'vmalloc (': 'vmalloc',
  'kmap (': 'kmap',
  'page alloc (': 'page alloc',
  'process stack (': 'process stack',
  'null address (': 'null address',
  'wrapped address (': 'wrapped address',
  'kernel text (': 'kernel text',
  'linear kernel text (': 'linear kernel text',
  'spans multiple pages (': 'spans multiple pages',
};
const LINES: readonly { readonly start: string; readonly direction: Direction }[] = [
  { start: 'usercopy: Kernel memory exposure attempt detected from ', direction: 'to_user' },
  { start: 'usercopy: Kernel memory overwrite attempt detected to ', direction: 'from_user' },
];

/** The longest run of printable characters in a register's bytes, in the order of memory; null when it is short. */
function textIn(value: bigint, bytes: number, little: boolean): string | null {
  let best = '';
  let run = '';
  for (let index = 0; index < bytes; index++) {
    const shift = BigInt(8 * (little ? index : bytes - 1 - index));
    const byte = Number((value >> shift) & 0xffn);
    run = byte >= 0x20 && byte < 0x7f ? run + String.fromCharCode(byte) : '';
    if (run.length > best.length) best = run;
  }
  return best.length >= SHORTEST || (bytes === 4 && best.length === 4) ? best : null;
}

function agreed<T>(values: readonly T[]): T | null {
  const [first, ...others] = values;
  return first !== undefined && others.every((value) => value === first) ? first : null;
}

/**
 * Null when no register holds a piece that is part of the message for sure: one that names the attempt, the place or the
 * subsystem. Chance makes a few letters, not these.
 */
export function registerText(
  registers: ReadonlyMap<string, bigint>,
  bytes: number,
  little: boolean,
): RegisterText | null {
  const texts = new Map<string, string>();
  for (const [name, value] of registers) {
    const text = textIn(value, bytes, little);
    if (text !== null) texts.set(name, text);
  }
  const directions: Direction[] = [];
  const regions: string[] = [];
  let known = false;
  for (const piece of texts.values()) {
    const lines = LINES.flatMap(({ start, direction }) =>
      PLACES.filter((place) => `${start}${place}`.includes(piece)).map((place) => ({ direction, place })),
    );
    // `ect 'rta`: the quotation mark ends what is fixed, a name follows.
    const quoted = /^.{3,12} '/.exec(piece)?.[0];
    if (lines.length > 0 || PLACES.some((place) => quoted !== undefined && place.endsWith(quoted))) known = true;
    const direction = agreed(lines.map((line) => line.direction));
    const place = agreed(lines.map((line) => line.place));
    if (direction !== null) directions.push(direction);
    if (place !== null) regions.push(REGIONS[place]);
  }
  if (!known) return null;
  return { pieces: texts, direction: agreed(directions), region: agreed(regions) };
}
