/** What lies where around a copy: the parts of memory that a drawing shows, from what is known of a copy. */

import type { UsercopyMessage } from '../report/report.js';
import { cacheFacts } from './cache-name.js';
import { folioFor } from './follows.js';
import { type Machine, machineOf, objectOffset } from './machine.js';
import type { Reproduction } from './outcome.js';
import { refusedOf } from './refused.js';

export type PartKind = 'object' | 'neighbour' | 'window' | 'red zone' | 'member' | 'area' | 'frame';

/** Half-open, [start, end). */
export interface Part {
  readonly start: bigint;
  readonly end: bigint;
  readonly kind: PartKind;
  readonly label: string;
}

export interface Scene {
  /** What numbers count from: null for addresses, else the words for it (`the object's start`). */
  readonly origin: string | null;
  readonly parts: readonly Part[];
  /** The copy; its end may lie beyond everything that is known. */
  readonly copy: { readonly start: bigint; readonly end: bigint };
  readonly refused: boolean;
}

/** A structure's member, in bytes from the object's start. */
export interface Member {
  readonly name: string;
  readonly offset: bigint;
  readonly size: bigint;
}

/** The scene of a copy; a sentence where too little is known to draw one. */
export function sceneOf(reproduction: Reproduction, members: readonly Member[] = []): Scene | string {
  const { copy, report } = reproduction;
  if (copy.pointer !== null && copy.size !== null) return addressScene(reproduction, copy.pointer, copy.size, members);
  const message = report?.message ?? null;
  if (message === null || message.size === null || message.offset === null) return 'Where the copy lies is not known.';
  const { offset, size } = message;
  return offsetScene(reproduction, { ...message, offset, size }, machineOf(report?.bits ?? null, null));
}

function addressScene(reproduction: Reproduction, start: bigint, size: bigint, members: readonly Member[]): Scene {
  const { object, surroundings, region } = reproduction.explanation;
  const parts: Part[] = [];
  const add = (from: bigint, to: bigint, kind: PartKind, label: string): void => {
    if (to > from) parts.push({ start: from, end: to, kind, label });
  };
  const stateOf = (state: string | null): string => (state === null ? '' : `, ${state}`);
  const redZone = surroundings?.redZone ?? 0n;
  for (const neighbour of surroundings?.neighbours ?? []) {
    add(neighbour.start - redZone, neighbour.start, 'red zone', 'red zone');
    add(neighbour.start, neighbour.end, 'neighbour', `object ${neighbour.index}${stateOf(neighbour.state)}`);
  }
  if (object?.start != null && object.end !== null) {
    const { start: first, end, cache, index, state, window } = object;
    add(first - redZone, first, 'red zone', 'red zone');
    add(first, end, 'object', `${cache ?? region ?? 'object'}${index === null ? '' : ` ${index}`}${stateOf(state)}`);
    for (const member of members)
      add(first + member.offset, first + member.offset + member.size, 'member', member.name);
    if (window !== null) add(window.start, window.end, 'window', 'user copies may touch');
    else if (cacheFacts(cache ?? '').window === 'whole object') add(first, end, 'window', 'user copies may touch');
  } else if (surroundings?.area) {
    add(surroundings.area.start, surroundings.area.end, 'area', 'vmalloc area');
  } else if (surroundings?.stack) {
    const { comm } = surroundings.stack;
    add(surroundings.stack.start, surroundings.stack.end, 'area', `stack${comm === null ? '' : ` of ${comm}`}`);
  }
  return { origin: null, parts, copy: { start, end: start + size }, refused: refusedOf(reproduction) === true };
}

/** Without a pointer: the message's offset, from where its rule counts it. */
function offsetScene(
  reproduction: Reproduction,
  message: UsercopyMessage & { readonly offset: bigint; readonly size: bigint },
  machine: Machine,
): Scene | string {
  const { offset, size } = message;
  const refused = refusedOf(reproduction) === true;
  const signed = BigInt.asIntN(machine.bits, offset);
  const scene = (origin: string, start: bigint, parts: readonly Part[]): Scene => ({
    origin,
    parts,
    copy: { start, end: start + size },
    refused,
  });
  switch (message.refusal) {
    case 'slab object': {
      const { object } = reproduction.explanation;
      const length = object?.size ?? cacheFacts(message.cache ?? '').objectSize;
      const parts: Part[] =
        length === null ? [] : [{ start: 0n, end: length, kind: 'object', label: `object of ${message.cache}` }];
      const { window } = cacheFacts(message.cache ?? '');
      if (length !== null && window === 'whole object')
        parts.push({ start: 0n, end: length, kind: 'window', label: 'user copies may touch' });
      return scene("the object's start", objectOffset(message, machine), parts);
    }
    case 'slab object in left red zone':
      return scene('the red zone', offset, [
        { start: 0n, end: offset + 1n, kind: 'red zone', label: `red zone of an object of ${message.cache}, at least` },
      ]);
    case 'page alloc': {
      const folio = folioFor({ offset, size }, machine);
      if (folio === null) return 'No folio explains these numbers, so there is nothing to draw to scale.';
      return scene("the folio's start", offset, [
        { start: 0n, end: folio, kind: 'area', label: `folio of ${folio} bytes, the smallest that explains it` },
      ]);
    }
    case 'kmap':
      return scene("the slot's start", offset, [
        { start: 0n, end: machine.pageSizes[0] ?? 4096n, kind: 'area', label: 'kmap slot of one page' },
      ]);
    case 'vmalloc':
      return scene("the area's start", offset, [
        { start: 0n, end: offset + 1n, kind: 'area', label: 'vmalloc area: it ends inside the copy' },
      ]);
    case 'kernel text':
    case 'linear kernel text':
      return scene('_stext', signed, [
        {
          start: 0n,
          end: signed + size > 0n ? signed + size : 1n,
          kind: 'area',
          label: 'kernel text: at least to here',
        },
      ]);
    case 'process stack':
      if (signed === 0n) return 'The message gives no place on the stack, so there is nothing to draw to scale.';
      return scene('the stack pointer', -signed, [
        { start: 0n, end: signed < 0n ? -signed + 1n : 1n, kind: 'frame', label: 'frames in use' },
      ]);
    default:
      return 'The numbers of this message give no place, so there is nothing to draw to scale.';
  }
}
