/** Whether a kernel's line and the one that the check of this project gives a copy say the same, as far as the kernel's is there. */
import type { Verdict } from '../check/verdict.js';
import { isHashed, type Printer } from '../diagnosis/hashed.js';
import { parseReports } from '../report/parse.js';
import type { UsercopyMessage } from '../report/report.js';

const messageIn = (line: string): UsercopyMessage | null => parseReports(line)[0]?.message ?? null;

const squeezed = (text: string): string => text.replaceAll(/\s/g, '');

/** `told` is the kernel's. An address that it hashed or hid is left out; of a line that is cut off, what is gone. */
export function saysTheSame(told: UsercopyMessage, ours: string | null, printer: Printer): boolean {
  if (ours === null) return false;
  if (told.canonical !== null && !isHashed(told, printer)) return told.canonical === ours;
  const mine = messageIn(ours);
  if (mine === null || told.direction !== mine.direction) return false;
  const { refusal, cache, offset, size, sizeDigits, region } = told;
  if (refusal !== null && refusal !== mine.refusal) return false;
  if (cache !== null ? cache !== mine.cache : !squeezed(mine.region).startsWith(squeezed(region))) return false;
  if (offset !== null && offset !== mine.offset) return false;
  if (sizeDigits !== null && !String(mine.size).startsWith(sizeDigits)) return false;
  return size === null || size === mine.size;
}

/** The same of a line as a replay has it: whole. */
export function isSameLine(its: string | null, ours: string | null, printer: Printer): boolean {
  if (its === ours) return true;
  const told = its === null ? null : messageIn(its);
  return told !== null && saysTheSame(told, ours, printer);
}

/** What HARDENED_USERCOPY_FALLBACK warns of (4.16 to 5.15): a copy that passes. `told` is the warning's line; null where it is gone. */
export const isWarnedOf = (verdict: Verdict, told: UsercopyMessage | null): boolean =>
  verdict.outcome === 'good' &&
  verdict.by === 'slab object by fallback' &&
  (told?.cache == null || verdict.object?.cache == null || told.cache === verdict.object.cache);
