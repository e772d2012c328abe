/**
 * Where in a dump a call of the check is made that its CPU was not about to make: what the replay does, and what the judge must
 * take for the stack pointer, so that both speak of the same call.
 */
import { entryStackPointer, stackPointerOf } from '../stack/call.js';
import type { CurrentTaskFound } from './current.js';
import type { Dump } from './dump.js';

/** Below what leaf functions may use, and with room for the check and its message. */
const RED_ZONE = 512n;
const LEAST_STACK = 4096n;
/** Distance of a call's stack pointer from the end of the stack, where the dump's CPU tells none. */
export const FROM_STACK_END = 2048n;

export interface CallPlace {
  /** Stack pointer of the caller, as an address: what lies below it is free. */
  readonly stackPointer: bigint;
  /** The stack pointer, as an address, at the first instruction of the function called. */
  readonly atEntry: bigint;
  /** Whether that is on from where the CPU stands; else near the end of the task's stack. */
  readonly fromCpu: boolean;
}

/** The place of a call on the stack of the current task. */
export function callPlaceOf({ variant, kernel, registers }: Dump, task: CurrentTaskFound): CallPlace {
  const end = task.stack + variant.threadSize(kernel);
  const sp = registers.has(variant.registers.sp) ? stackPointerOf((name) => registers.get(name) ?? 0n, variant) : null;
  const fromCpu = sp !== null && sp > task.stack + LEAST_STACK && sp < end;
  const stackPointer = fromCpu ? sp - RED_ZONE : end - FROM_STACK_END;
  return { stackPointer, atEntry: entryStackPointer(variant, stackPointer), fromCpu };
}
