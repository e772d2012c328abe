/** Pieces of the message in registers: formatting and copying the line leaves words of it there. */
import type { Direction } from '../verdict.js';
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
const LINES = ['exposure attempt detected from ', 'overwrite attempt detected to '] as const;

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

/** Lines whose text a piece can be part of; their beginning is the same for all. */
function fits(piece: string, line: string): boolean {
  return line.includes(piece);
}

function agreed<T>(values: readonly T[]): T | null {
  return values.length > 0 && values.every((value) => value === values[0]) ? values[0]! : null;
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
    const inExposure = fits(piece, `usercopy: Kernel memory ${LINES[0]}`);
    const inOverwrite = fits(piece, `usercopy: Kernel memory ${LINES[1]}`);
    if (inExposure !== inOverwrite) directions.push(inExposure ? 'to_user' : 'from_user');
    const places = PLACES.filter((place) => LINES.some((line) => fits(piece, `${line}${place}`)));
    if (places.length > 0 || inExposure || inOverwrite) known = true;
    const exposes = places.length > 0 && places.every((place) => !fits(piece, `${LINES[1]}${place}`));
    const overwrites = places.length > 0 && places.every((place) => !fits(piece, `${LINES[0]}${place}`));
    if (exposes && !inExposure) directions.push('to_user');
    if (overwrites && !inOverwrite) directions.push('from_user');
    if (places.length === 1) regions.push(REGIONS[places[0]!]);
    // A quote ends what is fixed: `ect 'rta` is an object's.
    const quoted = /^(.{0,12} ')/.exec(piece)?.[1];
    if (places.length === 0 && quoted !== undefined) {
      const slabs = PLACES.filter((place) => place.endsWith(quoted) && quoted.length >= 4);
      if (slabs.length > 0) known = true;
    }
  }
  if (!known) return null;
  return { pieces: texts, direction: agreed(directions), region: agreed(regions) };
}
