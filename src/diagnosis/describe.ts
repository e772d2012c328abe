/** The scenario that a report describes: memory as it must have been, and the copy, for a built-in guest. */

import { hex } from '../errors.js';
import type { Expectation, Scenario, ScenarioGuest, ScenarioObject, Word } from '../scenario/format.js';
import { cacheFacts } from './cache-name.js';
import { folioFor, pointerTag, type WholeMessage } from './follows.js';
import { type Machine, objectOffset } from './machine.js';
import type { ReproducedCopy } from './outcome.js';

/** What of a built-in guest a scenario's numbers depend on. */
export interface GuestFacts {
  /** Bytes of a page. */
  readonly pageSize: bigint;
  /** Bytes of stack that the guest's own check uses before it prints. */
  readonly stackDepth: bigint;
  /** Where the stack lies, and its pointer where a copy is asked about. */
  readonly stack: { readonly start: bigint; readonly end: bigint; readonly pointer: bigint };
  /** Bytes of text. */
  readonly textSize: bigint;
  /** An address of vmalloc space where no area is. */
  readonly emptyVmalloc: bigint;
}

/** What a scenario is made for. */
export interface Setting {
  /** Of a built-in guest. */
  readonly variant: string;
  readonly profile: string;
  readonly machine: Machine;
  readonly guest: GuestFacts;
  readonly copy: ReproducedCopy;
  /** Bytes of an object, where the report told them. */
  readonly objectSize: bigint | null;
}

export interface Described {
  readonly scenario: Scenario;
  /** In what the scenario is not the reported machine, in sentences. */
  readonly notes: readonly string[];
}

/** A pointer as an expression of scenarios, and the objects that it needs. */
interface Part {
  readonly pointer: string;
  readonly size?: bigint;
  readonly objects?: Readonly<Record<string, ScenarioObject>>;
  readonly notes?: readonly string[];
}

/** The built-in guests' memory holds no larger folio or slab. */
const LARGEST_ORDER = 10;
const LARGEST_OBJECT = 1n << 20n;
/** Pages of a vmalloc area: their vmalloc space is small. */
const LARGEST_AREA = 4096n;
const TOO_LARGE = 'it needs more memory than the built-in guests have';

/** A number where it is exact; scenarios read both. */
const plain = (value: bigint): Word => (value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value);
const roundUp = (value: bigint, to: bigint): bigint => ((value + to - 1n) / to) * to;
const relative = (base: string, offset: bigint): string =>
  offset < 0n ? `${base} - ${-offset}` : offset > 0n ? `${base} + ${offset}` : base;

/**
 * A string says why a built-in guest cannot be brought into such a state. The old wording prints an address, which is another one in
 * the guest, so only its rule is expected there.
 */
export function describeReport(message: WholeMessage, setting: Setting): Described | string {
  const part = PARTS[message.refusal]?.(message, setting) ?? 'the built-in guests cannot be brought into such a state';
  if (typeof part === 'string') return part;
  const guest: ScenarioGuest = { variant: setting.variant, profile: setting.profile };
  return {
    scenario: {
      name: 'reported',
      guest,
      ...(part.objects === undefined ? {} : { objects: part.objects }),
      steps: [
        {
          name: 'the reported copy',
          copy: { pointer: part.pointer, size: plain(part.size ?? message.size), direction: message.direction },
          expect: expectation(message),
        },
      ],
    },
    notes: [
      ...(part.notes ?? []),
      ...(isSlab(message) ? ["the built-in guests' allocator is SLUB: the line says so"] : []),
    ],
  };
}

const isSlab = (message: WholeMessage): boolean => message.regionKind.startsWith('SLAB');

function expectation(message: WholeMessage): Expectation {
  if (message.format === 'whitelist warning') return { outcome: 'good', region: 'slab object by fallback' };
  if (message.format === 'new' && message.canonical !== null && !isSlab(message)) return { message: message.canonical };
  return { outcome: 'bad', region: message.refusal };
}

type Describe = (message: WholeMessage, setting: Setting) => Part | string;

const text =
  (base: string): Describe =>
  (message, { machine, guest }) => {
    const offset = BigInt.asIntN(machine.bits, message.offset ?? 0n);
    return offset < guest.textSize
      ? { pointer: relative(base, offset) }
      : `the guest's text has only ${guest.textSize} bytes`;
  };

const wrappedAddress: Describe = (message, { machine, copy }) => {
  if (message.format === 'old')
    return message.address === null ? 'the report does not give its pointer' : { pointer: hex(message.address) };
  if (copy.pointer !== null && copy.size !== null) return { pointer: hex(copy.pointer), size: copy.size };
  const pointer = (1n << BigInt(machine.bits)) - 1n;
  return {
    pointer: hex(pointer),
    size: BigInt.asUintN(machine.bits, message.size - pointer),
    notes: ['the report gives only the sum of pointer and size: the last byte of memory is assumed'],
  };
};

const slabObject: Describe = (message, setting) => {
  const cache = message.cache ?? '';
  const facts = cacheFacts(cache);
  const known = setting.objectSize ?? facts.objectSize;
  if (message.format === 'old') return oldSlabObject(message, cache, known);
  const offset = message.offset ?? 0n;
  const end = offset + message.size;
  if (objectOffset(message, setting.machine) < 0n) return 'the built-in guests have no KFENCE pool';
  if (known !== null && offset >= known) return 'the copy begins in what slab debugging puts after objects';
  if (known !== null && known > LARGEST_OBJECT) return TOO_LARGE;
  if (known !== null && (facts.window === 'whole object' || end > known)) {
    return { pointer: relative('object', offset), objects: { object: { slab: { cache, objectSize: Number(known) } } } };
  }
  const objectSize = known ?? roundUp(end, 8n);
  if (objectSize > LARGEST_OBJECT) return TOO_LARGE;
  return {
    pointer: relative('object', offset),
    objects: { object: { slab: { cache, objectSize: Number(objectSize), useroffset: 0, usersize: 0 } } },
    notes: [
      `the report does not give the whitelist of ${cache}: here it is empty`,
      ...(known === null
        ? [`the report does not give the object size of ${cache}: ${objectSize} bytes are assumed`]
        : []),
    ],
  };
};

function oldSlabObject(message: WholeMessage, cache: string, known: bigint | null): Part | string {
  const { size, address } = message;
  const objectSize = known ?? (size > 8n ? ((size - 1n) / 8n) * 8n : 8n);
  if (objectSize > LARGEST_OBJECT) return TOO_LARGE;
  const power = (objectSize & (objectSize - 1n)) === 0n;
  const told = known !== null && address !== null && power ? address % objectSize : null;
  const offset = told ?? (size > objectSize ? 0n : objectSize - size + 1n);
  return {
    pointer: relative('object', offset),
    objects: { object: { slab: { cache, objectSize: Number(objectSize) } } },
    notes: [
      ...(known === null
        ? [`the report does not give the object size of ${cache}: ${objectSize} bytes are assumed`]
        : []),
      ...(told === null ? [`the report does not say where in the object the copy begins: at ${offset} here`] : []),
    ],
  };
}

const redZone: Describe = (message) => {
  const cache = message.cache ?? '';
  const offset = message.offset ?? 0n;
  const redLeftPad = (offset / 8n + 1n) * 8n;
  const objectSize = cacheFacts(cache).objectSize ?? 64n;
  if (redLeftPad > LARGEST_OBJECT || objectSize > LARGEST_OBJECT) return TOO_LARGE;
  return {
    pointer: relative('object', offset - redLeftPad),
    objects: { object: { slab: { cache, objectSize: Number(objectSize), redLeftPad: Number(redLeftPad) } } },
    notes: [`the report does not give the red zone of ${cache}: ${redLeftPad} bytes are assumed`],
  };
};

const pageAlloc: Describe = (message, { machine, guest: { pageSize } }) => {
  const folio = folioFor(message, { ...machine, pageSizes: [pageSize] });
  if (folio === null) return `no folio of pages of ${pageSize} bytes explains it`;
  const order = (folio / pageSize).toString(2).length - 1;
  if (order > LARGEST_ORDER) return TOO_LARGE;
  return { pointer: relative('folio', message.offset ?? 0n), objects: { folio: { compoundPage: { order } } } };
};

/** The guard page belongs to the area, for rules that look at struct vmap_area. */
const vmalloc: Describe = (message, { machine, guest: { pageSize } }) => {
  const offset = message.offset ?? 0n;
  if (pointerTag(offset, machine) !== null) return 'the guests know no pointer tags';
  const pages = offset / pageSize + 1n;
  if (pages > LARGEST_AREA) return TOO_LARGE;
  const guarded = (pages + 1n) * pageSize;
  if (offset + message.size > guarded) {
    return { pointer: relative('area', offset), objects: { area: { vmalloc: { pages: Number(pages) } } } };
  }
  // Without the guard page the area ends where the copy's page does.
  if (offset + message.size > pages * pageSize && pages > 1n) {
    return { pointer: relative('area', offset), objects: { area: { vmalloc: { pages: Number(pages - 1n) } } } };
  }
  return 'the area must end inside the page that the copy begins in';
};

const processStack: Describe = (message, { machine, guest: { stack, stackDepth } }) => {
  const { size } = message;
  if (size < 2n) return 'one byte is refused only where the kernel checks frames';
  const offset = BigInt.asIntN(machine.bits, message.offset ?? 0n);
  const declared = (start: bigint, end: bigint): Record<string, ScenarioObject> => ({
    reported: { declared: { kind: 'stack', start: hex(start), end: hex(end) } },
  });
  if (offset === 0n) {
    const notes = ['the report does not say where on the stack: across its end here'];
    return stack.end + size <= 1n << BigInt(machine.bits)
      ? { pointer: 'stack.end - 1', notes }
      : "the guest's stack lies so high that the copy would wrap";
  }
  const pointer = stack.pointer - stackDepth - offset;
  const expression = relative('sp', -(offset + stackDepth));
  if (offset > 0n && pointer + size > stack.start) return { pointer: expression };
  const middle = pointer + size / 2n;
  return offset > 0n
    ? {
        pointer: expression,
        objects: declared(middle, stack.end),
        notes: ['the report does not say where the stack begins: in the middle of the copy here, by declaration'],
      }
    : {
        pointer: expression,
        objects: declared(stack.start, middle),
        notes: ['the report does not say where the stack ends: in the middle of the copy here, by declaration'],
      };
};

const spans: Describe = (_message, { guest: { pageSize } }) => ({
  pointer: `pages + ${pageSize - 1n}`,
  objects: { pages: { pages: { count: 2 } } },
});

const PARTS: Partial<Readonly<Record<WholeMessage['refusal'], Describe>>> = {
  'wrapped address': wrappedAddress,
  'null address': (message) => ({ pointer: hex(message.offset ?? message.address ?? 0n) }),
  'kernel text': text('_stext'),
  'linear kernel text': text('lm_alias(_stext)'),
  'vmalloc, no area': (_message, { guest }) => ({ pointer: hex(guest.emptyVmalloc) }),
  'slab object': slabObject,
  'slab object in left red zone': redZone,
  'page alloc': pageAlloc,
  vmalloc,
  kmap: (message) => ({ pointer: relative('slot', message.offset ?? 0n), objects: { slot: { kmap: { slot: 0 } } } }),
  'process stack': processStack,
  'spans multiple pages': spans,
};
