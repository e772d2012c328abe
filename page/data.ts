/** What the build put into the page beside its program: the check, and the built-in guests' facts. */
import type { Atlas } from '../bench/atlas.js';
import { Check } from '../src/check/check.js';
import type { GuestFacts } from '../src/diagnosis/describe.js';
import { through } from './link.js';

const block = (id: string): string => document.getElementById(id)?.textContent ?? '';

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

/** check.wasm itself. */
export const checkModule = (): Uint8Array => bytesOf(block('check-wasm'));

/** The ELF file of a built-in guest; null where the page has none of this variant. */
export async function guestElf(variant: string): Promise<Uint8Array | null> {
  const packed = block(`guest-${variant}`);
  // A file of this package.
  return packed === '' ? null : through(new DecompressionStream('gzip'), bytesOf(packed), 1 << 20);
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
  // The build put it there whole.
  return new Map(Object.entries(JSON.parse(block('guest-facts') || '{}', revive) as Record<string, GuestFacts>));
}

/** docs/overhead.json; null where the page was built without it. */
export function overheadAtlas(): Atlas | null {
  const text = block('overhead-atlas');
  // The build put it there whole.
  return text === '' ? null : (JSON.parse(text) as Atlas);
}
