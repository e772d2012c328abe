/** What the printed numbers mean where they are not what their names say. */

import { hex } from '../errors.js';
import type { UsercopyReport } from '../report/report.js';
import { cacheFacts } from './cache-name.js';
import { pointerTag } from './follows.js';
import { hasHashedAddress, printsAddresses } from './hashed.js';
import { type Machine, objectOffset } from './machine.js';

const bytes = (count: bigint): string => (count === 1n ? '1 byte' : `${count} bytes`);

/** Words that fill memory on purpose: slab poison (include/linux/poison.h), and what was never written. */
const POISON: Readonly<Record<string, string>> = {
  '6b': 'freed slab memory (POISON_FREE)',
  '5a': 'slab memory that was never written (POISON_INUSE)',
  cc: 'a slab red zone (SLUB_RED_ACTIVE)',
  bb: 'a slab red zone of a free object (SLUB_RED_INACTIVE)',
  aa: 'freed pages (PAGE_POISON)',
};

/** What a number that consists of one poison byte was read from; null when it is none. */
export function poisonOf(value: bigint): string | null {
  const digits = value.toString(16);
  const [, byte = ''] = /^([0-9a-f]{2})\1{3}(?:\1{4})?$/.exec(digits) ?? [];
  return POISON[byte] ?? null;
}

/** Sentences; empty when the numbers speak for themselves. */
export function explainNumbers(report: UsercopyReport, machine: Machine): string[] {
  const { message } = report;
  if (message === null) return [];
  const lines: string[] = [];
  const { refusal, offset, size } = message;
  if (hasHashedAddress(report)) {
    lines.push(
      printsAddresses(report.kernelVersion)
        ? `the address is not used: kernel ${report.kernelVersion} prints addresses as they are, and has none with zeros above; the line was altered, or this tree hashes %p as 4.15 does`
        : 'the address is a hash: this kernel hashes %p, and the pointer cannot be recovered from it',
    );
  }
  if (refusal === 'wrapped address' && message.format === 'new' && size !== null) {
    lines.push(
      `for a wrapped address the printed size is pointer + size (mod 2^${machine.bits}), here ${hex(size)}; the offset is always 0`,
    );
  }
  if (refusal === 'process stack' && offset !== null && offset !== 0n) {
    const signed = BigInt.asIntN(machine.bits, offset);
    lines.push(
      signed < 0n
        ? `for a stack the offset is the stack pointer minus the copy's pointer: ${offset} is ${signed}, so the copy begins ${bytes(-signed)} above it`
        : `for a stack the offset is the stack pointer minus the copy's pointer: the copy begins ${bytes(signed)} below it, where nothing is in use`,
    );
  }
  if (refusal === 'slab object' && objectOffset(message, machine) < 0n) {
    const signed = objectOffset(message, machine);
    lines.push(`an offset is unsigned: ${offset} is ${signed}, so the copy begins ${bytes(-signed)} before the object`);
  }
  if (refusal === 'null address') lines.push('for a null address the offset is the pointer itself');
  if ((refusal === 'kernel text' || refusal === 'linear kernel text') && offset !== null) {
    lines.push(
      `for kernel text the offset is counted from _stext${refusal === 'kernel text' ? '' : ' as the linear map shows it'}: ${hex(offset)}`,
    );
  }
  const tag = refusal === 'vmalloc' && offset !== null ? pointerTag(offset, machine) : null;
  if (tag !== null) {
    lines.push(
      `the offset holds the difference of two pointer tags (${hex(tag.tag)} in its top byte); without it the copy begins ${bytes(tag.rest)} into the area`,
    );
  }
  if (message.cache !== null) {
    const { cgroup } = cacheFacts(message.cache);
    if (cgroup !== null)
      lines.push(`${cgroup} in the cache's name is the memory cgroup that the object was charged to`);
  }
  for (const [what, value] of [
    ['size', size],
    ['offset', offset],
  ] as const) {
    if (value === null) continue;
    const poison = poisonOf(value);
    if (poison !== null) lines.push(`the ${what} is ${hex(value)}: it was read from ${poison}`);
  }
  if (size !== null && refusal !== 'wrapped address') {
    const signed = BigInt.asIntN(machine.bits, size);
    const LARGEST_ERRNO = 4095n;
    if (signed < 0n && -signed <= LARGEST_ERRNO)
      lines.push(`the size is ${signed}: an error number taken for a length`);
  }
  return lines;
}
