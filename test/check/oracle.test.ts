/**
 * The oracle against cases that were worked by hand from the kernel's sources, and against messages that real kernels
 * printed (LKDTM and more on Debian's 6.1 for x86-64, arm64 and s390x, and on a 6.1 of x86-64 with SLAB and frame pointers).
 */
import { describe, expect, it } from 'vitest';
import { oracle } from '../../bench/baseline/oracle.js';
import { ERAS } from '../../bench/baseline/worlds/eras.js';
import { reciprocalOf } from '../../bench/baseline/worlds/structures.js';
import type { CheckParameters, Declaration, StackParameters } from '../../src/check/parameters.js';
import type { Direction, Verdict } from '../../src/check/verdict.js';

const NO_STACK: StackParameters = {
  threadSize: 0x4000n,
  current: { kind: 'declared' },
  depthOfCheck: 0n,
  depthOfPrint: 0n,
  frames: null,
};

interface Question {
  readonly era?: string;
  readonly bits?: 32 | 64;
  readonly parameters?: Partial<CheckParameters>;
  readonly declarations?: readonly Declaration[];
  readonly pointer: bigint;
  readonly size: bigint;
  readonly direction?: Direction;
  readonly stackPointer?: bigint;
  readonly framePointer?: bigint;
  readonly words?: Readonly<Record<string, bigint>>;
}

function ask(question: Question): Verdict {
  const switches = ERAS[question.era ?? '6.1'];
  if (switches === undefined) throw new Error(`no era ${question.era}`);
  const words = new Map(Object.entries(question.words ?? {}).map(([address, value]) => [BigInt(address), value]));
  return oracle(
    {
      bits: question.bits ?? 64,
      endian: 'little',
      pageShift: 12,
      switches,
      text: null,
      linearText: null,
      rodata: null,
      data: null,
      bss: null,
      taskSize: 0x8000_0000_0000n,
      stack: NO_STACK,
      introspection: null,
      ...question.parameters,
    },
    (address, length) => {
      const value = words.get(address);
      if (value === undefined) return undefined;
      return Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
    },
    question.declarations ?? [],
    { pointer: question.pointer, size: question.size, direction: question.direction ?? 'to_user' },
    { stackPointer: question.stackPointer ?? 0n, framePointer: question.framePointer ?? 0n, currentBase: 0n },
  );
}

function short(verdict: Verdict): string {
  if (verdict.outcome === 'unreadable') return 'unreadable';
  if (verdict.outcome === 'good') return `good: ${verdict.by}`;
  return `${verdict.by} (offset ${verdict.offset}, size ${verdict.size})`;
}

const slab = (
  start: bigint,
  stride: bigint,
  rest: Partial<Extract<Declaration, { kind: 'slab' }>> = {},
): Declaration => ({
  kind: 'slab',
  cache: 'any',
  start,
  end: start + 0x2000n,
  objectStride: stride,
  objectSize: stride,
  ...rest,
});

describe('messages of real kernels', () => {
  const kernel6_1: Readonly<Record<string, readonly [Question, string]>> = {
    'kmalloc-1k, 16 bytes in, 1024 long': [
      { declarations: [slab(0xff114b838292e000n, 1024n)], pointer: 0xff114b838292e810n, size: 1024n },
      'slab object (offset 16, size 1024)',
    ],
    'kmalloc-96, 90 bytes in': [
      { declarations: [slab(0xff114b838291d000n, 96n)], pointer: 0xff114b838291d05an, size: 32n },
      'slab object (offset 90, size 32)',
    ],
    'kmalloc-cg-192, the tenth object': [
      { declarations: [slab(0xff114b8382898000n, 192n)], pointer: 0xff114b83828986c5n, size: 188n },
      'slab object (offset 5, size 188)',
    ],
    'lkdtm-usercopy, one byte before the whitelist [256, 320)': [
      {
        declarations: [slab(0xff114b8382b60000n, 1024n, { useroffset: 256n, usersize: 64n })],
        pointer: 0xff114b8382b618ffn,
        size: 64n,
      },
      'slab object (offset 255, size 64)',
    ],
    'cred_jar, no whitelist at all': [
      {
        declarations: [slab(0xff114b8382922e40n, 192n, { useroffset: 0n, usersize: 0n })],
        pointer: 0xff114b8382922e40n,
        size: 88n,
      },
      'slab object (offset 0, size 88)',
    ],
    'a folio of 64 KiB': [
      {
        declarations: [{ kind: 'compound page', start: 0xff114b8382b70000n, end: 0xff114b8382b80000n }],
        pointer: 0xff114b8382b7fde8n,
        size: 600n,
      },
      'page alloc (offset 65000, size 600)',
    ],
    'a folio of two pages': [
      {
        declarations: [{ kind: 'compound page', start: 0x26ca000n, end: 0x26cc000n }],
        pointer: 0x26cb800n,
        size: 4096n,
      },
      'page alloc (offset 6144, size 4096)',
    ],
    'vmalloc of three pages and their guard': [
      {
        declarations: [{ kind: 'vmalloc area', start: 0xff2d6d76c05b5000n, end: 0xff2d6d76c05b9000n }],
        pointer: 0xff2d6d76c05b5064n,
        size: 16384n,
      },
      'vmalloc (offset 100, size 16384)',
    ],
    'the guard page of a vmalloc area passes': [
      {
        declarations: [{ kind: 'vmalloc area', start: 0xff2d6d76c05b5000n, end: 0xff2d6d76c05b9000n }],
        pointer: 0xff2d6d76c05b5064n,
        size: 12288n,
      },
      'good: vmalloc',
    ],
    'vmalloc space without an area': [
      {
        declarations: [{ kind: 'vmalloc space', start: 0x37fffe00000n, end: 0x37fffff0000n }],
        pointer: 0x37fffecd064n,
        size: 50n,
      },
      'vmalloc, no area (offset 0, size 50)',
    ],
    'kernel text': [
      {
        parameters: { text: { start: 0xffffffff8fe00000n, end: 0xffffffff90c01ef2n } },
        pointer: 0xffffffff9009af40n,
        size: 4096n,
      },
      'kernel text (offset 2731840, size 4096)',
    ],
    ZERO_SIZE_PTR: [{ pointer: 16n, size: 8n, direction: 'from_user' }, 'null address (offset 16, size 8)'],
  };
  for (const [name, [question, expected]] of Object.entries(kernel6_1)) {
    it(`agrees on ${name}`, () => expect(short(ask(question))).toBe(expected));
  }

  const stackOf = (start: bigint, rest: Partial<StackParameters>): Partial<Question> => ({
    parameters: { stack: { ...NO_STACK, depthOfCheck: rest.depthOfPrint ?? 0n, ...rest } },
    declarations: [{ kind: 'stack', start, end: start + 0x4000n }],
  });

  it('prints the offsets of three bad stacks of one x86-64 kernel with one and the same depth of 32 bytes', () => {
    const stack = stackOf(0xff2d6d76c0010000n, { depthOfPrint: 32n });
    const at = (pointer: bigint, size: bigint, stackPointer: bigint) =>
      short(ask({ ...stack, pointer, size, stackPointer }));
    expect(at(0xff2d6d76c000fff0n, 48n, 0xff2d6d76c0013d48n)).toBe('process stack (offset 15672, size 48)');
    expect(at(0xff2d6d76c0013fe8n, 48n, 0xff2d6d76c0013c00n)).toBe(
      'process stack (offset 18446744073709550584, size 48)',
    );
    expect(at(0xff2d6d76c0013ff8n, 32n, 0xff2d6d76c0013b38n)).toBe(
      'process stack (offset 18446744073709550368, size 32)',
    );
    expect(at(0xff2d6d76c0013b20n, 40n, 0xff2d6d76c0013ae0n)).toBe('good: stack');
  });

  it('prints the offsets of two bad stacks of one arm64 kernel with one and the same depth of 64 bytes', () => {
    const stack = stackOf(0xffff800008008000n, { depthOfPrint: 64n });
    const at = (pointer: bigint, size: bigint, stackPointer: bigint) =>
      short(ask({ ...stack, pointer, size, stackPointer }));
    expect(at(0xffff800008007ff0n, 48n, 0xffff80000800b940n)).toBe('process stack (offset 14608, size 48)');
    expect(at(0xffff80000800bff8n, 32n, 0xffff80000800b8a0n)).toBe(
      'process stack (offset 18446744073709549672, size 32)',
    );
  });

  it('refuses a dead frame below the stack pointer where frames are checked', () => {
    const stack = stackOf(0xffffc90000010000n, {
      depthOfPrint: 40n,
      frames: { savedFrame: 0, header: 16, entryToCaller: 8, bias: 0 },
    });
    const verdict = ask({
      ...stack,
      pointer: 0xffffc90000013d08n,
      size: 32n,
      direction: 'from_user',
      stackPointer: 0xffffc90000013d70n,
      framePointer: 0xffffc90000013dc0n,
    });
    expect(short(verdict)).toBe('process stack (offset 64, size 32)');
  });
});

describe('order and bogus addresses', () => {
  it('asks nothing of an empty copy, not even whether it is null', () => {
    expect(short(ask({ pointer: 0n, size: 0n }))).toBe('good: empty copy');
  });

  it('takes the last byte of the address space for wrapped while the end counts, and lets it pass later', () => {
    const last = { pointer: 0xffff_ffff_ffff_f000n, size: 0x1000n };
    expect(short(ask({ ...last, era: '4.16' }))).toBe('wrapped address (offset 0, size 0)');
    expect(short(ask({ ...last, era: '5.0' }))).toBe('good: nothing objects');
    expect(short(ask({ ...last, size: 0x1001n }))).toBe('wrapped address (offset 0, size 1)');
  });

  it('wraps 32-bit guests at 4 GiB', () => {
    const verdict = ask({ bits: 32, pointer: 0xffff_ff00n, size: 0x101n });
    expect(short(verdict)).toBe('wrapped address (offset 0, size 1)');
  });

  it('calls 16 null and 17 not', () => {
    expect(short(ask({ pointer: 16n, size: 1n }))).toBe('null address (offset 16, size 1)');
    expect(short(ask({ pointer: 17n, size: 1n }))).toBe('good: nothing objects');
  });

  it('asks the heap before the stack up to 4.19, and the stack before the heap from 5.0', () => {
    const both: Question = {
      declarations: [
        { kind: 'stack', start: 0x100_4000n, end: 0x100_8000n },
        {
          kind: 'slab',
          cache: 'thread_stack',
          start: 0x100_4000n,
          end: 0x100_8000n,
          objectStride: 64n,
          objectSize: 64n,
        },
      ],
      pointer: 0x100_4020n,
      size: 64n,
    };
    expect(short(ask({ ...both, era: '4.16' }))).toBe('slab object (offset 32, size 64)');
    expect(short(ask({ ...both, era: '5.0' }))).toBe('good: stack');
  });

  it('looks at nothing once the checks are bypassed', () => {
    const switches = { ...(ERAS['6.1'] as CheckParameters['switches']), bypass: true };
    expect(short(ask({ parameters: { switches }, pointer: 0n, size: 1n }))).toBe('good: bypassed');
  });
});

describe('text', () => {
  const parameters = {
    text: { start: 0x10_0000n, end: 0x20_0000n },
    linearText: { start: 0x90_0000n, end: 0xa0_0000n },
  };

  it('takes a range that ends at _stext for an overlap in the July 2016 mail only', () => {
    const touching = { parameters, pointer: 0xf_fff0n, size: 0x10n };
    expect(short(ask({ ...touching, era: 'v3' }))).toBe(`kernel text (offset ${2n ** 64n - 16n}, size 16)`);
    expect(short(ask({ ...touching, era: '4.8' }))).toBe('good: nothing objects');
  });

  it('looks at the linear alias in every era but that of the July 2016 mail', () => {
    const alias = { parameters, pointer: 0x90_0010n, size: 4n };
    expect(short(ask({ ...alias, era: 'v3' }))).toBe('good: nothing objects');
    expect(short(ask({ ...alias, era: '4.8' }))).toBe('linear kernel text (offset 16, size 4)');
  });

  it('does not look at the text of a copy whose end wraps to zero', () => {
    const text = { start: 0xffff_f000n, end: 0xffff_ff00n };
    const verdict = ask({ bits: 32, parameters: { text }, pointer: 0xffff_f800n, size: 0x800n });
    expect(short(verdict)).toBe('good: nothing objects');
  });
});

describe('slabs', () => {
  const redZoned = slab(0x100_0000n, 96n, { redLeftPad: 16n, objectSize: 64n });

  it('subtracts the left red zone, except where it refuses a pointer into it', () => {
    expect(short(ask({ declarations: [redZoned], pointer: 0x100_000fn, size: 1n }))).toBe(
      'slab object in left red zone (offset 15, size 1)',
    );
    expect(short(ask({ declarations: [redZoned], pointer: 0x100_0010n, size: 65n }))).toBe(
      'slab object (offset 0, size 65)',
    );
    expect(short(ask({ declarations: [redZoned], pointer: 0x100_0010n, size: 64n }))).toBe('good: slab object');
  });

  it('lets a copy pass with a warning inside the object but outside the whitelist while there is a fallback', () => {
    const declarations = [slab(0x100_0000n, 128n, { useroffset: 32n, usersize: 16n })];
    const outside = { declarations, pointer: 0x100_0080n, size: 128n };
    expect(short(ask({ ...outside, era: '4.16' }))).toBe('slab object (offset 0, size 128)');
    expect(short(ask({ ...outside, era: '4.16 with fallback' }))).toBe('good: slab object by fallback');
    expect(short(ask({ ...outside, era: '4.8' }))).toBe('good: slab object');
    expect(short(ask({ ...outside, size: 129n, era: '4.16 with fallback' }))).toBe('slab object (offset 0, size 129)');
  });
});

describe('spans of pages', () => {
  const pages = (type: 'plain' | 'Reserved' | 'CMA', first: bigint, count: bigint): Declaration => ({
    kind: 'pages',
    type,
    start: 0x100_0000n + first * 0x1000n,
    end: 0x100_0000n + (first + count) * 0x1000n,
  });
  const at = (era: string, declarations: readonly Declaration[], pointer: bigint, size: bigint) =>
    short(ask({ era, declarations, pointer, size }));

  it('refuses two plain pages, and passes one', () => {
    expect(at('v3', [pages('plain', 0n, 2n)], 0x100_0ff0n, 0x11n)).toBe('spans multiple pages (offset 0, size 17)');
    expect(at('v3', [pages('plain', 0n, 2n)], 0x100_0ff0n, 0x10n)).toBe('good: one page');
  });

  it('never tests the last page when the end lies lower in its page than the pointer in its own', () => {
    const mixed = [pages('Reserved', 0n, 1n), pages('plain', 1n, 1n)];
    for (const era of ['v3', 'v3-cma', '4.8']) {
      expect(at(era, mixed, 0x100_0ff0n, 0x20n)).toBe('good: Reserved or CMA pages');
    }
    expect(at('v3', mixed, 0x100_0010n, 0x1001n)).toBe('spans multiple pages (offset 0, size 4097)');
    expect(at('4.8', mixed, 0x100_0010n, 0x1001n)).toBe('spans Reserved and non-Reserved pages (offset 0, size 4097)');
  });

  it('knows CMA from the second version on, and names it from the one with its own message on', () => {
    const cma = [pages('CMA', 0n, 2n), pages('plain', 2n, 1n)];
    expect(at('v3', cma, 0x100_0000n, 0x2000n)).toBe('spans multiple pages (offset 0, size 8192)');
    expect(at('v3-cma', cma, 0x100_0000n, 0x2000n)).toBe('good: Reserved or CMA pages');
    expect(at('v3-cma', cma, 0x100_0000n, 0x2001n)).toBe('spans multiple pages (offset 0, size 8193)');
    expect(at('4.8', cma, 0x100_0000n, 0x2001n)).toBe('spans CMA and non-CMA pages (offset 0, size 8193)');
  });

  it('passes rodata to user up to one byte past its end, and refuses the other way', () => {
    const rodata = { start: 0x100_0000n, end: 0x100_1000n };
    const question = {
      era: 'v3',
      parameters: { rodata },
      declarations: [pages('plain', 0n, 2n)],
      pointer: 0x100_0f00n,
    };
    expect(short(ask({ ...question, size: 0x101n }))).toBe('good: rodata');
    expect(short(ask({ ...question, size: 0x102n }))).toBe('spans multiple pages (offset 0, size 258)');
    expect(short(ask({ ...question, size: 1n, direction: 'from_user' }))).toBe('rodata (offset 0, size 1)');
  });
});

describe('frames', () => {
  const question = (pointer: bigint, size: bigint): Question => ({
    era: '5.0',
    parameters: { stack: { ...NO_STACK, frames: { savedFrame: 0, header: 16, entryToCaller: 8, bias: 0 } } },
    declarations: [{ kind: 'stack', start: 0x10_4000n, end: 0x10_8000n }],
    stackPointer: 0x10_4100n,
    framePointer: 0x10_4200n,
    words: { [0x10_4200n.toString()]: 0x10_4300n, [0x10_4300n.toString()]: 0n },
    pointer,
    size,
  });

  it('accepts what lies between one frame and the next', () => {
    expect(short(ask(question(0x10_4108n, 0xf8n)))).toBe('good: stack frame');
    expect(short(ask(question(0x10_4210n, 0xf0n)))).toBe('good: stack frame');
  });

  it('refuses the return address, saved frame pointers and what lies above the last frame', () => {
    expect(short(ask(question(0x10_4100n, 8n)))).toBe('process stack (offset 0, size 8)');
    expect(short(ask(question(0x10_4108n, 0xf9n)))).toBe('process stack (offset 0, size 249)');
    expect(short(ask(question(0x10_420fn, 8n)))).toBe('process stack (offset 0, size 8)');
    expect(short(ask(question(0x10_4400n, 8n)))).toBe('process stack (offset 0, size 8)');
  });
});

it('divides by multiplication as lib/math/reciprocal_div.c does', () => {
  /* By hand for 192: l = 8, m = 2^32 * (256 - 192) / 192 + 1 = 1431655766, shifts 1 and 7. */
  expect(reciprocalOf(192)).toEqual({ multiplier: 1431655766n, shift1: 1n, shift2: 7n });
});
