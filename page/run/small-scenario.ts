/** The copy of the play tab as a scenario of a built-in guest, whose memory lies elsewhere but is of the same kind. */
import type { Copy } from '../../src/check/verdict.js';
import { hex } from '../../src/errors.js';
import type { Expression, Scenario, ScenarioObject } from '../../src/scenario/format.js';
import { NEWEST_OWN_PROFILE } from '../../src/scenario/own-guest.js';
import { type Place, type PlaceName, type SlabForm, sound } from '../places.js';

interface Placed {
  readonly object?: ScenarioObject;
  readonly pointer: Expression;
}

/**
 * `refused`: what the page's check said by these rules. A sentence where a guest cannot be brought into such a state.
 */
export function smallScenario(
  name: PlaceName,
  place: Place,
  slab: SlabForm,
  {
    variant,
    copy,
    refused,
    frames,
  }: {
    readonly variant: string;
    readonly copy: Copy;
    readonly refused: boolean;
    readonly frames: boolean;
  },
): Scenario | string {
  if (frames) return 'frames on the stack of a built-in guest are its own: switch them off to run the copy there';
  const { stackPointer } = place.memory;
  if (name === 'stack' && copy.pointer < stackPointer && copy.pointer + copy.size > stackPointer) {
    return "the guest's stack pointer is elsewhere while its own check runs: move the copy to one side of it";
  }
  const { object, pointer } = placed(name, place, slab, copy);
  return {
    name: `a copy on ${name}`,
    // Where its kernels walk frames, a guest's own check does so unless it is told not to.
    guest: { variant, profile: NEWEST_OWN_PROFILE, ...(name === 'stack' ? { frames: false } : {}) },
    ...(object === undefined ? {} : { objects: { memory: object } }),
    steps: [
      {
        name: 'the copy',
        copy: { pointer, size: Number(copy.size), direction: copy.direction },
        expect: { outcome: refused ? 'bad' : 'good' },
      },
    ],
  };
}

/** An address beside another one. */
function beside(base: string, offset: bigint): string {
  if (offset === 0n) return base;
  return offset < 0n ? `${base} - ${-offset}` : `${base} + ${offset}`;
}

function placed(name: PlaceName, { start, memory }: Place, slab: SlabForm, { pointer, size }: Copy): Placed {
  const offset = pointer - start;
  switch (name) {
    case 'slab': {
      const { objectSize, redZone, useroffset, usersize } = sound(slab);
      const stride = Math.ceil((redZone + objectSize) / 8) * 8;
      const object = {
        ...{ cache: 'example_cache', objectSize, size: stride, useroffset, usersize },
        ...(redZone === 0 ? {} : { redLeftPad: redZone }),
      };
      // One object is like the other, and the guest's slab may have fewer of them.
      return { object: { slab: object }, pointer: beside('memory', (offset % BigInt(stride)) - BigInt(redZone)) };
    }
    case 'vmalloc':
      return { object: { vmalloc: { pages: 2 } }, pointer: beside('memory', offset) };
    case 'folio':
      return { object: { compoundPage: { order: 2 } }, pointer: beside('memory', offset) };
    case 'stack': {
      const stack = memory.declarations.find(({ kind }) => kind === 'stack');
      // Its end is not as far from the stack pointer there.
      if (stack !== undefined && 'end' in stack && pointer + size > stack.end)
        return { pointer: beside('stack.end', pointer - stack.end) };
      return {
        pointer: pointer < memory.stackPointer ? beside('stack', offset) : beside('sp', pointer - memory.stackPointer),
      };
    }
    case 'text': {
      const text = memory.text;
      if (text === null) return { pointer: hex(pointer) };
      // The guest's text has another length, of more than this half: what begins behind that is told from its end.
      const half = (text.start + text.end) / 2n;
      return {
        pointer: pointer < half ? beside('_stext', pointer - text.start) : beside('_etext', pointer - text.end),
      };
    }
    case 'null':
      return { pointer: hex(pointer) };
  }
}
