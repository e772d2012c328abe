/**
 * Small programs for the engine's contract, assembled by hand: each instruction with its mnemonic. `sum` grows, `counter`
 * falls, `pointer` is an address, `value` is loaded.
 */
import type { EngineSpec } from '../../src/engine/engine.js';

export interface Program {
  readonly bytes: Uint8Array;
  /** Byte offsets of places in it. */
  readonly at: Readonly<Record<string, number>>;
}

export interface Machine {
  readonly variant: string;
  readonly spec: EngineSpec;
  readonly pc: string;
  readonly sum: string;
  readonly counter: string;
  readonly pointer: string;
  readonly value: string;
  /** sum += 1; counter -= 1; until counter is 0: three instructions, one block a turn. `end` is a nop. */
  readonly countdown: Program;
  /** Calls `callee` (sum += 1; return) until counter is 0: five instructions a turn. */
  readonly caller: Program;
  /** sum += 1 four times, then a nop at `end`. */
  readonly straight: Program;
  /** Jumps to itself. */
  readonly forever: Program;
  /** value = *pointer, then a nop at `end`. */
  readonly load: Program;
  /** *pointer = sum, then a nop at `end`. */
  readonly store: Program;
  /** Jumps to the address in pointer. */
  readonly jump: Program;
  /** A system call, then a nop at `end`. */
  readonly interrupt: Program & { readonly number: number };
  readonly invalid: Program;
  /** sum += 2 where `straight` begins with sum += 1. */
  readonly addTwo: Uint8Array;
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

export const x86_64: Machine = {
  variant: 'x86_64',
  spec: { arch: 'X86', mode: ['64'] },
  pc: 'rip',
  sum: 'rax',
  counter: 'rcx',
  pointer: 'rdx',
  value: 'rbx',
  countdown: {
    bytes: bytes(
      ...[0x48, 0xff, 0xc0], // 0: inc rax
      ...[0x48, 0xff, 0xc9], // 3: dec rcx
      ...[0x75, 0xf8], //       6: jnz 0
      0x90, //                  8: nop
    ),
    at: { second: 3, end: 8 },
  },
  caller: {
    bytes: bytes(
      ...[0xe8, 0x06, 0, 0, 0], // 0: call 11
      ...[0x48, 0xff, 0xc9], //    5: dec rcx
      ...[0x75, 0xf6], //          8: jnz 0
      0x90, //                    10: nop
      ...[0x48, 0xff, 0xc0], //   11: inc rax
      0xc3, //                    14: ret
    ),
    at: { afterCall: 5, end: 10, callee: 11 },
  },
  straight: {
    bytes: bytes(0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x90), // inc rax ×4; nop
    at: { third: 6, end: 12 },
  },
  forever: { bytes: bytes(0xeb, 0xfe), at: {} }, // jmp .
  load: { bytes: bytes(0x48, 0x8b, 0x1a, 0x90), at: { end: 3 } }, // mov rbx, [rdx]; nop
  store: { bytes: bytes(0x48, 0x89, 0x02, 0x90), at: { end: 3 } }, // mov [rdx], rax; nop
  jump: { bytes: bytes(0xff, 0xe2), at: {} }, // jmp rdx
  interrupt: { bytes: bytes(0xcd, 0x80, 0x90), at: { end: 2 }, number: 0x80 }, // int 0x80; nop
  invalid: { bytes: bytes(0x0f, 0x0b), at: {} }, // ud2
  addTwo: bytes(0x83, 0xc0, 0x02), // add eax, 2
};

export const arm64: Machine = {
  variant: 'arm64',
  spec: { arch: 'ARM64', mode: ['ARM'] },
  pc: 'pc',
  sum: 'x0',
  counter: 'x1',
  pointer: 'x2',
  value: 'x3',
  countdown: {
    bytes: words(
      0x91000400, //  0: add x0, x0, #1
      0xf1000421, //  4: subs x1, x1, #1
      0x54ffffc1, //  8: b.ne 0
      0xd503201f, // 12: nop
    ),
    at: { second: 4, end: 12 },
  },
  caller: {
    bytes: words(
      0x94000004, //  0: bl 16
      0xf1000421, //  4: subs x1, x1, #1
      0x54ffffc1, //  8: b.ne 0
      0xd503201f, // 12: nop
      0x91000400, // 16: add x0, x0, #1
      0xd65f03c0, // 20: ret
    ),
    at: { afterCall: 4, end: 12, callee: 16 },
  },
  straight: { bytes: words(0x91000400, 0x91000400, 0x91000400, 0x91000400, 0xd503201f), at: { third: 8, end: 16 } }, // add x0, x0, #1 ×4; nop
  forever: { bytes: words(0x14000000), at: {} }, // b .
  load: { bytes: words(0xf9400043, 0xd503201f), at: { end: 4 } }, // ldr x3, [x2]; nop
  store: { bytes: words(0xf9000040, 0xd503201f), at: { end: 4 } }, // str x0, [x2]; nop
  jump: { bytes: words(0xd61f0040), at: {} }, // br x2
  interrupt: { bytes: words(0xd4000001, 0xd503201f), at: { end: 4 }, number: 2 }, // svc #0; nop
  invalid: { bytes: words(0x00000000), at: {} }, // udf #0
  addTwo: words(0x91000800), // add x0, x0, #2
};

export const machines: readonly Machine[] = [x86_64, arm64];

/** The variants of the project, as Unicorn opens them. */
export const variants: readonly (readonly [string, EngineSpec])[] = [
  ['i386', { arch: 'X86', mode: ['32'] }],
  ['x86_64', { arch: 'X86', mode: ['64'] }],
  ['arm', { arch: 'ARM', mode: ['ARM'] }],
  ['arm64', { arch: 'ARM64', mode: ['ARM'] }],
  ['ppc', { arch: 'PPC', mode: ['PPC32', 'BIG_ENDIAN'] }],
  ['ppc64', { arch: 'PPC', mode: ['PPC64', 'BIG_ENDIAN'] }],
  ['ppc64le', { arch: 'PPC', mode: ['PPC64', 'BIG_ENDIAN'] }],
  ['sparc', { arch: 'SPARC', mode: ['SPARC32', 'BIG_ENDIAN'] }],
  ['sparc64', { arch: 'SPARC', mode: ['SPARC64', 'BIG_ENDIAN'] }],
  ['s390x', { arch: 'S390X', mode: ['BIG_ENDIAN'] }],
  ['riscv64', { arch: 'RISCV', mode: ['RISCV64'] }],
  ['mipsel', { arch: 'MIPS', mode: ['MIPS32', 'LITTLE_ENDIAN'], cpu: 'MIPS32_24KC', mmu: true }],
];

/** sum += 1; end at the next instruction: per variant, with the register that grows. */
export const increments: Readonly<Record<string, readonly [register: string, code: Uint8Array]>> = {
  i386: ['eax', bytes(0x40, 0x90)], // inc eax; nop
  x86_64: ['rax', bytes(0x48, 0xff, 0xc0, 0x90)], // inc rax; nop
  arm: ['r0', words(0xe2800001, 0xe320f000)], // add r0, r0, #1; nop
  arm64: ['x0', words(0x91000400, 0xd503201f)], // add x0, x0, #1; nop
  ppc: ['3', bytes(0x38, 0x63, 0, 1, 0x60, 0, 0, 0)], // addi r3, r3, 1; nop
  // The end begins a block of its own: 2.0.1 cannot drop code of a 64-bit PowerPC without hypervisor state.
  ppc64: ['3', bytes(0x38, 0x63, 0, 1, 0x48, 0, 0, 4, 0x60, 0, 0, 0)], // addi r3, r3, 1; b .+4; nop
  ppc64le: ['3', bytes(0x38, 0x63, 0, 1, 0x48, 0, 0, 4, 0x60, 0, 0, 0)],
  sparc: ['g1', bytes(0x82, 0x00, 0x60, 0x01, 0x01, 0, 0, 0)], // add %g1, 1, %g1; nop
  sparc64: ['g1', bytes(0x82, 0x00, 0x60, 0x01, 0x01, 0, 0, 0)],
  s390x: ['r2', bytes(0xa7, 0x2b, 0, 1, 0x07, 0x07)], // aghi %r2, 1; nopr
  riscv64: ['a0', words(0x00150513, 0x00000013)], // addi a0, a0, 1; nop
  // A page of nops is a block that Unicorn does not survive the translation of.
  mipsel: ['4', words(0x24840001, 0x1000ffff)], // addiu $4, $4, 1; b .
};
