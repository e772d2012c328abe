import { describe, expect, test } from 'vitest';
import { nativeZlib } from '../../src/image/native-zlib.js';
import { findBtf, parseBtf, readBtf } from '../../src/kernel/btf.js';
import type { Endian } from '../../src/kernel/kernel.js';
import { BtfWriter } from './images.js';

/**
 *     typedef struct { int counter; } atomic_t;
 *     enum pageflags { PG_locked, PG_reserved = 12 };   enum wide { BIG = 0x1_0000_0002 };  enum { MINUS = -3 };
 *     struct object {                        // 64 bytes
 *         unsigned long flags;               // 0
 *         union {                            // 8
 *             struct { struct object *next; const char *name; };    // 8, 16
 *             atomic_t refs;                 // 8
 *         };
 *         unsigned int a : 3, b : 7;         // bits 192..194, 195..201
 *         struct inner { short x; char tail[5][2]; } in;            // 28, x 28, tail 30
 *         void (*hook)(void);                // 40
 *         const volatile atomic_t count;     // 48
 *     };
 */
function sampleTypes(endian: Endian): Uint8Array {
  const btf = new BtfWriter(64, endian);
  const long = btf.int('long unsigned int', 8);
  const int = btf.int('int', 4);
  const unsigned = btf.int('unsigned int', 4);
  const short = btf.int('short int', 2);
  const char = btf.int('char', 1);
  const atomic = btf.type(8, 'atomic_t', btf.struct(4, '', 4, [['counter', int, 0]]));
  btf.type(6, 'pageflags', 4, 2, false, [btf.name('PG_locked'), 0, btf.name('PG_reserved'), 12]);
  btf.type(19, 'wide', 8, 1, false, [btf.name('BIG'), 2, 1]);
  btf.type(6, '', 4, 1, true, [btf.name('MINUS'), 0xfffffffd]);
  const constChar = btf.type(10, '', char);
  const name = btf.type(2, '', constChar);
  const object = btf.nextId + 10;
  const next = btf.type(2, '', object); // +0
  const linked = btf.struct(4, '', 16, [
    ['next', next, 0],
    ['name', name, 64],
  ]); // +1
  const choice = btf.struct(5, '', 16, [
    ['', linked, 0],
    ['refs', atomic, 0],
  ]); // +2
  const row = btf.type(3, '', 0, 0, false, [char, int, 2]); // +3
  const tail = btf.type(3, '', 0, 0, false, [row, int, 5]); // +4
  const inner = btf.struct(4, 'inner', 12, [
    ['x', short, 0],
    ['tail', tail, 16],
  ]); // +5
  const hook = btf.type(2, '', btf.type(13, '', 0, 0)); // +6, +7
  const count = btf.type(10, '', btf.type(9, '', atomic)); // +8, +9
  btf.struct(4, 'object', 64, [
    ['flags', long, 0],
    ['', choice, 64],
    ['a', unsigned, 192, 3],
    ['b', unsigned, 195, 7],
    ['in', inner, 224],
    ['hook', hook, 320],
    ['count', count, 384],
  ]); // +10
  btf.type(7, 'elsewhere', 0);
  btf.type(12, 'function', hook, 1);
  btf.type(14, 'variable', int, 0, false, [1]);
  btf.type(15, '.data', 8, 1, false, [1, 0, 8]);
  btf.type(16, 'double', 8);
  btf.type(17, 'tag', object, 0, false, [0xffffffff]);
  btf.type(18, 'user', char);
  return btf.finish();
}

describe.each(['little', 'big'] as const)('%s-endian BTF', (endian) => {
  const types = parseBtf(sampleTypes(endian), 'sample', endian);
  const object = types.struct('object');

  test('gives offsets as the compiler lays the struct out', () => {
    expect(object.size).toBe(64);
    expect(object.offset('flags')).toBe(0);
    expect(object.offset('in')).toBe(28);
    expect(object.offset('in.tail')).toBe(30);
    expect(object.offset('hook')).toBe(40);
  });

  test('looks through anonymous structs and unions, typedefs and qualifiers', () => {
    expect(object.offset('next')).toBe(8);
    expect(object.offset('name')).toBe(16);
    expect(object.offset('refs.counter')).toBe(8);
    expect(object.offset('count.counter')).toBe(48);
    expect(types.struct('atomic_t').offset('counter')).toBe(0);
  });

  test('gives bitfields with their first byte and bits', () => {
    expect(object.field('a')).toMatchObject({ offset: 24, bits: { offset: 0, size: 3 }, size: 1 });
    expect(object.field('b')).toMatchObject({ offset: 24, bits: { offset: 3, size: 7 }, size: 2 });
    expect(object.field('flags')?.bits).toBeNull();
  });

  test('writes types as C does, and sizes arrays and pointers', () => {
    expect(object.field('flags')).toMatchObject({ type: 'long unsigned int', size: 8 });
    expect(object.field('name')).toMatchObject({ type: 'const char *', size: 8 });
    expect(object.field('next')).toMatchObject({ type: 'struct object *', size: 8 });
    expect(object.field('in.tail')).toMatchObject({ type: 'char[5][2]', size: 10 });
    expect(object.field('in')).toMatchObject({ type: 'struct inner', size: 12 });
    expect(object.field('hook')).toMatchObject({ size: 8 });
  });

  test('lists members in order, anonymous ones in their place', () => {
    expect(object.members.map(({ path }) => path)).toEqual([
      'flags',
      'next',
      'name',
      'refs',
      'a',
      'b',
      'in',
      'hook',
      'count',
    ]);
  });

  test('knows enumerators of every width and sign', () => {
    expect(types.enumerator('PG_reserved')).toBe(12n);
    expect(types.enumerator('BIG')).toBe(0x1_0000_0002n);
    expect(types.enumerator('MINUS')).toBe(-3n);
    expect(types.enumerator('PG_none')).toBeUndefined();
  });

  test('says which struct or member is missing', () => {
    expect(types.hasStruct('slab')).toBe(false);
    expect(() => types.struct('slab')).toThrow(/struct slab/);
    expect(() => object.offset('useroffset')).toThrow(/member useroffset of struct object/);
    expect(object.has('in.nothing')).toBe(false);
    expect(object.has('flags.nothing')).toBe(false);
  });

  test('is found in raw memory', () => {
    const btf = sampleTypes(endian);
    const memory = new Uint8Array(9000);
    memory.set(btf, 4096);
    expect(Buffer.compare(findBtf(memory, endian)!, btf)).toBe(0);
    expect(findBtf(new Uint8Array(9000), endian)).toBeNull();
  });
});

test('BTF of the other byte order than the kernel is refused', () => {
  expect(() => parseBtf(sampleTypes('big'), 'side file', 'little')).toThrow(/side file: expected little-endian BTF/);
});

test('before kind_flag a bitfield is an INT of odd width', () => {
  const btf = new BtfWriter(64, 'little');
  const narrow = btf.type(1, 'unsigned int', 4, 0, false, [(5 << 16) | 3]);
  btf.struct(4, 'old', 4, [['field', narrow, 0]]);
  const field = parseBtf(btf.finish(), 'old').struct('old').field('field');
  expect(field).toMatchObject({ offset: 0, bits: { offset: 5, size: 3 } });
});

test('a struct that contains itself without a name is refused, not walked for ever', () => {
  const btf = new BtfWriter(64, 'little');
  btf.struct(4, 'ouroboros', 8, [
    ['', 1, 0],
    ['', 1, 0],
  ]);
  const types = parseBtf(btf.finish(), 'hostile');
  expect(() => types.struct('ouroboros').has('x')).toThrow(/nested structs/);
});

test('typedefs in a circle are refused', () => {
  const btf = new BtfWriter(64, 'little');
  btf.type(8, 'a', 2);
  btf.type(8, 'b', 1);
  btf.struct(4, 'holder', 8, [['member', 1, 0]]);
  const types = parseBtf(btf.finish(), 'hostile');
  expect(() => types.struct('holder').field('member')).toThrow(/typedefs in a row/);
});

test('a side file that is no BTF is told by its magic', async () => {
  await expect(readBtf(new Uint8Array(100), 'types.bin', nativeZlib)).rejects.toMatchObject({
    kind: 'bad-input',
    message: expect.stringContaining('types.bin: expected BTF'),
  });
});
