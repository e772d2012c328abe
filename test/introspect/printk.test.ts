/**
 * The kernel's log in memory. Rings of 5.10 and later are judged by real dumps (test/dump); logs of before are made by hand, as
 * kernel/printk/printk.c of 5.4 lays them out, since no kernel of that age is at hand, and so is a ring with records in every state.
 */
import { describe, expect, it } from 'vitest';
import { logText, printkLogLayout, readLogBuffer, readRingBuffer } from '../../src/introspect/printk.js';
import { BASE, kernelWith } from './memory.js';

const HEADER = 16;

/** u64 ts_nsec; u16 len, text_len, dict_len; u8 facility, flags: then the text and a dictionary, padded to 8. */
function record(nanoseconds: bigint, text: string, endian: 'little' | 'big', dictionary = ''): Buffer {
  const length = Math.ceil((HEADER + text.length + dictionary.length) / 8) * 8;
  const bytes = Buffer.alloc(length);
  const little = endian === 'little';
  if (little) bytes.writeBigUInt64LE(nanoseconds, 0);
  else bytes.writeBigUInt64BE(nanoseconds, 0);
  for (const [index, value] of [length, text.length, dictionary.length].entries()) {
    if (little) bytes.writeUInt16LE(value, 8 + 2 * index);
    else bytes.writeUInt16BE(value, 8 + 2 * index);
  }
  bytes.write(text + dictionary, HEADER, 'latin1');
  return bytes;
}

describe.each(['little', 'big'] as const)('a log of before 5.10, %s endian', (endian) => {
  const lines = ['Linux version 4.19.0', 'usercopy: Kernel memory exposure attempt', 'kernel BUG at mm/usercopy.c:99!'];
  const records = lines.map((line, index) => record(BigInt(index) * 1_500_000_000n, line, endian, 'SUBSYSTEM=x'));

  it('is read from its first record to its last, without dictionaries', () => {
    const bytes = new Uint8Array(Buffer.concat([...records, Buffer.alloc(512)]));
    const kernel = kernelWith(bytes, { endian });
    const next = records.reduce((sum, { length }) => sum + length, 0);
    const log = readLogBuffer(kernel, { address: BASE, length: bytes.length, first: 0, next }, printkLogLayout(kernel));
    expect(log?.records.map(({ text }) => text)).toEqual(lines);
    expect(logText(log!).split('\n')[1]).toMatch(/^\[ {4}1\.500000\] usercopy: Kernel memory /);
    expect(log?.layout).toContain('before 5.10');
  });

  it('goes on at its start behind a record without a length', () => {
    const [first, second, third] = records as [Buffer, Buffer, Buffer];
    const bytes = new Uint8Array(Buffer.concat([third, Buffer.alloc(64), first, second, Buffer.alloc(HEADER)]));
    const buffer = { address: BASE, length: bytes.length, first: third.length + 64, next: third.length };
    const kernel = kernelWith(bytes, { endian });
    const texts = readLogBuffer(kernel, buffer, printkLogLayout(kernel))?.records.map(({ text }) => text);
    expect(texts?.[0]).toBe(lines[0]);
    expect(texts?.[2]).toBe(lines[2]);
    expect(texts).toHaveLength(3);
  });

  it.each([
    ['lengths that lead nowhere', (bytes: Buffer) => bytes.fill(0xff, 8, 12)],
    ['noise', (bytes: Buffer) => bytes.fill(0xa5)],
  ])('of %s ends, and gives what was whole before', (_name, harm) => {
    const bytes = Buffer.concat([...records]);
    harm(bytes.subarray(records[0]!.length));
    const kernel = kernelWith(new Uint8Array(bytes), { endian });
    const buffer = { address: BASE, length: bytes.length, first: 0, next: bytes.length };
    expect(readLogBuffer(kernel, buffer, printkLogLayout(kernel))?.records.map(({ text }) => text)).toEqual([lines[0]]);
  });
});

/** enum desc_state (kernel/printk/printk_ringbuffer.h of 5.10). */
const STATES = { reserved: 0n, committed: 1n, finalized: 2n, reusable: 3n };

describe.each([32, 64] as const)('a ring of 5.10 in a kernel of %i bits', (bits) => {
  const word = bits / 8;
  const RING = 0;
  const DESCRIPTORS = 0x100;
  const INFOS = 0x200;
  const TEXTS = 0x400;
  const structs = {
    printk_ringbuffer: {
      size: 0x40,
      members: {
        'desc_ring.count_bits': [0, 4],
        'desc_ring.descs': [8, word],
        'desc_ring.infos': [16, word],
        'text_data_ring.size_bits': [24, 4],
        'text_data_ring.data': [32, word],
      },
    },
    prb_desc: {
      size: 3 * word,
      members: { state_var: [0, word], 'text_blk_lpos.begin': [word, word], 'text_blk_lpos.next': [2 * word, word] },
    },
    printk_info: { size: 24, members: { seq: [0, 8], ts_nsec: [8, 8], text_len: [16, 2] } },
  } as const;

  function ring(): Buffer {
    const bytes = Buffer.alloc(0x800);
    const put = (at: number, value: bigint) =>
      bits === 64 ? bytes.writeBigUInt64LE(value, at) : bytes.writeUInt32LE(Number(value), at);
    bytes.writeUInt32LE(3, RING);
    put(RING + 8, BASE + BigInt(DESCRIPTORS));
    put(RING + 16, BASE + BigInt(INFOS));
    bytes.writeUInt32LE(9, RING + 24);
    put(RING + 32, BASE + BigInt(TEXTS));
    for (const [index, [name, state]] of Object.entries(STATES).entries()) {
      const id = BigInt(index + 8);
      const begin = index * 32;
      const at = DESCRIPTORS + index * 3 * word;
      put(at, (state << BigInt(bits - 2)) | id);
      put(at + word, BigInt(begin));
      put(at + 2 * word, BigInt(begin + 32));
      bytes.writeBigUInt64LE(BigInt(index), INFOS + index * 24);
      bytes.writeUInt16LE(name.length, INFOS + index * 24 + 16);
      put(TEXTS + begin, id);
      bytes.write(name, TEXTS + begin + word, 'latin1');
    }
    return bytes;
  }

  const textsOf = (bytes: Buffer) =>
    readRingBuffer(kernelWith(bytes, { bits, structs }), BASE)?.records.map(({ text }) => text);

  it('has what was written, and neither what is being written nor what was given back', () => {
    expect(textsOf(ring())).toEqual(['committed', 'finalized']);
  });

  it('has no text that another record took over', () => {
    const bytes = ring();
    bytes.writeUInt8(0x77, TEXTS + 32);
    expect(textsOf(bytes)).toEqual(['finalized']);
  });
});
