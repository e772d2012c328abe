/** Physical memory of a dump, read piece by piece; of an ELF core its segments in address order. */
import { countBefore } from '../kernel/sorted.js';
import type { CoreSegment } from './elf-core.js';
import type { ByteSource } from './file.js';
import { disjointIntervals, lieApart } from './intervals.js';

/** A run of physical memory that the file holds; the end is the first byte after it. */
export interface MemoryRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** Why the file does not have an address: the dumper passed the page over, or the machine has no memory there. */
export type Absence = 'left out' | 'no memory';

export interface PhysicalMemory {
  /** Disjoint and in address order. */
  readonly ranges: readonly MemoryRange[];
  /** Bytes that two parts of the file claim. */
  readonly overlapping: bigint;
  /** `length` bytes at a physical address; undefined unless the file holds them all. The result must not be written to. */
  read(address: bigint, length: number): Uint8Array | undefined;
  /** Fills `target` from a physical address; false unless the file holds all of it. */
  readInto(address: bigint, target: Uint8Array): boolean;
  /**
   * What a search goes through, in address order: parts of `ranges` whose bytes the file has, each of its bytes once,
   * however much memory it claims to show with them.
   */
  searched(): Iterable<MemoryRange>;
  /** null when the file should have the address. */
  absence(address: bigint): Absence | null;
}

/** `offset` in the file. */
export interface PhysicalRange extends MemoryRange {
  readonly offset: number;
}

/** No one read may ask for more; what is larger is a corrupt size. */
const MAXIMUM_READ = 256 << 20;

export class SegmentMemory implements PhysicalMemory {
  /** Disjoint and in address order. */
  readonly ranges: readonly PhysicalRange[];
  /** Bytes that two segments claim; the one that comes first in the file's table wins. */
  readonly overlapping: bigint;
  readonly #file: ByteSource;
  readonly #segments: readonly CoreSegment[];
  #last: PhysicalRange | null = null;

  constructor(file: ByteSource, segments: readonly CoreSegment[]) {
    this.#file = file;
    this.#segments = segments;
    const layout = disjointRanges(segments, file);
    this.ranges = layout.ranges;
    this.overlapping = layout.overlapping;
  }

  /** Bytes that the file holds. */
  get size(): bigint {
    return this.ranges.reduce((sum, range) => sum + (range.end - range.start), 0n);
  }

  read(address: bigint, length: number): Uint8Array | undefined {
    if (length < 0 || length > MAXIMUM_READ) return undefined;
    const range = this.#find(address);
    if (!range) return undefined;
    if (address + BigInt(length) <= range.end) {
      return this.#file.read(range.offset + Number(address - range.start), length);
    }
    const bytes = new Uint8Array(length);
    return this.#gather(address, bytes) ? bytes : undefined;
  }

  readInto(address: bigint, target: Uint8Array): boolean {
    return target.length <= MAXIMUM_READ && this.#gather(address, target);
  }

  /** Bytes from `address` on that follow one another in the file, at most `limit`; 0 when the address is not there. */
  available(address: bigint, limit: number): number {
    const range = this.#find(address);
    if (!range) return 0;
    const rest = range.end - address;
    return rest > BigInt(limit) ? limit : Number(rest);
  }

  *searched(): Iterable<MemoryRange> {
    const inFile = this.ranges
      .map(({ start, end, offset }, rank) => ({
        start: offset,
        end: offset + Number(end - start),
        rank,
        memory: start,
      }))
      .sort((a, b) => a.start - b.start);
    const disjoint = lieApart(inFile);
    const parts = disjoint
      ? inFile.map((owner) => ({ start: owner.start, end: owner.end, owner }))
      : disjointIntervals<number, (typeof inFile)[number]>(inFile);
    const found: MemoryRange[] = [];
    for (const { start, end, owner } of parts) {
      const address = (offset: number): bigint => owner.memory + BigInt(offset - owner.start);
      for (const extent of this.#file.extents(start, end)) {
        found.push({ start: address(extent.start), end: address(extent.end) });
      }
    }
    yield* found.sort((a, b) => (a.start < b.start ? -1 : 1));
  }

  /** A segment that is larger in memory than in the file says what was left out. */
  absence(address: bigint): Absence | null {
    if (this.#find(address)) return null;
    return this.#segments.some(({ physical, size }) => address >= physical && address < physical + size)
      ? 'left out'
      : 'no memory';
  }

  #gather(address: bigint, target: Uint8Array): boolean {
    for (let done = 0; done < target.length; ) {
      const range = this.#find(address + BigInt(done));
      if (!range) return false;
      const within = address + BigInt(done) - range.start;
      const count = Math.min(target.length - done, Number(range.end - range.start - within));
      if (!this.#file.readInto(range.offset + Number(within), target.subarray(done, done + count))) return false;
      done += count;
    }
    return true;
  }

  #find(address: bigint): PhysicalRange | undefined {
    if (this.#last && address >= this.#last.start && address < this.#last.end) return this.#last;
    const range = this.ranges[countBefore(this.ranges, ({ end }) => end <= address)];
    if (!range || address < range.start) return undefined;
    this.#last = range;
    return range;
  }
}

/** Cuts segments at the file's end and where an earlier one already has the address. */
function disjointRanges(
  segments: readonly CoreSegment[],
  file: ByteSource,
): { ranges: PhysicalRange[]; overlapping: bigint } {
  const fileSize = BigInt(file.size);
  const claims = segments
    .map((segment, rank) => {
      const rest = segment.offset >= fileSize ? 0n : fileSize - segment.offset;
      const present = rest < segment.fileSize ? rest : segment.fileSize;
      return { start: segment.physical, end: segment.physical + present, offset: segment.offset, rank };
    })
    .filter((claim) => claim.end > claim.start)
    .sort((a, b) => (a.start < b.start ? -1 : 1));
  if (lieApart(claims)) return { ranges: claims.map(toRange), overlapping: 0n };

  const ranges: PhysicalRange[] = [];
  let overlapping = 0n;
  for (const { start, end, owner, contested } of disjointIntervals<bigint, (typeof claims)[number]>(claims)) {
    if (contested) overlapping += end - start;
    const offset = Number(owner.offset + (start - owner.start));
    const previous = ranges.at(-1);
    if (previous && previous.end === start && previous.offset + Number(start - previous.start) === offset) {
      ranges[ranges.length - 1] = { ...previous, end };
    } else ranges.push({ start, end, offset });
  }
  return { ranges, overlapping };
}

function toRange(claim: { start: bigint; end: bigint; offset: bigint }): PhysicalRange {
  return { start: claim.start, end: claim.end, offset: Number(claim.offset) };
}
