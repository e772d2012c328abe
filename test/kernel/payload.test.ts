import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decompress } from '../../src/kernel/payload/decompress.js';
import { sample } from './sample.js';

const FIXTURES = join(import.meta.dirname, 'fixtures');
const files = readdirSync(FIXTURES).filter((name) => name.startsWith('sample.'));
const LIMIT = 1 << 20;

const read = (name: string) => new Uint8Array(readFileSync(join(FIXTURES, name)));

describe.each(files)('a payload packed by its own tool: %s', (name) => {
  test('unpacks to what was packed', async () => {
    const unpacked = await decompress(read(name), 0, LIMIT);
    expect(Buffer.compare(unpacked!.bytes, sample())).toBe(0);
  });

  test('unpacks in the middle of a boot image, whatever follows it', async () => {
    const packed = read(name);
    const image = new Uint8Array(packed.length + 1000).fill(0xa5);
    image.set(packed, 300);
    const unpacked = await decompress(image, 300, LIMIT);
    expect(Buffer.compare(unpacked!.bytes, sample())).toBe(0);
  });

  test('is refused when it is larger than the limit', async () => {
    await expect(decompress(read(name), 0, 20_000)).rejects.toMatchObject({
      kind: 'bad-input',
      message: expect.stringContaining('20000'),
    });
  });

  test('is refused when it is cut short', async () => {
    const packed = read(name);
    await expect(decompress(packed.subarray(0, packed.length >> 1), 0, LIMIT)).rejects.toMatchObject({
      kind: 'bad-input',
    });
  });

  test('leaves the bytes that it was given alone', async () => {
    const packed = Buffer.from(read(name));
    const before = Buffer.from(packed);
    await decompress(packed, 0, LIMIT);
    expect(Buffer.compare(packed, before)).toBe(0);
  });
});

test('bytes without a known magic are nobody’s payload', async () => {
  expect(await decompress(new Uint8Array(4096).fill(0x11), 0, LIMIT)).toBeNull();
  expect(await decompress(new Uint8Array(3), 0, LIMIT)).toBeNull();
});
