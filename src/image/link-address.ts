/**
 * The address that a flat image was linked for, told by its own pointers: the words that hold addresses of symbols differ
 * from the symbols' places in the image by one number, the address of its first byte.
 */
import type { Bits, Endian } from '../kernel/kernel.js';
import { forEachRela, type RelaTable } from '../kernel/relocate.js';
import { Words } from '../kernel/words.js';

/** Low half of the least number that is taken for a negative one, and for no address: kernels lie below their last 16 MiB. */
const SMALL_NEGATIVE = 0xff00_0000;
/** Every architecture links its image at a multiple of this, bytes. */
const ALIGNMENT = 0x1_0000;
/** Different words that are looked at; each votes for the addresses that agree with it in the low 16 bits. */
const SAMPLES = 4000;
/** One word in this many is looked at: an image has millions. */
const STRIDE = 7;
/** Fewer words tell nothing. */
const FEWEST_WORDS = 256;
/** The right address gets at least this many times the votes of any other: those come by chance. */
const LEAD = 3;
/** High halves of words that are tried: of kernel addresses there is one, sometimes two; code has some as well. */
const HIGH_HALVES = 12;

/**
 * @param places of the symbols, counted from the image's first byte, ascending
 * @param relocations its RELA table, where it has one: then the words themselves may be empty
 * @returns null where no address explains the words better than others
 */
export function findLinkAddress(
  bytes: Uint8Array,
  places: BigUint64Array,
  relocations: RelaTable | null,
  bits: Bits,
  endian: Endian,
): bigint | null {
  const byLowBits = placesByLowBits(places);
  const samples = new Samples();
  if (relocations === null) addWords(samples, bytes, bits, endian);
  else {
    forEachRela(bytes, relocations, bits, endian, (_, addend) => {
      samples.add(Number(addend >> 32n), Number(addend & 0xffff_ffffn));
      return true;
    });
  }
  let best: { address: bigint; votes: number } | null = null;
  for (const { high, lows } of samples.groups()) {
    const found = vote(lows, byLowBits);
    if (found === null || found.votes <= (best?.votes ?? 0)) continue;
    best = { address: (BigInt(high) << 32n) + BigInt(found.address), votes: found.votes };
  }
  return best?.address ?? null;
}

/** Places of functions and objects in the image, by their low 16 bits. */
function placesByLowBits(places: BigUint64Array): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const place of new Set(Array.from(places, Number))) {
    const low = place % ALIGNMENT;
    const known = found.get(low);
    if (known) known.push(place);
    else found.set(low, [place]);
  }
  return found;
}

/** The address, less the words' common high half, that most of the words agree on. */
function vote(lows: readonly number[], places: Map<number, number[]>): { address: number; votes: number } | null {
  const votes = new Map<number, number>();
  for (const low of lows) {
    for (const place of places.get(low % ALIGNMENT) ?? []) votes.set(low - place, (votes.get(low - place) ?? 0) + 1);
  }
  let first = { address: 0, votes: 0 };
  let second = 0;
  for (const [address, count] of votes) {
    if (count <= first.votes) second = Math.max(second, count);
    else {
      second = first.votes;
      first = { address, votes: count };
    }
  }
  return first.votes === 0 || first.votes < LEAD * second ? null : first;
}

/** Words by their high halves. */
class Samples {
  readonly #byHigh = new Map<number, number[]>();

  /** `high` and `low` are the halves of a word of 64 bits; the high half of a word of 32 bits is 0. */
  add(high: number, low: number): void {
    const group = this.#byHigh.get(high);
    if (group === undefined) this.#byHigh.set(high, [low]);
    else group.push(low);
  }

  /** The commonest high halves, and different words of each out of the whole image. */
  groups(): { readonly high: number; readonly lows: readonly number[] }[] {
    return [...this.#byHigh]
      .sort(([, left], [, right]) => right.length - left.length)
      .slice(0, HIGH_HALVES)
      .map(([high, words]) => {
        const lows = [...new Set(words)];
        const step = Math.ceil(lows.length / SAMPLES);
        return { high, lows: lows.filter((_, index) => index % step === 0) };
      })
      .filter(({ lows }) => lows.length >= FEWEST_WORDS);
  }
}

/** Aligned words that may be pointers: numbers below the least link address and small negative ones are not. */
function addWords(samples: Samples, bytes: Uint8Array, bits: Bits, endian: Endian): void {
  const words = new Words(bytes, { bits, endian });
  for (let at = 0; at + bits / 8 <= bytes.length; at += (bits / 8) * STRIDE) {
    const high = words.highHalf(at);
    const low = words.lowHalf(at);
    if (high === 0 ? low >= ALIGNMENT : high !== 0xffff_ffff || low < SMALL_NEGATIVE) samples.add(high, low);
  }
}
