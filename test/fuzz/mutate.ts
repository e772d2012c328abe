/** Mutations of one input, all of them out of one number: the same seed gives the same inputs. */

/** Numbers that follow from a seed alone. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 up to `limit`, without it. */
  below(limit: number): number {
    // Mulberry32.
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  of<Value>(list: readonly Value[]): Value {
    return list[this.below(list.length)]!;
  }
}

/** Larger inputs take time and find nothing that smaller ones do not. */
const LARGEST = 1 << 20;

/** Values at the edges of integers, as many bytes as they need. */
const EDGES = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  1n << 53n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

type Mutation = (
  bytes: Uint8Array,
  random: Random,
  others: readonly Uint8Array[],
  words: readonly string[],
) => Uint8Array;

const insert = (bytes: Uint8Array, at: number, piece: Uint8Array): Uint8Array => {
  const longer = new Uint8Array(bytes.length + piece.length);
  longer.set(bytes.subarray(0, at));
  longer.set(piece, at);
  longer.set(bytes.subarray(at), at + piece.length);
  return longer;
};

const MUTATIONS: readonly Mutation[] = [
  /** A bit. */
  (bytes, random) => {
    const at = random.below(bytes.length);
    bytes[at] = bytes[at]! ^ (1 << random.below(8));
    return bytes;
  },
  /** A byte, any or at an edge. */
  (bytes, random) => {
    bytes[random.below(bytes.length)] = random.of([0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x22, 0x2f, random.below(256)]);
    return bytes;
  },
  /** A number at an edge, of 1 to 8 bytes, in either order, mostly aligned as structures are. */
  (bytes, random) => {
    const width = random.of([1, 2, 4, 8]);
    if (bytes.length < width) return bytes;
    const free = random.below(bytes.length - width + 1);
    const at = random.below(4) === 0 ? free : free - (free % width);
    const little = random.below(2) === 0;
    const value = random.of(EDGES) + BigInt(random.below(3) - 1);
    for (let byte = 0; byte < width; byte++)
      bytes[at + (little ? byte : width - 1 - byte)] = Number((value >> BigInt(8 * byte)) & 0xffn);
    return bytes;
  },
  /** Near the beginning, where headers are. */
  (bytes, random) => {
    bytes[random.below(Math.min(bytes.length, 128))] = random.below(256);
    return bytes;
  },
  /** Cut off. */
  (bytes, random) => bytes.slice(0, random.below(bytes.length)),
  /** A stretch left out. */
  (bytes, random) => {
    const from = random.below(bytes.length);
    const until = Math.min(bytes.length, from + 1 + random.below(64));
    return insert(bytes.subarray(until), 0, bytes.subarray(0, from));
  },
  /** A stretch written again, once or many times. */
  (bytes, random) => {
    const from = random.below(bytes.length);
    const piece = bytes.slice(from, from + 1 + random.below(64));
    const times = random.of([1, 1, 2, 16, 500]);
    const all = new Uint8Array(piece.length * times);
    for (let time = 0; time < times; time++) all.set(piece, time * piece.length);
    return insert(bytes, from, all);
  },
  /** The beginning of one and the end of another. */
  (bytes, random, others) => {
    const other = random.of(others);
    const beginning = bytes.subarray(0, random.below(bytes.length + 1));
    return insert(other.slice(random.below(other.length + 1)), 0, beginning);
  },
  /** A word that means something to the reader. */
  (bytes, random, _others, words) => {
    const word = Buffer.from(random.of(words), 'latin1');
    const at = random.below(bytes.length + 1);
    if (random.below(2) === 0) return insert(bytes, at, word);
    bytes.set(word.subarray(0, Math.max(0, bytes.length - at)), at);
    return bytes;
  },
];

/** Words that texts of every kind react to. */
const COMMON_WORDS = [
  '\0',
  '\n',
  '\x1b[31m',
  '\u202e',
  '"',
  '{',
  '[',
  '0x',
  '-1',
  '1e400',
  '99999999999999999999',
  '__proto__',
  '../',
  '*',
  '%s',
  ': ',
];

/** A mutated copy of one of `inputs`: one to eight mutations, one after the other. */
export function mutated(inputs: readonly Uint8Array[], random: Random, words: readonly string[] = []): Uint8Array {
  let bytes: Uint8Array = Uint8Array.from(random.of(inputs));
  const dictionary = [...words, ...COMMON_WORDS];
  for (let left = 1 + random.below(random.of([1, 2, 4, 8])); left > 0; left--) {
    if (bytes.length === 0) bytes = Uint8Array.of(random.below(256));
    bytes = random.of(MUTATIONS)(bytes, random, inputs, dictionary);
    if (bytes.length > LARGEST) bytes = bytes.slice(0, LARGEST);
  }
  return bytes;
}
