/** What the build put into the page beside its program: the check, and the built-in guests' facts. */
import type { Atlas } from '../bench/atlas.js';
import { Check } from '../src/check/check.js';
import type { GuestFacts } from '../src/diagnosis/describe.js';
import { portableZlib } from '../src/kernel/payload/portable-zlib.js';

const block = (id: string): string => document.getElementById(id)?.textContent ?? '';

/** No file that the build packs into the page is larger. */
const LARGEST_FILE = 1 << 20;

/** A file that the build packed into the page; null where it is not there. */
function packedFile(id: string): Uint8Array | null {
  const packed = block(id);
  if (packed === '') return null;
  return portableZlib.inflate(
    Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)),
    LARGEST_FILE,
  );
}

/** check.wasm itself, which the build puts into every page. */
export function checkModule(): Uint8Array {
  const module = packedFile('check-wasm');
  if (module === null) throw new Error('expected check.wasm in the page, found none');
  return module;
}

/** The ELF file of a built-in guest; null where the page has none of this variant. */
export const guestElf = (variant: string): Uint8Array | null => packedFile(`guest-${variant}`);

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
