/** What the guest's own printk wrote: the kernel's words, not ours. */
import type { Guest } from './guest.js';

/** Shorter runs of text in the buffer are record headers that happen to be printable. */
const SHORTEST_TEXT = 8;
const LARGEST_LOG = 1 << 22;

/**
 * Lines of text in `__log_buf`, oldest first, without prefixes. Works for every record format, since all keep the text
 * itself in one piece; the buffer must have been empty (zero) before.
 */
export function readLog(guest: Guest): string[] {
  const symbol = guest.kernel.symbols.get('__log_buf');
  if (!symbol) return [];
  const length = Number(symbol.size > 0n && symbol.size <= LARGEST_LOG ? symbol.size : BigInt(1 << 17));
  const bytes = guest.memory.tryRead(symbol.address, length);
  if (!bytes) return [];
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  return Buffer.from(bytes.buffer, bytes.byteOffset, end)
    .toString('latin1')
    .split(/[^\t\x20-\x7e]+/)
    .filter((text) => text.length >= SHORTEST_TEXT);
}

/** The usercopy line that the guest printed; null when there is none. */
export function usercopyLine(guest: Guest): string | null {
  for (const text of readLog(guest)) {
    const at = text.indexOf('usercopy: ');
    if (at >= 0) return text.slice(at);
  }
  return null;
}
