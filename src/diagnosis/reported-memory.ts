/** Memory as it must have been for a report's message to be printed, as a `SmallMemory`: every profile can be asked about it. */
import type { Variant } from '../../arch/driver.js';
import type { AddressRange, Declaration } from '../check/parameters.js';
import type { Copy } from '../check/verdict.js';
import { cacheFacts } from './cache-name.js';
import { folioFor, pointerTag, type WholeMessage } from './follows.js';
import { type Machine, objectOffset } from './machine.js';
import type { ReproducedCopy } from './outcome.js';
import type { SmallMemory } from './small-memory.js';

export interface ReportedMemory {
  readonly memory: SmallMemory;
  readonly copy: Copy;
  /** What was assumed, in sentences. */
  readonly notes: readonly string[];
}

interface Part {
  readonly pointer: bigint;
  readonly size?: bigint;
  readonly declarations?: readonly Declaration[];
  readonly text?: AddressRange;
  readonly linearText?: AddressRange;
  readonly stackPointer?: bigint;
  readonly notes?: readonly string[];
}

interface Setting {
  readonly machine: Machine;
  readonly pageSize: bigint;
  readonly copy: ReproducedCopy;
  readonly objectSize: bigint | null;
  /** Somewhere in the kernel's half. */
  readonly base: bigint;
}

const roundUp = (value: bigint, to: bigint): bigint => ((value + to - 1n) / to) * to;

/** A string says why there is no such memory. */
export function reportedMemory(
  message: WholeMessage,
  machine: Machine,
  variant: Variant | null,
  copy: ReproducedCopy,
  objectSize: bigint | null,
): ReportedMemory | string {
  const base = machine.bits === 64 ? 0xffff_8880_1000_0000n : 0xc100_0000n;
  const pageSize = machine.pageSizes[0] ?? 4096n;
  const part = PARTS[message.refusal](message, { machine, pageSize, copy, objectSize, base });
  if (typeof part === 'string') return part;
  return {
    memory: {
      bits: machine.bits,
      endian: variant?.endian ?? 'little',
      pageShift: pageSize.toString(2).length - 1,
      hasStackPointer: machine.knowsStackPointer !== false,
      allocator: message.regionKind === 'SLAB object' ? 'SLAB' : 'SLUB',
      text: part.text ?? null,
      linearText: part.linearText ?? null,
      stackPointer: part.stackPointer ?? 0n,
      declarations: part.declarations ?? [],
    },
    copy: { pointer: part.pointer, size: part.size ?? message.size, direction: message.direction },
    notes: part.notes ?? [],
  };
}

type Lay = (message: WholeMessage, setting: Setting) => Part | string;

const slabObject: Lay = (message, { machine, base, copy, objectSize }) => {
  // Of an object of KFENCE's, whose pool no declaration makes.
  if (objectOffset(message, machine) < 0n) return NOT_DECLARED;
  const cache = message.cache ?? '';
  const facts = cacheFacts(cache);
  const known = objectSize ?? facts.objectSize;
  const notes: string[] = [];
  let offset = message.offset;
  let size = known;
  if (size === null) {
    size =
      offset === null ? roundUp(message.size > 8n ? message.size - 8n : 8n, 8n) : roundUp(offset + message.size, 8n);
    notes.push(`the report does not give the object size of ${cache}: ${size} bytes are assumed`);
  }
  if (offset === null) {
    const power = (size & (size - 1n)) === 0n;
    offset = copy.pointer !== null && power ? copy.pointer % size : message.size > size ? 0n : size - message.size + 1n;
    if (copy.pointer === null || !power)
      notes.push(`the report does not say where in the object the copy begins: at ${offset} here`);
  }
  const isInside = offset + message.size <= size;
  if (isInside && facts.window !== 'whole object')
    notes.push(`the report does not give the whitelist of ${cache}: here it is empty`);
  const start = copy.pointer === null ? base : copy.pointer - offset;
  const objectStride = roundUp(offset > size ? offset + 8n : size, 8n);
  return {
    pointer: start + offset,
    declarations: [
      {
        kind: 'slab',
        cache,
        start,
        end: start + objectStride,
        objectStride,
        objectSize: size,
        ...(isInside && facts.window !== 'whole object' ? { useroffset: 0n, usersize: 0n } : {}),
      },
    ],
    notes,
  };
};

const LEAST_TEXT = 16n << 20n;

const text =
  (isLinear: boolean): Lay =>
  (message, { machine, base, copy }) => {
    const start = machine.bits === 64 ? 0xffff_ffff_8100_0000n : 0xc010_0000n;
    const offset = message.offset === null ? 0n : BigInt.asIntN(machine.bits, message.offset);
    const end = offset + message.size > LEAST_TEXT ? offset + message.size : LEAST_TEXT;
    const pointer = message.format === 'old' ? copy.pointer : null;
    const origin = pointer ?? (isLinear ? base : start);
    const range = { start: origin, end: origin + end };
    const other = { start, end: start + end };
    return {
      pointer: origin + offset,
      ...(isLinear ? { text: other, linearText: range } : { text: range }),
      ...(pointer === null ? {} : { notes: ['the report does not say where the text begins: at the copy here'] }),
    };
  };

const spans =
  (type: 'plain' | 'Reserved' | 'CMA'): Lay =>
  (_message, { base, pageSize }) => ({
    pointer: base + pageSize - 1n,
    declarations: [
      { kind: 'pages', type, start: base, end: base + pageSize },
      { kind: 'pages', type: 'plain', start: base + pageSize, end: base + (1n << 20n) },
    ],
  });

const NOT_DECLARED = 'such a state of memory cannot be declared, so other rules are not asked';

const PARTS: Readonly<Record<WholeMessage['refusal'], Lay>> = {
  'wrapped address': (message, { machine, copy }) => {
    if (copy.pointer !== null && copy.size !== null) return { pointer: copy.pointer, size: copy.size };
    if (message.format === 'old') return 'the report does not give its pointer';
    const pointer = (1n << BigInt(machine.bits)) - 1n;
    return {
      pointer,
      size: BigInt.asUintN(machine.bits, message.size - pointer),
      notes: ['the report gives only the sum of pointer and size: the last byte of memory is assumed'],
    };
  },
  'null address': (message) => ({ pointer: message.offset ?? message.address ?? 0n }),
  'slab object': slabObject,
  'slab object in left red zone': (message, { base, copy, objectSize }) => {
    const offset = message.offset ?? 0n;
    const cache = message.cache ?? '';
    const size = objectSize ?? cacheFacts(cache).objectSize ?? 64n;
    const redLeftPad = (offset / 8n + 1n) * 8n;
    const start = copy.pointer === null ? base : copy.pointer - offset;
    const objectStride = roundUp(redLeftPad + size, 8n);
    return {
      pointer: start + offset,
      declarations: [
        { kind: 'slab', cache, start, end: start + objectStride, objectStride, objectSize: size, redLeftPad },
      ],
      notes: [`the report does not give the red zone of ${cache}: ${redLeftPad} bytes are assumed`],
    };
  },
  'slab object not in slab page': () => NOT_DECLARED,
  'slab object index out of range': () => NOT_DECLARED,
  'page alloc': (message, { machine, base, copy }) => {
    const folio = folioFor(message, machine);
    if (folio === null) return NOT_DECLARED;
    const offset = message.offset ?? 0n;
    const start = copy.pointer === null ? base : copy.pointer - offset;
    return { pointer: start + offset, declarations: [{ kind: 'compound page', start, end: start + folio }] };
  },
  vmalloc: (message, { machine, base, copy, pageSize }) => {
    const offset = message.offset ?? 0n;
    if (pointerTag(offset, machine) !== null) return NOT_DECLARED;
    const start = copy.pointer === null ? base : copy.pointer - offset;
    const wanted = roundUp(offset + 1n, pageSize);
    const end = start + (wanted < offset + message.size ? wanted : offset + message.size - 1n);
    return {
      pointer: start + offset,
      declarations: [
        { kind: 'vmalloc space', start, end: start + roundUp(offset + message.size, pageSize) + pageSize },
        { kind: 'vmalloc area', start, end },
      ],
    };
  },
  'vmalloc, no area': (message, { base, copy, pageSize }) => {
    const pointer = copy.pointer ?? base;
    return {
      pointer,
      declarations: [{ kind: 'vmalloc space', start: pointer, end: pointer + roundUp(message.size, pageSize) }],
    };
  },
  kmap: (message, { machine, base }) => {
    const offset = message.offset ?? 0n;
    const page = machine.pageSizes.find((size) => offset < size && offset + message.size > size) ?? 4096n;
    return { pointer: base + offset, declarations: [{ kind: 'kmap', start: base, end: base + page }] };
  },
  'process stack': (message, { machine, base, copy }) => {
    const offset = message.offset === null ? 0n : BigInt.asIntN(machine.bits, message.offset);
    const end = base + (16n << 10n);
    if (offset === 0n) {
      const pointer = copy.pointer ?? end - 1n;
      const last = pointer + (message.size > 1n ? message.size / 2n : 1n);
      return {
        pointer,
        declarations: [{ kind: 'stack', start: pointer - (8n << 10n), end: last }],
        stackPointer: pointer - (4n << 10n),
        notes: ['the report does not say where on the stack: across its end here'],
      };
    }
    const pointer = copy.pointer ?? base + (8n << 10n);
    const stackPointer = pointer + offset;
    const middle = pointer + message.size / 2n;
    return offset > 0n
      ? {
          pointer,
          stackPointer,
          declarations: [
            { kind: 'stack', start: pointer - (4n << 10n), end: stackPointer + message.size + (4n << 10n) },
          ],
        }
      : {
          pointer,
          stackPointer,
          declarations: [
            { kind: 'stack', start: stackPointer - (4n << 10n), end: middle > pointer ? middle : pointer + 1n },
          ],
          notes: ['the report does not say where the stack ends: in the middle of the copy here'],
        };
  },
  rodata: () => NOT_DECLARED,
  'spans multiple pages': spans('plain'),
  'spans Reserved and non-Reserved pages': spans('Reserved'),
  'spans CMA and non-CMA pages': spans('CMA'),
  'kernel text': text(false),
  'linear kernel text': text(true),
};
