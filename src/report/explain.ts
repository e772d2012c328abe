/** A verdict in words for a person: which object, where its bounds are, and by how much the copy misses them. */

import { type CheckedObject, type Copy, requireCopy, type Verdict } from '../check/verdict.js';
import { hex } from '../errors.js';
import { having, requireValue } from '../options.js';

const bytes = (count: bigint): string => (count === 1n ? '1 byte' : `${count} bytes`);

/** How far [pointer, pointer + size) sticks out of [start, end), in words; null when it does not. */
export function describeMiss(copy: Copy, start: bigint, end: bigint): string | null {
  const copyEnd = copy.pointer + copy.size;
  const parts: string[] = [];
  if (copy.pointer < start) parts.push(`begins ${bytes(start - copy.pointer)} before it`);
  else if (copy.pointer >= end) parts.push(`begins ${bytes(copy.pointer - end)} after its end`);
  if (copyEnd > end) parts.push(`ends ${bytes(copyEnd - end)} past it`);
  else if (copyEnd <= start) parts.push(`ends ${bytes(start - copyEnd)} before it`);
  return parts.length === 0 ? null : parts.join(' and ');
}

const isWhole = ({ start, end, windowStart, windowEnd }: CheckedObject): boolean =>
  windowStart === start && windowEnd === end;

/** An object's bounds, and those of its window where that is not all of it: a line each. */
export function describeObject(object: CheckedObject): string[] {
  const { start, end, windowStart, windowEnd, cache } = object;
  const named = cache === null ? 'object' : `object of cache ${cache}`;
  const whole = `${named}: [${hex(start)}, ${hex(end)}), ${bytes(end - start)}`;
  if (isWhole(object)) return [whole];
  const window = windowEnd > windowStart ? `[${hex(windowStart)}, ${hex(windowEnd)})` : 'nothing';
  return [whole, `user copies may touch: ${window}`];
}

/** A few lines, without line ends; addresses as 0x…, sizes in bytes. */
export function explainVerdict(verdict: Verdict, copy: Copy): string[] {
  requireValue('explainVerdict: verdict', verdict, having('a verdict of the check', 'outcome'));
  requireCopy('explainVerdict: copy', copy);
  const direction = copy.direction === 'to_user' ? 'to user' : 'from user';
  const lines = [`copy ${direction}: [${hex(copy.pointer)}, ${hex(copy.pointer + copy.size)}), ${bytes(copy.size)}`];
  if (verdict.outcome === 'unreadable') {
    return [...lines, `cannot be judged: the guest's memory at ${hex(verdict.address)} is not readable`];
  }
  lines.push(verdict.outcome === 'good' ? `passes: ${verdict.by}` : `refused: ${verdict.by}`);
  const { object } = verdict;
  if (object === null) return lines;
  lines.push(...describeObject(object));
  if (verdict.outcome === 'bad') {
    const miss = describeMiss(copy, object.start, object.end);
    if (miss !== null) lines.push(`the copy ${miss}`);
    else if (!isWhole(object) && object.windowEnd > object.windowStart) {
      const window = describeMiss(copy, object.windowStart, object.windowEnd);
      if (window !== null) lines.push(`inside the object, but outside what user copies may touch: it ${window}`);
    }
  }
  return lines;
}
