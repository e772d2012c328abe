/**
 * printk() returns how many characters it printed, without prefix and line end, and BUG() comes right behind it: at the
 * crash the register of a function's result still holds the length of the usercopy line. (vprintk_store(): `return ret`
 * with the text's length; 70 of 77 public reports agree to the character, the others are altered postings.)
 */
import type { MessageFound } from './message.js';
import type { ReturnLength, TraceEntry, UsercopyMessage } from './report.js';

export interface Measured {
  readonly message: UsercopyMessage | null;
  readonly length: ReturnLength | null;
  readonly notes: readonly string[];
}

const SHORTEST = 60;
const LONGEST = 400;
/** Where printk() is the last call before BUG(). */
const ABORTS = /^(?:__pi_)?(?:usercopy_abort|report_usercopy|__check_object_size|check_\w+)(?:\.\w+)*$/;

/** Holds a message against the length that its crash's registers tell. */
export function measure(
  found: MessageFound | null,
  registers: ReadonlyMap<string, bigint>,
  names: readonly string[],
  pc: TraceEntry | null,
): Measured {
  const { message, alternatives } = found ?? { message: null, alternatives: [] };
  const register = names.find((name) => registers.has(name));
  const value = register === undefined ? undefined : registers.get(register);
  const none: Measured = { message, length: null, notes: [] };
  if (register === undefined || value === undefined || pc === null || !ABORTS.test(pc.symbol)) return none;
  if (value < SHORTEST || value > LONGEST || message?.format === 'whitelist warning' || message?.format === 'pax') {
    return none;
  }
  const characters = Number(value);
  const told = (use: ReturnLength['use']): ReturnLength => ({ register, characters, use });
  if (message === null) return { message, length: told('narrows'), notes: [] };
  const { canonical } = message;
  if (canonical !== null) {
    if (canonical.length === characters) return { message, length: told('agrees'), notes: [] };
    const other = alternatives.find((candidate) => candidate.canonical?.length === characters);
    if (other !== undefined) {
      const notes = [`${register} is ${characters}, the length of the line: so its broken name is '${other.cache}'`];
      return { message: other, length: told('chosen'), notes };
    }
    const notes = [
      `${register} is ${characters}, the length of the line that the kernel printed; this one has ${canonical.length}: it was altered, or the register is of something else`,
    ];
    return { message, length: told('differs'), notes };
  }
  return completed(message, register, characters);
}

/** A line that is cut off in or before its size. */
function completed(message: UsercopyMessage, register: string, characters: number): Measured {
  const told = (use: ReturnLength['use']): ReturnLength => ({ register, characters, use });
  const none: Measured = { message, length: told('narrows'), notes: [] };
  const start = beginningOf(message);
  if (start === null) return none;
  const missing = characters - start.length - ')!'.length;
  const read = message.sizeDigits ?? '';
  if (missing < 1 || missing > 20 || read.length > missing) {
    const notes = [`${register} is ${characters}, which the cut line cannot have had`];
    return { message, length: told('differs'), notes };
  }
  if (read.length === missing) {
    const size = BigInt(read);
    const notes = [
      `${register} is ${characters}, the length of the line: so the size that is cut off behind its last digit is ${size}`,
    ];
    return {
      message: { ...message, size, sizeDigits: null, canonical: `${start}${size})!` },
      length: told('completed'),
      notes,
    };
  }
  const digits = missing === 1 ? '1 digit' : `${missing} digits`;
  const first = 10n ** BigInt(missing - read.length);
  const lowest = read === '' ? first / 10n : BigInt(read) * first;
  const highest = read === '' ? first - 1n : lowest + first - 1n;
  const notes = [
    `${register} is ${characters}, the length of the line: so the size has ${digits}, and is ${lowest} to ${highest}`,
  ];
  return { message, length: told('narrows'), notes };
}

/** The kernel's line up to its size, where all of that is there. */
function beginningOf(message: UsercopyMessage): string | null {
  const { format, refusal, cache, offset, direction, regionKind, region } = message;
  if (format !== 'new' || offset === null || refusal === null) return null;
  const attempt = direction === 'to_user' ? 'exposure attempt detected from' : 'overwrite attempt detected to';
  const place =
    cache !== null ? `${regionKind} '${cache}'` : regionKind === 'special' ? region : `${regionKind} ${region}`;
  return `usercopy: Kernel memory ${attempt} ${place} (offset ${offset}, size `;
}
