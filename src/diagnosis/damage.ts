/** What in a report says that the whole kernel cannot be trusted. */
import type { UsercopyReport } from '../report/report.js';
import { poisonOf } from './numbers.js';

/** What a number of the message was read from, where it is poison; null where none is. */
export function poisonIn({ message }: UsercopyReport): string | null {
  const found = [message?.size, message?.offset].map((value) => (value == null ? null : poisonOf(value)));
  return found.find((poison) => poison !== null) ?? null;
}

/** Numbers read from poison, an earlier crash, a damaged list, a name of no letters. */
export function damageOf(report: UsercopyReport): string | null {
  const { trouble, taint, comm } = report;
  const poison = poisonIn(report);
  if (poison !== null) return `a number of the message was read from ${poison}`;
  if (trouble !== null) return `memory was damaged before: '${trouble.slice(0, 120)}'`;
  if (taint?.includes('D')) return 'the kernel had crashed before (taint D)';
  if (taint?.includes('B')) return 'a damaged page was found before (taint B)';
  const garbled = comm !== null && /\ufffd|^[^\p{L}\p{N}]{1,3}$|^[\u0080-\u00ff]{1,3}$/u.test(comm);
  return garbled ? `the task's name, '${comm}', is not that of a program` : null;
}
