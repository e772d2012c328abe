/**
 * What is known of a message that a log lost: its length is in the register of printk()'s result, its kind of place in the
 * call trace, its offset perhaps in another register. Nothing is taken for a fact here; it is told as what must hold.
 */
import type { Direction } from '../check/verdict.js';
import type { UsercopyReport } from '../report/report.js';
import { missingCacheOf } from './known-causes.js';

/** Larger numbers in registers are no offsets into objects. */
const LARGEST_OFFSET = 1n << 20n;
const ATTEMPTS: Readonly<Record<Direction, string>> = {
  to_user: 'exposure attempt detected from',
  from_user: 'overwrite attempt detected to',
};

/** Sentences; empty where the length is not told. */
export function missingLine(report: UsercopyReport, direction: Direction | null): string[] {
  const length = report.returnLength;
  if (length === null) return [];
  const { register, characters } = length;
  const told = `${register} is ${characters}, the length of the missing line`;
  const place = placeOf(report);
  if (place === null) return [told];
  const directions: readonly Direction[] = direction === null ? ['to_user', 'from_user'] : [direction];
  return directions.flatMap((way) => {
    const open = `usercopy: Kernel memory ${ATTEMPTS[way]} ${place.text}`;
    const digits = characters - open.replaceAll('…', '').length - ' (offset , size )!'.length;
    if (digits < 2) return [];
    if (place.name !== null) return [withNumbers(report, told, open, digits)];
    return [
      `${told}: in "${open} (offset …, size …)!" the cache's name and the digits of offset and size have ${digits} characters together`,
    ];
  });
}

/** By the trace: the slab's own check is asked for slab memory alone. */
function placeOf(report: UsercopyReport): { readonly text: string; readonly name: string | null } | null {
  if (report.trace.some(({ symbol, reliable }) => reliable && /^__check_heap_object\b/.test(symbol))) {
    const cache = missingCacheOf(report);
    return { text: `SLUB object '${cache ?? '…'}'`, name: cache };
  }
  const region = report.registerText?.region ?? null;
  return region === null || region.includes('object') ? null : { text: region, name: region };
}

function withNumbers(report: UsercopyReport, told: string, open: string, digits: number): string {
  const numbers = [...report.registers].filter(
    ([name, value]) =>
      name !== report.returnLength?.register && value > 1n && value < LARGEST_OFFSET && `${value}`.length < digits,
  );
  const together = `${told}: in "${open} (offset …, size …)!" offset and size have ${digits} digits together`;
  const [only] = numbers;
  if (only === undefined || new Set(numbers.map(([, value]) => value)).size > 1) return together;
  const [name, value] = only;
  const left = digits - `${value}`.length;
  return `${together}; ${name} is ${value}: if that is the offset, it was "${open} (offset ${value}, size ${'?'.repeat(left)})!"`;
}
