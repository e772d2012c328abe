/** What the build put into the page beside its program: the check, and the built-in guests' facts. */
import type { Atlas } from '../bench/atlas.js';
import { Check } from '../src/check/check.js';
import type { GuestFacts } from '../src/diagnosis/describe.js';

const block = (id: string): string => document.getElementById(id)?.textContent ?? '';

/** check.wasm itself. */
export function checkModule(): Uint8Array {
  return Uint8Array.from(atob(block('check-wasm')), (letter) => letter.charCodeAt(0));
}

/** A check of its own: 64 declarations of a kind, no guest memory unless asked for. */
export const makeCheck = (guestBytes = 0): Promise<Check> =>
  Check.create({
    source: { module: checkModule },
    guestBytes,
    declaredCapacity: 64,
    requestCapacity: 16,
    ringCapacity: 16,
    functionCapacity: 16,
  });

const revive = (_: string, value: unknown): unknown =>
  typeof value === 'string' && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value;

/** By variant; empty where the page was built without an emulator. */
export function guestFacts(): ReadonlyMap<string, GuestFacts> {
  return new Map(Object.entries(JSON.parse(block('guest-facts') || '{}', revive) as Record<string, GuestFacts>));
}

/** docs/overhead.json; null where the page was built without it. */
export function overheadAtlas(): Atlas | null {
  const text = block('overhead-atlas');
  // The build put it there whole.
  return text === '' ? null : (JSON.parse(text) as Atlas);
}
