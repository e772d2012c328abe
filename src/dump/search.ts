/** Searches a dump's physical memory for bytes. */

import { occurrences } from '../kernel/bytes.js';
import type { PhysicalMemory } from './physical.js';

const CHUNK = 4 << 20;

/**
 * Physical addresses at which `bytes` stand, in address order, at most `limit`; with `alignment` only multiples of it.
 * Each byte of the file is looked at once: occurrences across a hole between two segments are not found, and of memory
 * that shows the same bytes of the file only one place is.
 */
export function* findInMemory(
  memory: PhysicalMemory,
  bytes: Uint8Array,
  limit: number,
  alignment = 1n,
): Iterable<bigint> {
  if (bytes.length === 0 || bytes.length > CHUNK / 2) return;
  let count = 0;
  const buffer = new Uint8Array(CHUNK);
  for (const range of memory.searched()) {
    // Chunks overlap by what an occurrence may stick out.
    for (let start = range.start; start < range.end; start += BigInt(CHUNK - bytes.length + 1)) {
      const rest = range.end - start;
      const chunk = rest < BigInt(CHUNK) ? buffer.subarray(0, Number(rest)) : buffer;
      if (!memory.readInto(start, chunk)) break;
      for (const at of occurrences(chunk, bytes)) {
        const address = start + BigInt(at);
        if (address % alignment !== 0n) continue;
        yield address;
        if (++count >= limit) return;
      }
      if (rest <= BigInt(CHUNK)) break;
    }
  }
}
