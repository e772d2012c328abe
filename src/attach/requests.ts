/** How an entry point's copies become requests. Hooks read the registers that the check will look at and no others, since each costs nanoseconds. */
import type { UaccessEntry, Variant } from '../../arch/driver.js';
import { Check, type RequestPreset } from '../check/check.js';
import type { CheckParameters } from '../check/parameters.js';
import type { PlannedEntry } from './plan.js';

export interface RequestNeeds {
  readonly parameters: CheckParameters;
  /** Arrivals of one copy are told by both addresses and where they return to. */
  readonly nested: boolean;
  /** Where the caller goes on is kept, where a register holds it. */
  readonly caller: boolean;
}

/** The register of an entry point's argument; null where it has none, or none that is a register. */
export const argumentRegisterOrNull =
  ({ registers }: Variant) =>
  (index: number | undefined): string | null =>
    index === undefined ? null : (registers.arguments[index] ?? null);

/** Registers of an entry point in the order of the request's fields; null for those that nobody asks for. */
export function requestRegisters(entry: UaccessEntry, variant: Variant, needs: RequestNeeds): (string | null)[] {
  const argument = argumentRegisterOrNull(variant);
  const { current, registers } = variant;
  const byField: Record<(typeof Check.requestFields)[number], string | null> = {
    pointer: argument(entry.kernelPointer),
    size: argument(entry.size),
    other: needs.nested || entry.direction === 'by address' ? argument(entry.userPointer) : null,
    direction: typeof entry.direction === 'object' ? argument(entry.direction.argument) : null,
    stackPointer: registers.sp,
    framePointer: needs.parameters.stack.frames === null ? null : registers.fp,
    currentBase: current.kind === 'register' ? current.register : current.kind === 'memory' ? current.base : null,
    returnAddress: needs.caller || needs.nested ? registers.link : null,
  };
  return Check.requestFields.map((field) => byField[field]);
}

/** What is known of an entry point's copies before a register is read. */
export function requestPresetOf(
  { entry, body }: PlannedEntry,
  { registers }: Variant,
  recorded: boolean,
  explain = false,
): RequestPreset {
  const { direction, sizeBits, role } = entry;
  return {
    direction: typeof direction === 'object' ? 'register' : direction,
    sizeBits,
    explain,
    function: {
      role: role === 'judge' ? 'CHECK' : 'COPY',
      returnPlace: registers.link === null && !recorded ? 'STACK' : 'FIELD',
      ...body,
    },
  };
}
