/** The kernel's log in a dump's memory. */

import {
  type KernelLog,
  type LogBuffer,
  type PrintkLogLayout,
  printkLogLayout,
  readLogBuffer,
  readRingBuffer,
} from '../introspect/printk.js';
import type { Kernel, Segment } from '../kernel/kernel.js';
import { requireTypes } from '../kernel/require-types.js';
import { decodeUnsigned, decodeWord, Words } from '../kernel/words.js';
import type { Dump } from './dump.js';
import { type Vmcoreinfo, vmcoreinfoOf } from './vmcoreinfo.js';

/** PRB_AVGBITS of kernel/printk/printk.c: a descriptor for each 32 bytes of text. */
const BITS_OF_A_RECORD = 5;
/** CONFIG_LOG_BUF_SHIFT is 12 to 25; log_buf_len= goes to 31. */
const LEAST_BITS = 12;
const MOST_BITS = 31;

/** The log, by symbols, by VMCOREINFO, or by what it looks like; null where none is found. */
export function readDumpLog(dump: Dump): KernelLog | null {
  return newest([...rings(dump)].map((ring) => readRingBuffer(dump.kernel, ring))) ?? readOldLog(dump);
}

/** A kernel that had to enlarge its log keeps the first one too: the one that went on has the higher numbers. */
function newest(logs: readonly (KernelLog | null)[]): KernelLog | null {
  const last = (log: KernelLog): bigint => log.records.at(-1)?.sequence ?? -1n;
  return logs
    .filter((log) => log !== null)
    .reduce<KernelLog | null>((best, log) => (best === null || last(log) > last(best) ? log : best), null);
}

function* rings(dump: Dump): Iterable<bigint> {
  const { kernel } = dump;
  if (!kernel.types?.hasStruct('printk_ringbuffer')) return;
  const pointer = variable(dump, 'prb');
  const ring = pointer === undefined ? undefined : wordAt(kernel, pointer);
  if (ring !== undefined) {
    yield ring;
    return;
  }
  const image = dump.image();
  if (image !== null) yield* ringsLike(kernel, image);
}

/** A variable of the kernel, by its symbols or by what VMCOREINFO says of it. */
function variable({ kernel, file }: Dump, name: string): bigint | undefined {
  const found = kernel.symbols.address(name);
  if (found !== undefined) return found;
  return vmcoreinfoOf(file.notes)?.symbol(name);
}

function wordAt(kernel: Kernel, address: bigint): bigint | undefined {
  const bytes = kernel.read(address, kernel.bits / 8);
  return bytes && decodeWord(bytes, kernel);
}

/**
 * Places in the kernel's own memory that look like a struct printk_ringbuffer: sizes that go together, and pointers to
 * memory that is there.
 */
function* ringsLike(kernel: Kernel, { address, bytes }: Segment): Iterable<bigint> {
  const type = requireTypes(kernel, 'printk_ringbuffer').struct('printk_ringbuffer');
  const countBits = type.offset('desc_ring.count_bits');
  const sizeBits = type.offset('text_data_ring.size_bits');
  const pointers = ['desc_ring.descs', 'desc_ring.infos', 'text_data_ring.data'].map((path) => type.offset(path));
  const words = new Words(bytes, kernel);
  const { wordBytes } = words;
  for (let at = 0; at + type.size <= words.length; at += wordBytes) {
    const size = words.uint32(at + sizeBits);
    if (size < LEAST_BITS || size > MOST_BITS || words.uint32(at + countBits) !== size - BITS_OF_A_RECORD) continue;
    const there = pointers.every((offset) => kernel.read(words.word(at + offset), wordBytes) !== undefined);
    if (there) yield address + BigInt(at);
  }
}

/** A byte array and its bounds, before 5.10. */
function readOldLog(dump: Dump): KernelLog | null {
  const { kernel } = dump;
  if (kernel.types?.hasStruct('printk_ringbuffer')) return null;
  const number = (name: string): number | null => {
    const address = variable(dump, name);
    const bytes = address === undefined ? undefined : kernel.read(address, 4);
    return bytes === undefined ? null : Number(decodeUnsigned(bytes, kernel.endian));
  };
  const pointer = variable(dump, 'log_buf');
  const address = pointer === undefined ? undefined : wordAt(kernel, pointer);
  const [length, first, next] = ['log_buf_len', 'log_first_idx', 'log_next_idx'].map(number);
  if (address === undefined || length == null || first == null || next == null) return null;
  const buffer: LogBuffer = { address, length, first, next };
  return readLogBuffer(kernel, buffer, toldLayout(vmcoreinfoOf(dump.file.notes)) ?? printkLogLayout(kernel));
}

/** VMCOREINFO has told the layout as long as there was one. */
function toldLayout(notes: Vmcoreinfo | null): PrintkLogLayout | null {
  const value = (key: string): number => Number.parseInt(notes?.text(key) ?? '', 10);
  const layout = {
    header: value('SIZE(printk_log)'),
    nanoseconds: value('OFFSET(printk_log.ts_nsec)'),
    length: value('OFFSET(printk_log.len)'),
    textLength: value('OFFSET(printk_log.text_len)'),
  };
  return Object.values(layout).every((bytes) => bytes >= 0 && bytes <= 64) ? layout : null;
}
