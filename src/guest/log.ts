/** What the guest's own printk wrote: the kernel's words, not ours. */
import { readRingBuffer } from '../introspect/printk.js';
import { bytesOf, latin1, occurrences } from '../kernel/bytes.js';
import type { Guest } from './guest.js';

const LONGEST_TEXT = 4096;
const LARGEST_LOG = 1 << 22;
const LINE_START = 'usercopy: Kernel memory ';
const LINE_END = ')!';

/** Lines of the guest's log, oldest first, without prefixes and line ends. */
export function readLog(guest: Guest): string[] {
  const { symbols, types } = guest.kernel;
  const ring = symbols.address('prb');
  if (ring !== undefined && types?.hasStruct('printk_ringbuffer')) {
    const kernel = {
      ...guest.kernel,
      read: (address: bigint, length: number) => guest.memory.tryRead(address, length),
    };
    const records = readRingBuffer(kernel, guest.memory.readWord(ring))?.records ?? [];
    return records.flatMap(({ text }) => text.split('\n').filter((line) => line !== ''));
  }
  return readPlainLog(guest);
}

/** The usercopy line that the guest printed; null when there is none. */
export function usercopyLine(guest: Guest): string | null {
  const hasLog =
    guest.kernel.symbols.address('prb') !== undefined || guest.kernel.symbols.address('log_end') !== undefined;
  return hasLog ? (readLog(guest).find((line) => line.startsWith('usercopy: ')) ?? null) : findPrintedLine(guest);
}

/** Where the image does not say where its log is: the only such text in the kernel's memory that printk has filled in. */
function findPrintedLine(guest: Guest): string | null {
  for (const { address, size } of guest.kernel.segments) {
    const bytes = guest.memory.tryRead(address, Number(size));
    if (!bytes) continue;
    for (const at of occurrences(bytes, bytesOf(LINE_START))) {
      const text = latin1(bytes, at, Math.min(bytes.length, at + LONGEST_TEXT));
      const end = text.indexOf(LINE_END);
      if (end > 0 && !text.slice(0, end).includes('%')) return text.slice(0, end + LINE_END.length);
    }
  }
  return null;
}

/** The built-in guests: lines one after the other in `__log_buf`, up to `log_end`. */
function readPlainLog(guest: Guest): string[] {
  const { memory, kernel } = guest;
  const buffer = kernel.symbols.address('__log_buf');
  const end = kernel.symbols.address('log_end');
  if (buffer === undefined || end === undefined) return [];
  const length = Number(memory.readWord(end));
  const bytes = length <= LARGEST_LOG ? memory.tryRead(buffer, length) : undefined;
  if (!bytes) return [];
  return latin1(bytes)
    .split('\n')
    .filter((line) => line !== '');
}
