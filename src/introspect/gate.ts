/** `hardened_usercopy=`: whether this kernel, as its memory stands, asks the check at all. */
import { NEWEST_JUDGED } from '../check/profiles.js';
import type { Kernel } from '../kernel/kernel.js';
import { atLeast } from '../kernel/version.js';

export interface Gate {
  /** The static key. */
  readonly symbol: string;
  readonly address: bigint;
  /**
   * `inside`: the check itself asks it and lets everything pass. `callers`: they do not call the check; who calls it by
   * hand is still judged.
   */
  readonly askedBy: 'inside' | 'callers';
  /** Nothing is judged. */
  readonly closed: boolean;
}

/** Newest first. */
const KEYS = [
  // fc13a78e1f68 (6.15): on means check; check_object_size() asks it before the call.
  { symbol: 'validate_usercopy_range', askedBy: 'callers', closedWhen: false },
  // b5cb15d9372a (4.18): on means pass.
  { symbol: 'bypass_usercopy_checks', askedBy: 'inside', closedWhen: true },
] as const;

/** null where the kernel has no such key, or its memory does not hold it. */
export function gateOf(kernel: Kernel): Gate | null {
  for (const { symbol, askedBy, closedWhen } of KEYS) {
    const address = kernel.symbols.address(symbol);
    const counter = address === undefined ? undefined : kernel.read(address, 4);
    if (address === undefined || counter === undefined) continue;
    return { symbol, address, askedBy, closed: counter.some((byte) => byte !== 0) === closedWhen };
  }
  return null;
}

/**
 * That nothing says whether the check is off in a kernel that is newer than those that have judged, whose key may have another name; null
 * elsewhere: what has neither key there is a kernel without one, or a record that was made without them.
 */
export function unknownGate({ symbols, version }: Kernel, gate: Gate | null): string | null {
  const isNewer = atLeast(version, NEWEST_JUDGED.major, NEWEST_JUDGED.minor + 1);
  if (gate !== null || !isNewer || symbols.address('__check_object_size') === undefined) return null;
  return `whether hardened_usercopy is off in this kernel is not known: neither ${KEYS.map(({ symbol }) => symbol).join(' nor ')} was found`;
}

export const isClosed = (gate: Gate | null): gate is Gate => gate?.closed === true;

/** What a person should know of a closed gate. */
export const closedGate = ({ symbol, askedBy }: Gate): string =>
  `hardened_usercopy is off in this kernel (${symbol}): ${askedBy === 'callers' ? 'its functions do not call the check' : 'its check lets everything pass'}`;
