import { describe, expect, it } from 'vitest';
import type { Variant } from '../../arch/driver.js';
import { variants } from '../../arch/index.js';
import { attach } from '../../src/attach/attach.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { loadOwnKernel, ownVariants, startOwnGuest } from '../../src/scenario/own.js';
import { backtraceOf } from '../../src/stack/backtrace.js';
import { linkedFrames } from '../../src/stack/frames.js';

const variantOf = (name: string): Variant => variants.find((candidate) => candidate.name === name)!;

/** A kernel of which nothing matters but its memory, its config and the prologue of its check. */
function kernelOf(variant: Variant, words: Readonly<Record<number, number>>, prologue: readonly number[] = []): Kernel {
  const CHECK = 0x8000n;
  const size = variant.bits / 8;
  const read = (address: bigint, length: number): Uint8Array | undefined => {
    if (address === CHECK) return Uint8Array.from({ length }, (_, at) => prologue[at] ?? 0);
    const value = words[Number(address)];
    if (value === undefined || length !== size) return undefined;
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    const little = variant.endian === 'little';
    if (size === 8) view.setBigUint64(0, BigInt(value), little);
    else view.setUint32(0, value, little);
    return bytes;
  };
  const hasCheck = prologue.length > 0;
  return {
    bits: variant.bits,
    endian: variant.endian,
    config: null,
    read,
    symbols: { address: (name: string) => (hasCheck && name === '__check_object_size' ? CHECK : undefined) },
  } as unknown as Kernel;
}

const A = 0xa1;
const B = 0xb2;
const C = 0xc3;

interface Stack {
  readonly what: string;
  readonly variant: string;
  readonly registers: Readonly<Record<string, number>>;
  readonly words: Readonly<Record<number, number>>;
  readonly prologue?: readonly number[];
  /** [return address into it, first byte, end, where its record begins] */
  readonly frames: readonly (readonly [number, number, number | null, number])[];
}

/** Worked by hand from the ABI documents: the innermost frame is of whoever called the function that was just entered. */
const STACKS: readonly Stack[] = [
  {
    what: 'the saved frame pointer and the return address above each frame',
    variant: 'x86_64',
    registers: { rsp: 0x1000, rbp: 0x1020 },
    words: { 4096: A, 4128: 0x1060, 4136: B, 4192: 0, 4200: C },
    frames: [
      [A, 0x1008, 0x1030, 0x1020],
      [B, 0x1030, 0x1070, 0x1060],
    ],
  },
  {
    what: 'the same with words of four bytes',
    variant: 'i386',
    registers: { esp: 0x1000, ebp: 0x1020 },
    words: { 4096: A, 4128: 0x1060, 4132: B, 4192: 0, 4196: C },
    frames: [
      [A, 0x1004, 0x1028, 0x1020],
      [B, 0x1028, 0x1068, 0x1060],
    ],
  },
  {
    what: 'a frame record at the lower end of each frame',
    variant: 'arm64',
    registers: { sp: 0x1000, x29: 0x1000, x30: A },
    words: { 4096: 0x1040, 4104: B, 4160: 0x1090, 4168: C, 4240: 0, 4248: 0 },
    frames: [
      [A, 0x1000, 0x1040, 0x1000],
      [B, 0x1040, 0x1090, 0x1040],
      [C, 0x1090, null, 0x1090],
    ],
  },
  {
    what: 'a frame record at the upper end of each frame, pointed at from behind it',
    variant: 'riscv64',
    registers: { sp: 0x1000, s0: 0x1040, ra: A },
    words: { 4144: 0x1090, 4152: B, 4224: 0, 4232: C },
    frames: [
      [A, 0x1000, 0x1040, 0x1030],
      [B, 0x1040, 0x1090, 0x1080],
    ],
  },
  {
    what: 'APCS records { fp, sp, lr, pc }, pointed at from their last word',
    variant: 'arm',
    registers: { sp: 0x1000, r11: 0x102c, lr: A },
    words: { 4128: 0x106c, 4136: B, 4192: 0, 4200: C },
    // mov ip, sp
    prologue: [0x0d, 0xc0, 0xa0, 0xe1],
    frames: [
      [A, 0x1000, 0x1030, 0x1020],
      [B, 0x1030, 0x1070, 0x1060],
    ],
  },
  {
    what: "gcc's records { fp, lr } of AAPCS, pointed at from the lr",
    variant: 'arm',
    registers: { sp: 0x1000, r11: 0x1024, lr: A },
    words: { 4128: 0x1064, 4132: B, 4192: 0, 4196: C },
    // push {r4, fp, lr}; add fp, sp, #8
    prologue: [0x10, 0x48, 0x2d, 0xe9, 0x08, 0xb0, 0x8d, 0xe2],
    frames: [
      [A, 0x1000, 0x1028, 0x1020],
      [B, 0x1028, 0x1068, 0x1060],
    ],
  },
  {
    what: "clang's records { fp, lr }, pointed at from the fp",
    variant: 'arm',
    registers: { sp: 0x1000, r11: 0x1020, lr: A },
    words: { 4128: 0x1060, 4132: B, 4192: 0, 4196: C },
    // push {r4, fp, lr}; add fp, sp, #4
    prologue: [0x10, 0x48, 0x2d, 0xe9, 0x04, 0xb0, 0x8d, 0xe2],
    frames: [
      [A, 0x1000, 0x1028, 0x1020],
      [B, 0x1028, 0x1068, 0x1060],
    ],
  },
  {
    what: "the back chain, and the return address in the caller's frame, at 4",
    variant: 'ppc',
    registers: { 1: 0x1000, lr: A },
    words: { 4096: 0x1040, 4100: 0xbad, 4160: 0x1080, 4164: B, 4224: 0, 4228: C },
    frames: [
      [A, 0x1000, 0x1040, 0x1000],
      [B, 0x1040, 0x1080, 0x1040],
      [C, 0x1080, null, 0x1080],
    ],
  },
  {
    what: 'the same at 16 (ELFv2)',
    variant: 'ppc64le',
    registers: { 1: 0x1000, lr: A },
    words: { 4096: 0x1040, 4112: 0xbad, 4160: 0x1080, 4176: B, 4224: 0, 4240: C },
    frames: [
      [A, 0x1000, 0x1040, 0x1000],
      [B, 0x1040, 0x1080, 0x1040],
      [C, 0x1080, null, 0x1080],
    ],
  },
  {
    what: "the back chain at 0 of -mbackchain, r14 in the caller's save area",
    variant: 's390x',
    registers: { r15: 0x1000, r14: A },
    words: { 4096: 0x10c0, 4288: 0x1180, 4400: B, 4480: 0, 4592: C },
    // stg %r14,0(%r15)
    prologue: [0xe3, 0xe0, 0xf0, 0x00, 0x00, 0x24],
    frames: [
      [A, 0x1000, 0x10c0, 0x1000],
      [B, 0x10c0, 0x1180, 0x10c0],
      [C, 0x1180, null, 0x1180],
    ],
  },
  {
    what: 'the packed save area, whose last word is the back chain',
    variant: 's390x',
    registers: { r15: 0x1000, r14: A },
    // Frames of 0x58 bytes: 152 is the back chain, 136 the r14.
    words: { 4248: 0x1058, 4336: 0x10b0, 4320: B, 4424: 0, 4408: C },
    // stg %r14,152(%r15)
    prologue: [0xe3, 0xe0, 0xf0, 0x98, 0x00, 0x24],
    frames: [
      [A, 0x1000, 0x10a0, 0x1048],
      [B, 0x10a0, 0x10f8, 0x10a0],
      [C, 0x10f8, null, 0x10f8],
    ],
  },
  {
    what: 'the save areas of register windows; the innermost window is still in registers',
    variant: 'sparc',
    registers: { o6: 0x1000, i6: 0x1060, o7: A, i7: B },
    words: { 4248: 0x10c0, 4252: C, 4344: 0, 4348: 0 },
    frames: [
      [A, 0x1000, 0x1060, 0x1000],
      [B, 0x1060, 0x10c0, 0x1060],
      [C, 0x10c0, null, 0x10c0],
    ],
  },
  {
    what: 'the same, biased by 2047',
    variant: 'sparc64',
    registers: { o6: 0x1000 - 2047, i6: 0x10b0 - 2047, o7: A, i7: B },
    words: { 4384: 0x1160 - 2047, 4392: C, 4560: 0, 4568: 0 },
    frames: [
      [A, 0x1000, 0x10b0, 0x1000],
      [B, 0x10b0, 0x1160, 0x10b0],
      [C, 0x1160, null, 0x1160],
    ],
  },
];

function framesOf({ variant: name, registers, words, prologue }: Stack): (number | null)[][] {
  const variant = variantOf(name);
  const frames = linkedFrames((register) => BigInt(registers[register]!), kernelOf(variant, words, prologue), variant);
  return [...frames].map(({ place, start, end, record }) => [
    Number(place),
    Number(start),
    end === null ? null : Number(end),
    Number(record.start),
  ]);
}

describe('linked frames', () => {
  it.each(STACKS)('of $variant: $what', (stack) => {
    expect(framesOf(stack)).toEqual(stack.frames);
  });

  it('end where a chain leads down, round in circles, out of memory or to an odd address', () => {
    const [stack] = STACKS;
    for (const link of [0x1018, 0x1020, 0x9000, 0x1063]) {
      expect(framesOf({ ...stack!, words: { ...stack!.words, 4128: link } }).length).toBe(1);
    }
  });

  it('are none where the kernel was built without', () => {
    const orc = [0x41, 0x57, 0x41, 0x56, 0x55, 0x53];
    expect(framesOf({ ...STACKS[0]!, prologue: orc })).toEqual([]);
  });
});

describe('words on the stack that look like return addresses', () => {
  const TEXT = 0x40_0000;
  const END = 0x2_0000;

  it.each(['x86_64', 'i386', 'arm', 'arm64', 'ppc64le', 's390x', 'sparc64'])(
    'are told as far as the stack of %s goes, and not of what lies behind it',
    (name) => {
      const variant = variantOf(name);
      const size = variant.bits / 8;
      const last = [-2, -1].map((index) => END + index * size);
      const behind = [0, 1, 2].map((index) => END + index * size);
      const words = new Map([...last, ...behind].map((address) => [address, TEXT + address]));
      const kernel = {
        ...kernelOf(variant, {}),
        read: (address: bigint, length: number): Uint8Array => {
          const view = new DataView(new ArrayBuffer(length));
          const little = variant.endian === 'little';
          for (let at = 0; at + size <= length; at += size) {
            const value = words.get(Number(address) + at) ?? 0;
            if (size === 8) view.setBigUint64(at, BigInt(value), little);
            else view.setUint32(at, value, little);
          }
          return new Uint8Array(view.buffer);
        },
        symbols: {
          address: (symbol: string) =>
            symbol === '_stext' ? BigInt(TEXT) : symbol === '_etext' ? BigInt(2 * TEXT) : undefined,
          find: () => undefined,
        },
      } as unknown as Kernel;
      for (const below of [1, 2, 3, 64, 1024]) {
        const stackPointer = BigInt(END - below * size);
        const engine = {
          readRegister: (register: string): bigint =>
            register === variant.registers.sp ? stackPointer - BigInt(variant.call.stackBias ?? 0) : 0n,
        };
        const told = backtraceOf(engine, kernel, variant).map(({ address }) => Number(address) - TEXT);
        expect(told.every((address) => address < END)).toBe(true);
        if (below >= 64) expect(told).toEqual(last);
      }
    },
  );
});

const linksFrames = (name: string): boolean => variantOf(name).frames.linked;

describe.each(ownVariants().filter(linksFrames))('a backtrace of the built-in %s guest', (name) => {
  it('names the functions that called each other, and how it knows', async () => {
    const guest = await startOwnGuest(await loadOwnKernel(name));
    try {
      const attachment = await attach(guest.engine, guest.kernel, { memory: guest.check });
      // A local of the caller's frame, up to past the stack's end: refused in copy_from_callee().
      await guest.call('copy_stack_frame_caller', [guest.user.address, 0x8000n, 1n]);
      const [violation] = attachment.violations;
      expect(violation?.backtrace.slice(0, 2)).toMatchObject([
        { symbol: 'copy_from_callee', reliable: true },
        { symbol: 'copy_stack_frame_caller', reliable: true },
      ]);
      expect(violation?.explanation.join('\n')).toMatch(/begins in the frame of copy_stack_frame_caller\+0x/);
      const kind = /^(ppc|s390)/.test(name)
        ? 'back chain'
        : /^sparc/.test(name)
          ? 'register windows'
          : 'frame pointers';
      expect(violation?.backtraceMethod).toBe(kind);
    } finally {
      guest.close();
    }
  });
});
