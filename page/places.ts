/** The small memories that the play tab lays out by hand: what lies in each, and where a copy begins. */
import type { FrameLayout, Variant } from '../arch/driver.js';
import type { Declaration } from '../src/check/parameters.js';
import { profileForVersion, profileNames } from '../src/check/profiles.js';
import type { Part } from '../src/diagnosis/scene.js';
import type { SmallMemory } from '../src/diagnosis/small-memory.js';
import { frameParametersOf } from '../src/introspect/task.js';
import { NO_VERSION } from '../src/kernel/version.js';

export interface Place {
  readonly memory: SmallMemory;
  readonly parts: readonly Part[];
  /** What a copy can be dragged over, half-open. */
  readonly start: bigint;
  readonly end: bigint;
}

/** What of a place can be changed by hand. */
export interface SlabForm {
  readonly objectSize: number;
  readonly redZone: number;
  readonly useroffset: number;
  readonly usersize: number;
}

export const PLACES = ['slab', 'stack', 'vmalloc', 'folio', 'text', 'null'] as const;
export type PlaceName = (typeof PLACES)[number];

export const PLACE_LABELS: Readonly<Record<PlaceName, string>> = {
  slab: 'objects of a slab',
  stack: 'the stack of a task',
  vmalloc: 'a vmalloc area',
  folio: 'a large folio',
  text: 'kernel text',
  null: 'a null pointer',
};

const OBJECTS = 4;
/** Bytes that are drawn on either side of kernel text; every built-in guest has as many there. */
const TEXT_NEIGHBOUR = 0x200n;

export function placeOf(name: PlaceName, variant: Variant, slab: SlabForm): Place {
  const base = variant.bits === 64 ? 0xffff_8880_1000_0000n : 0xc100_0000n;
  const pageShift = variant.pageShifts[0] ?? 12;
  const page = 1n << BigInt(pageShift);
  const make = (start: bigint, end: bigint, parts: readonly Part[], change: Partial<SmallMemory>): Place => ({
    start,
    end,
    parts,
    memory: {
      bits: variant.bits,
      endian: variant.endian,
      pageShift,
      hasStackPointer: variant.hasCurrentStackPointer,
      text: null,
      linearText: null,
      stackPointer: 0n,
      declarations: [],
      ...change,
    },
  });
  switch (name) {
    case 'slab':
      return slabPlace(base, slab, make);
    case 'stack':
      return stackPlace(base, variant, make);
    case 'vmalloc': {
      const guard = base + 2n * page;
      // A vmap_area's va_end is behind its guard page: a copy into that passes the check.
      const end = guard + page;
      return make(
        base,
        end + page,
        [
          { start: base, end: guard, kind: 'area', label: 'vmalloc area of two pages' },
          { start: guard, end, kind: 'red zone', label: 'its guard page, which the check lets pass' },
          { start: end, end: end + page, kind: 'neighbour', label: 'no area' },
        ],
        {
          declarations: [
            { kind: 'vmalloc space', start: base, end: end + 16n * page },
            { kind: 'vmalloc area', start: base, end },
          ],
        },
      );
    }
    case 'folio': {
      const end = base + 4n * page;
      return make(
        base,
        end + page,
        [
          { start: base, end, kind: 'area', label: 'folio of four pages' },
          { start: end, end: end + page, kind: 'neighbour', label: "somebody else's page" },
        ],
        {
          declarations: [
            { kind: 'compound page', start: base, end },
            { kind: 'pages', type: 'plain', start: end, end: end + page },
          ],
        },
      );
    }
    case 'text': {
      const start = variant.bits === 64 ? 0xffff_ffff_8100_0000n : 0xc010_0000n;
      const text = { start, end: start + 0x2000n };
      return make(
        start - TEXT_NEIGHBOUR,
        text.end + TEXT_NEIGHBOUR,
        [
          { start: start - TEXT_NEIGHBOUR, end: start, kind: 'neighbour', label: 'before _stext' },
          { ...text, kind: 'area', label: 'kernel text' },
          { start: text.end, end: text.end + TEXT_NEIGHBOUR, kind: 'neighbour', label: 'after _etext' },
        ],
        { text },
      );
    }
    case 'null':
      return make(
        0n,
        64n,
        [
          { start: 0n, end: 17n, kind: 'red zone', label: 'ZERO_OR_NULL_PTR' },
          { start: 17n, end: 64n, kind: 'neighbour', label: 'above it' },
        ],
        {},
      );
  }
}

type Make = (start: bigint, end: bigint, parts: readonly Part[], change: Partial<SmallMemory>) => Place;

/** Numbers that contradict each other are drawn together: an object has at least a byte, its whitelist lies in it. */
export function sound({ objectSize, redZone, useroffset, usersize }: SlabForm): SlabForm {
  const within = (value: number, low: number, high: number): number =>
    Number.isFinite(value) ? Math.min(high, Math.max(low, Math.round(value))) : low;
  const size = within(objectSize, 1, 4096);
  const offset = within(useroffset, 0, size);
  return {
    objectSize: size,
    redZone: within(redZone, 0, 256),
    useroffset: offset,
    usersize: within(usersize, 0, size - offset),
  };
}

function slabPlace(base: bigint, form: SlabForm, make: Make): Place {
  const { objectSize, redZone, useroffset, usersize } = sound(form);
  const stride = BigInt(Math.ceil((redZone + objectSize) / 8) * 8);
  const end = base + BigInt(OBJECTS) * stride;
  const parts: Part[] = [];
  for (let index = 0; index < OBJECTS; index++) {
    const start = base + BigInt(index) * stride + BigInt(redZone);
    if (redZone > 0) parts.push({ start: start - BigInt(redZone), end: start, kind: 'red zone', label: 'red zone' });
    parts.push({ start, end: start + BigInt(objectSize), kind: 'object', label: `object ${index}` });
    const window = start + BigInt(useroffset);
    if (usersize > 0) parts.push({ start: window, end: window + BigInt(usersize), kind: 'window', label: 'whitelist' });
  }
  const declaration: Declaration = {
    kind: 'slab',
    cache: 'example_cache',
    start: base,
    end,
    objectStride: stride,
    objectSize: BigInt(objectSize),
    redLeftPad: BigInt(redZone),
    useroffset: BigInt(useroffset),
    usersize: BigInt(usersize),
  };
  return make(base, end, parts, { declarations: [declaration] });
}

const FRAMES = 4;
const FRAME_SIZE = 128n;

/** A stack with four frames of 128 bytes each, linked as kernels that walk them link them; elsewhere nothing tells them apart. */
function stackPlace(base: bigint, variant: Variant, make: Make): Place {
  const start = base;
  const end = base + 1024n;
  const stackPointer = base + 384n;
  const { walked } = variant.frames;
  const inUse = { start: stackPointer, end, kind: 'area', label: 'stack, in use' } as const;
  const framed =
    walked === undefined ? null : framesOf(stackPointer, frameParametersOf(walked.layout, variant), walked.layout);
  const top = stackPointer + BigInt(FRAMES) * FRAME_SIZE;
  const parts: Part[] = [
    { start, end: stackPointer, kind: 'neighbour', label: 'stack, not in use' },
    ...(framed === null ? [inUse] : [...framed.parts, { ...inUse, start: top, label: 'stack, further up' }]),
    { start: end, end: end + 128n, kind: 'red zone', label: 'not the stack' },
  ];
  return make(start, end + 128n, parts, {
    declarations: [{ kind: 'stack', start, end }],
    stackPointer,
    ...(framed === null ? {} : { frames: framed.frames }),
  });
}

/**
 * Frames from the stack pointer up: on x86 a record is the last of its frame, on powerpc the first, and the check begins with
 * the record that the one at the stack pointer leads to.
 */
function framesOf(
  stackPointer: bigint,
  layout: NonNullable<SmallMemory['frames']>['layout'],
  { recordAt }: FrameLayout,
): { readonly frames: NonNullable<SmallMemory['frames']>; readonly parts: Part[] } {
  const header = BigInt(layout.header);
  const isTop = recordAt === 'top';
  const starts = Array.from({ length: FRAMES }, (_, index) => stackPointer + FRAME_SIZE * BigInt(index));
  const parts = starts.flatMap((start, index): Part[] => {
    const links = isTop ? start + FRAME_SIZE - header : start;
    const own = isTop ? start : start + header;
    const record: Part = { start: links, end: links + header, kind: 'red zone', label: 'saved registers' };
    const frame: Part = { start: own, end: own + FRAME_SIZE - header, kind: 'frame', label: `frame ${index}` };
    return isTop ? [frame, record] : [record, frame];
  });
  const records = starts.map((start) => start + FRAME_SIZE - (isTop ? header : 0n));
  return { frames: { records, layout }, parts };
}

/** Whether the kernels of a mainline profile, the last of them at least, walk frames where they are built so. */
export function walksFrames({ frames: { walked } }: Variant, profile: string): boolean {
  if (walked === undefined) return false;
  const [first] = profileForVersion({ ...NO_VERSION, ...walked.since }).name.split(',');
  const eras: readonly string[] = profileNames;
  return eras.indexOf(first ?? '') <= eras.indexOf(profile);
}
