/**
 * Does a message follow from its own numbers under one set of rules? It does when there is a state of memory in which these
 * rules print exactly this line; what that state must be like is said. Sources: the rules of `src/check/profiles.ts`.
 */
import type { ProfileSwitches } from '../check/parameters.js';
import { hex } from '../errors.js';
import type { KernelVersion } from '../kernel/kernel.js';
import { atLeast } from '../kernel/version.js';
import type { RegisterObject, UsercopyMessage } from '../report/report.js';
import { cacheFacts } from './cache-name.js';
import { LARGEST_STACK, type Machine, objectOffset } from './machine.js';

export type Following =
  /** `assuming`: what memory must have been like, in sentences. */
  | { readonly follows: true; readonly assuming: readonly string[] }
  | { readonly follows: false; readonly because: string };

const yes = (...assuming: string[]): Following => ({ follows: true, assuming });
const no = (because: string): Following => ({ follows: false, because });
const bytes = (count: bigint): string => (count === 1n ? '1 byte' : `${count} bytes`);

/** Bytes that debugging and KASAN put behind an object, at most (as remembered: tracks, red zones, padding). */
const LARGEST_DEBUG_METADATA = 4096n;

/** A message with all its numbers. */
export interface WholeMessage extends UsercopyMessage {
  readonly refusal: NonNullable<UsercopyMessage['refusal']>;
  readonly size: bigint;
}

export function messageFollows(
  message: WholeMessage,
  switches: ProfileSwitches,
  machine: Machine,
  objects: readonly RegisterObject[],
  version: KernelVersion | null = null,
): Following {
  const word = 1n << BigInt(machine.bits);
  if (message.size >= word || (message.offset ?? 0n) >= word) {
    return no(`a number of the message needs more than the ${machine.bits} bits of this machine's words`);
  }
  const format = message.format === 'new' || message.format === 'whitelist warning' ? 'new' : 'old';
  if (format !== switches.format) {
    return no(
      format === 'new' ? 'these rules print an address, not an offset' : 'these rules print an offset, not an address',
    );
  }
  if (format === 'old' && message.noAddress !== (switches.noAddress ?? false)) {
    return no(message.noAddress ? 'these rules print an address' : 'these rules print no address');
  }
  const wrapped = message.refusal === 'wrapped address';
  if (message.size === 0n && !(wrapped && format === 'new')) return no('a copy of 0 bytes is never looked at');
  const rule = RULES[message.refusal];
  return rule(message, switches, machine, objects, version);
}

type Rule = (
  message: WholeMessage,
  switches: ProfileSwitches,
  machine: Machine,
  objects: readonly RegisterObject[],
  version: KernelVersion | null,
) => Following;

const zeroOffset = (message: WholeMessage, what: string): Following | null =>
  (message.offset ?? 0n) === 0n ? null : no(`${what} is always printed with offset 0`);

/** Old wording: the address itself is printed, and no offset. */
const wrappedAddress: Rule = (message, switches, machine) => {
  const word = 1n << BigInt(machine.bits);
  const { address, size } = message;
  if (switches.format === 'old') {
    if (address === null) return yes('the address is not shown; some pointer wraps with this size');
    const end = address + size - (switches.wrapCountsEnd ? 0n : 1n);
    if (end >= word) return yes();
    return no(`${hex(address)} + ${size} does not wrap`);
  }
  const offset = zeroOffset(message, 'a wrapped address');
  if (offset !== null) return offset;
  // The printed size is pointer + size, modulo the word.
  if (size === 0n && !switches.wrapCountsEnd) {
    return no(
      'the printed size is pointer + size: 0 means that the copy ends at the last byte of memory, which these rules allow',
    );
  }
  if (size === word - 1n) return no('no pointer and size have this sum');
  return yes(
    'the printed size is pointer + size, modulo the word: the copy is larger than the memory after its pointer',
  );
};

const nullAddress: Rule = (message, switches) => {
  const pointer = switches.format === 'old' ? message.address : message.offset;
  if (pointer === null) return yes('the pointer is at most 16');
  return pointer <= 16n ? yes() : no(`only pointers up to 16 are null addresses (ZERO_OR_NULL_PTR), not ${pointer}`);
};

const processStack: Rule = (message, switches, machine) => {
  if (switches.format === 'old') return yes('the copy overlaps the stack of the task that ran');
  const offset = message.offset ?? 0n;
  const word = 1n << BigInt(machine.bits);
  const real = switches.depth && machine.knowsStackPointer !== false;
  if (!real)
    return offset === 0n
      ? yes('the copy overlaps the stack of the task that ran')
      : no('these rules print offset 0 for every stack');
  if (offset === 0n) {
    if (machine.knowsStackPointer === null) {
      return no('these rules print real offsets on most architectures, and the report does not say which one this is');
    }
    return no(
      'these rules print how far below the stack pointer the copy begins; 0 would be a copy of the frame of the check itself',
    );
  }
  const signed = BigInt.asIntN(machine.bits, offset);
  if (signed > 0n) {
    if (signed >= LARGEST_STACK + message.size) return no(`no stack reaches ${bytes(signed)} below its stack pointer`);
    return yes(
      `the copy begins ${bytes(signed)} below the stack pointer of the check, in the unused part of the stack`,
    );
  }
  if (-signed >= LARGEST_STACK) return no(`no stack reaches ${bytes(-signed)} above its stack pointer`);
  if (message.size > word / 2n)
    return yes(`the copy begins ${bytes(-signed)} above the stack pointer of the check and runs past the stack's end`);
  return yes(
    `the copy begins ${bytes(-signed)} above the stack pointer of the check (${offset} is ${signed}) and runs past the stack's end, or across frames where the kernel checks frames`,
  );
};

/** 5.12 brought it; Android's older trees have it too. */
const mayHaveKfence = (version: KernelVersion | null): boolean =>
  version === null || atLeast(version, 5, 12) || version.release.includes('android');

/**
 * Only of an object of the KFENCE pool, which lies anywhere in a page with a guard page behind it, the offset is plainly the
 * pointer minus the object's first byte: kfence_object_start() in __check_heap_object(), from 5.12 on.
 */
function beforeObject(message: WholeMessage, kfence: boolean, machine: Machine): Following {
  const { offset } = message;
  const before = -objectOffset(message, machine);
  if (!kfence) {
    return no(
      `an offset of ${offset} is ${-before}: the copy would begin before its object, as only KFENCE's objects allow (5.12 on)`,
    );
  }
  if (message.format === 'whitelist warning')
    return no('a copy that begins before its object is refused, not warned of');
  return yes(
    `the object is of the KFENCE pool, and the copy begins ${bytes(before)} before it (${offset} is ${-before})`,
  );
}

const slabObject: Rule = (message, switches, machine, objects, version) => {
  const name = message.cache ?? '';
  const facts = cacheFacts(name, version);
  if (switches.format === 'old') {
    const size = facts.objectSize;
    if (size === null) return yes(`an object of cache ${name} ends within the ${bytes(message.size)}`);
    if (message.size > size) return yes(`${bytes(message.size)} are more than an object of ${name} has`);
    const power = (size & (size - 1n)) === 0n;
    if (!power || message.address === null)
      return yes(`the copy begins inside an object of ${name} and runs past its end`);
    const offset = message.address % size;
    if (offset + message.size > size) return yes(`the copy begins ${bytes(offset)} into an object of ${name}`);
    return no(
      `${bytes(message.size)} at ${hex(message.address)} lie inside one object of ${name}, whose objects begin at multiples of ${size}`,
    );
  }
  const offset = message.offset ?? 0n;
  const told = objects.find((object) => object.cache === name && BigInt(object.offset) === offset);
  const size = told === undefined ? facts.objectSize : BigInt(told.size);
  const kfence = switches.kfence && mayHaveKfence(version);
  if (objectOffset(message, machine) < 0n) return beforeObject(message, kfence, machine);
  const end = offset + message.size;
  const warning = message.format === 'whitelist warning';
  if (warning && !switches.fallback) return no('these rules do not warn: they refuse');
  if (size === null) {
    return warning
      ? yes(`the copy lies inside an object of cache ${name}, outside of its whitelist`)
      : yes(`the whitelist of cache ${name}, if it has one, does not hold bytes [${offset}, ${end}) of its objects`);
  }
  if (warning) {
    if (end > size)
      return no(`bytes [${offset}, ${end}) are not inside an object of ${bytes(size)}: that is refused, not warned of`);
    if (facts.window === 'whole object')
      return no(
        `bytes [${offset}, ${end}) lie inside an object of ${name}, all of which user copies may touch unwarned`,
      );
    return yes(`the copy lies inside an object of cache ${name}, outside of its whitelist`);
  }
  if (offset >= size) {
    if (offset >= size + LARGEST_DEBUG_METADATA)
      return kfence && machine.pageSizes.some((page) => offset < 2n * page)
        ? yes(`the copy begins ${bytes(offset)} into the two pages of an object of the KFENCE pool`)
        : no(`an offset of ${offset} is beyond every object of ${name}, which has ${bytes(size)}`);
    return yes(
      `the copy begins past the ${bytes(size)} of an object of ${name}, in what slab debugging or KASAN put there`,
    );
  }
  if (end > size) return yes(`an object of ${name} has ${bytes(size)}: the copy runs ${bytes(end - size)} past it`);
  if (facts.window === 'none') {
    return yes(
      `bytes [${offset}, ${end}) lie inside the object of ${bytes(size)}: caches of this kind had no whitelist on this kernel`,
    );
  }
  if (facts.window === 'whole object') {
    return no(
      `bytes [${offset}, ${end}) lie inside an object of ${name} (${bytes(size)}), all of which user copies may touch`,
    );
  }
  return yes(
    `bytes [${offset}, ${end}) lie inside the object of ${bytes(size)}: only the whitelist of cache ${name} can have refused them`,
  );
};

const text: Rule = (message, switches, machine) => {
  if (message.refusal === 'linear kernel text' && !switches.linearText)
    return no('these rules do not look at the linear alias of the text');
  if (switches.format === 'old') return yes('the copy overlaps the kernel text');
  const LARGEST_TEXT = 1n << 28n;
  const signed = BigInt.asIntN(machine.bits, message.offset ?? 0n);
  if (signed < 0n && message.size <= -signed)
    return no(`the copy begins ${bytes(-signed)} before the text and ends before it`);
  if (signed >= LARGEST_TEXT) return no(`no kernel has ${signed >> 20n} MiB of text`);
  return yes(
    signed < 0n
      ? `the copy begins ${bytes(-signed)} before _stext and reaches into it`
      : `the copy begins ${bytes(signed)} past _stext, and the text is longer than that`,
  );
};

const spans: Rule = (message, switches) => {
  if (switches.pageSpan === 'off')
    return no('these rules do not look at page spans (HARDENED_USERCOPY_PAGESPAN, up to 5.18)');
  const offset = zeroOffset(message, 'a page span');
  if (offset !== null) return offset;
  if (message.size < 2n) return no('one byte cannot span pages');
  return yes('the copy runs from one page into the next, and no compound page holds both (HARDENED_USERCOPY_PAGESPAN)');
};

const RULES: Readonly<Record<WholeMessage['refusal'], Rule>> = {
  'wrapped address': wrappedAddress,
  'null address': nullAddress,
  'process stack': processStack,
  kmap: (message, switches, machine) => {
    if (switches.kmap === 'off') return no('these rules know no kmap slots (5.19 on)');
    if (!machine.highmem) return no('a 64-bit kernel has no kmap slots');
    const offset = message.offset ?? 0n;
    const page = machine.pageSizes.find((size) => offset < size && offset + message.size > size);
    return page === undefined
      ? no(`${bytes(message.size)} at ${offset} do not cross the end of a page`)
      : yes(`the copy runs ${bytes(offset + message.size - page)} past a kmap slot of one page`);
  },
  vmalloc: (message, switches, machine) => {
    if (switches.vmalloc === 'off') return no('these rules pass over vmalloc addresses (until 5.18)');
    const tag = pointerTag(message.offset ?? 0n, machine);
    return yes(
      tag === null
        ? `the vmalloc area ends less than ${bytes(message.size)} past offset ${message.offset}`
        : `the offset is that of tagged pointers: byte ${hex(tag.tag)} at the top, ${bytes(tag.rest)} below`,
    );
  },
  'vmalloc, no area': (message, switches) => {
    if (switches.vmalloc === 'off') return no('these rules pass over vmalloc addresses (until 5.18)');
    return (
      zeroOffset(message, 'vmalloc without an area') ??
      yes(
        switches.vmalloc === 'vm_struct'
          ? 'the address is in vmalloc space without a vm_struct, as vm_map_ram() areas are'
          : 'no vmap area holds the address',
      )
    );
  },
  'slab object': slabObject,
  'slab object in left red zone': (message, switches) =>
    switches.whitelist
      ? yes(
          `slab debugging is on, and the pointer lies ${bytes(message.offset ?? 0n)} into the red zone before an object of ${message.cache}`,
        )
      : no('these rules do not report red zones'),
  'slab object not in slab page': (message, switches) =>
    switches.whitelist
      ? (zeroOffset(message, 'an object outside of its slab') ??
        yes(
          'the struct page found for the address is of a slab that lies above it: it is not the page of this address',
        ))
      : no('these rules do not report it'),
  'slab object index out of range': () => no('no message is printed for it'),
  'page alloc': (message, switches, machine) => {
    if (!switches.folio) return no('these rules do not look at large folios (5.19 on)');
    const folio = folioFor(message, machine);
    return folio === null
      ? no(
          `no large folio begins ${bytes(message.offset ?? 0n)} before the copy and ends within its ${bytes(message.size)}`,
        )
      : yes(folioSizes(foliosFor(message, machine)));
  },
  rodata: (message, switches) => {
    if (switches.pageSpan === 'off')
      return no('these rules do not look at rodata (HARDENED_USERCOPY_PAGESPAN, up to 5.18)');
    if (message.direction === 'to_user') return no('reading rodata is allowed');
    return zeroOffset(message, 'rodata') ?? yes('the copy lies in rodata');
  },
  'spans multiple pages': spans,
  'spans Reserved and non-Reserved pages': spans,
  'spans CMA and non-CMA pages': spans,
  'kernel text': text,
  'linear kernel text': text,
};

/** Every size of a large folio that begins `offset` before the copy and ends within it. */
export function foliosFor(message: { offset: bigint | null; size: bigint }, machine: Machine): bigint[] {
  const offset = message.offset ?? 0n;
  const LARGEST_ORDER = 11n;
  const sizes = new Set<bigint>();
  for (const page of machine.pageSizes) {
    for (let order = 1n; order <= LARGEST_ORDER; order++) {
      const size = page << order;
      if (offset < size && offset + message.size > size) sizes.add(size);
    }
  }
  return [...sizes].sort((left, right) => (left < right ? -1 : 1));
}

function folioSizes(sizes: readonly bigint[]): string {
  const [first = 0n, ...others] = sizes;
  const last = others.at(-1);
  if (last === undefined) return `the folio has ${bytes(first)}: no other size of one ends inside this copy`;
  const between = sizes.length === 2 ? 'or' : 'to';
  return `the folio has ${first} ${between} ${bytes(last)}${sizes.length === 2 ? '' : ', a power of two'}`;
}

/** Bytes of the smallest large folio that explains the message: begins `offset` before the copy, ends within it. */
export function folioFor(message: { offset: bigint | null; size: bigint }, machine: Machine): bigint | null {
  return foliosFor(message, machine)[0] ?? null;
}

/** Tags (KASAN with hardware or software tags) that differ between a pointer and its area show in the offset's top byte. */
export function pointerTag(offset: bigint, machine: Machine): { readonly tag: bigint; readonly rest: bigint } | null {
  const SPACE = 1n << 48n;
  const tag = offset >> 56n;
  const rest = BigInt.asUintN(56, offset);
  return machine.bits === 64 && tag !== 0n && rest < SPACE ? { tag, rest } : null;
}
