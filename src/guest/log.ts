/** What the guest's own printk wrote: the kernel's words, not ours. */
import type { StructType, TypeTable } from '../kernel/kernel.js';
import type { Guest } from './guest.js';

/** As many records as no log buffer of ours has. */
const MOST_RECORDS = 1 << 16;
const LONGEST_TEXT = 4096;
const LARGEST_LOG = 1 << 22;
const LINE_START = 'usercopy: Kernel memory ';
const LINE_END = ')!';

/** Lines of the guest's log, oldest first, without prefixes and line ends. */
export function readLog(guest: Guest): string[] {
  const { symbols, types } = guest.kernel;
  const ring = symbols.address('prb');
  if (ring !== undefined && types?.hasStruct('printk_ringbuffer')) return readRingBuffer(guest, ring, types);
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
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = buffer.indexOf(LINE_START); at >= 0; at = buffer.indexOf(LINE_START, at + 1)) {
      const text = buffer.toString('latin1', at, at + LONGEST_TEXT);
      const end = text.indexOf(LINE_END);
      if (end > 0 && !text.slice(0, end).includes('%')) return text.slice(0, end + LINE_END.length);
    }
  }
  return null;
}

/** struct printk_ringbuffer (896fbe20b4e2, 5.10): descriptors, and text blocks that begin with the descriptor's id. */
function readRingBuffer(guest: Guest, pointer: bigint, types: TypeTable): string[] {
  const { memory, kernel } = guest;
  const get = (address: bigint, type: StructType, path: string): bigint => {
    const field = type.field(path);
    return field ? memory.readUnsigned(address + BigInt(field.offset), field.size) : 0n;
  };
  const ring = memory.readWord(pointer);
  const ringType = types.struct('printk_ringbuffer');
  const infoType = types.struct('printk_info');
  const descriptorType = types.struct('prb_desc');
  const count = Math.min(2 ** Number(get(ring, ringType, 'desc_ring.count_bits') & 31n), MOST_RECORDS);
  const infos = get(ring, ringType, 'desc_ring.infos');
  const descriptors = get(ring, ringType, 'desc_ring.descs');
  const data = get(ring, ringType, 'text_data_ring.data');
  const dataMask = (1n << (get(ring, ringType, 'text_data_ring.size_bits') & 31n)) - 1n;
  const records: { sequence: bigint; text: string }[] = [];
  for (let index = 0; index < count; index++) {
    const info = infos + BigInt(index * infoType.size);
    const length = Math.min(Number(get(info, infoType, 'text_len')), LONGEST_TEXT);
    if (length === 0) continue;
    const descriptor = descriptors + BigInt(index * descriptorType.size);
    const begin = get(descriptor, descriptorType, 'text_blk_lpos.begin');
    const next = get(descriptor, descriptorType, 'text_blk_lpos.next');
    // A block that would cross the end of the buffer starts over at its beginning.
    const wraps = (begin & ~dataMask) !== (next & ~dataMask) && (next & dataMask) !== 0n;
    const block = data + (wraps ? 0n : begin & dataMask);
    const text = memory.tryRead(block + BigInt(kernel.bits / 8), length);
    if (text) records.push({ sequence: get(info, infoType, 'seq'), text: Buffer.from(text).toString('latin1') });
  }
  return records
    .sort((left, right) => (left.sequence < right.sequence ? -1 : 1))
    .flatMap(({ text }) => text.split('\n').filter((line) => line !== ''));
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
  return Buffer.from(bytes)
    .toString('latin1')
    .split('\n')
    .filter((line) => line !== '');
}
