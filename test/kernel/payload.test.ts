import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nativeZlib } from '../../src/image/native-zlib.js';
import { decompress } from '../../src/kernel/payload/decompress.js';
import { portableZlib } from '../../src/kernel/payload/portable-zlib.js';
import { sample } from './sample.js';

const FIXTURES = join(import.meta.dirname, 'fixtures');
const files = readdirSync(FIXTURES).filter((name) => name.startsWith('sample.'));
const LIMIT = 1 << 20;

const read = (name: string) => new Uint8Array(readFileSync(join(FIXTURES, name)));

const zlibs = { 'Node.js': nativeZlib, JavaScript: portableZlib };
const packings = files.flatMap((name) => Object.entries(zlibs).map(([place, zlib]) => ({ name, place, zlib })));

describe.each(packings)('a payload packed by its own tool: $name, unpacked by $place', ({ name, zlib }) => {
  test('unpacks to what was packed', async () => {
    const unpacked = await decompress(read(name), 0, LIMIT, zlib);
    expect(Buffer.compare(unpacked!.bytes, sample())).toBe(0);
  });

  test('unpacks in the middle of a boot image, whatever follows it', async () => {
    const packed = read(name);
    const image = new Uint8Array(packed.length + 1000).fill(0xa5);
    image.set(packed, 300);
    const unpacked = await decompress(image, 300, LIMIT, zlib);
    expect(Buffer.compare(unpacked!.bytes, sample())).toBe(0);
  });

  test('is refused when it is larger than the limit', async () => {
    await expect(decompress(read(name), 0, 20_000, zlib)).rejects.toMatchObject({
      kind: 'bad-input',
      message: expect.stringContaining('20000'),
    });
  });

  test('is refused when it is cut short', async () => {
    const packed = read(name);
    await expect(decompress(packed.subarray(0, packed.length >> 1), 0, LIMIT, zlib)).rejects.toMatchObject({
      kind: 'bad-input',
    });
  });

  test('leaves the bytes that it was given alone', async () => {
    const packed = Buffer.from(read(name));
    const before = Buffer.from(packed);
    await decompress(packed, 0, LIMIT, zlib);
    expect(Buffer.compare(packed, before)).toBe(0);
  });
});

test('bytes without a known magic are nobody’s payload', async () => {
  expect(await decompress(new Uint8Array(4096).fill(0x11), 0, LIMIT, nativeZlib)).toBeNull();
  expect(await decompress(new Uint8Array(3), 0, LIMIT, nativeZlib)).toBeNull();
});
