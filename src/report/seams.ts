/** Lines that were broken once, where nothing says whether a blank stood at the break: what is known all the same. */
import { SEAM } from './join.js';

/** A value that is whole, or null with a note. */
export interface Whole {
  readonly value: string | null;
  readonly note: string | null;
}

export const unseamed = (text: string): string => text.replaceAll(SEAM, ' ');

/** Values of registers have 8 or 16 digits, a number of a line its exclamation mark, brackets their end. */
export function withKnownSeams(text: string): string {
  if (!text.includes(SEAM)) return text;
  const joined = (seam: string, left: string, right: string): string => {
    const digits = left.length + right.length;
    return digits === 16 || (digits === 8 && left.length !== 8) ? left + right : seam;
  };
  return text
    .replace(/(?<=[:=] {0,2})([0-9a-f]{1,15})\0([0-9a-f]{1,15})\b/g, joined)
    .replace(/\b([0-9a-f]{1,15})\0([0-9a-f]{1,15})\b/g, (seam, left: string, right: string) =>
      // Two words of code have 8 digits each.
      left.length === 8 ? seam : joined(seam, left, right),
    )
    .replace(/(\.c:\d{0,6})\0(\d{0,6}!)/g, '$1$2')
    .replace(/(\([A-Z+-]{0,8})\0([A-Z+-]{0,8}\))/g, '$1$2');
}

export function wholeOf(value: string | null, what: string): Whole {
  if (value === null || !value.includes(SEAM)) return { value, note: null };
  return { value: null, note: `${what} is broken, and whether a blank stood there is not known: '${unseamed(value)}'` };
}
