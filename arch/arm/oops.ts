/** arch/arm/kernel/{traps,process}.c. */
import { namedRegisters, type OopsConvention, releaseOf, SYMBOL } from '../oops.js';

/** Old kernels print `ip` and `fp` for r12 and r11. */
const NAMES: Readonly<Record<string, string>> = { ip: 'r12', fp: 'r11', lr: 'r14' };
const named = (name: string): string => NAMES[name] ?? name;

export const armOops: OopsConvention = {
  signs: [
    {
      pattern: /^(?:pc : \[<[0-9a-f]{8}>\]|r10: [0-9a-f]{8}\b|Flags: \w{4}\s+IRQs )/m,
      strength: 'registers',
      what: 'registers (r10, Flags)',
    },
    { pattern: /\bInternal error: .{0,200} ARM$/m, strength: 'oops', what: "'Internal error … ARM'" },
    // Only its unwinder says who called whom in one line, with addresses of eight digits.
    {
      pattern: /^\[<[0-9a-f]{8}>\] \([^()]{1,200}\) from \[<[0-9a-f]{8}>\]/m,
      strength: 'oops',
      what: "the shape of its call trace ('from')",
    },
    { pattern: /\bret_fast_syscall\b/, strength: 'functions', what: 'functions of its call trace' },
    {
      pattern: releaseOf('armmp(?:-lpae)?|armv7hl|armv7l|rpi-v7'),
      strength: 'release',
      what: 'the release',
    },
  ],
  variant: () => 'arm',
  bits: () => 32,
  isLittle: () => true,
  registers: (text) =>
    namedRegisters(text, [
      { pattern: /\b(r\d{1,2}) ?: ([0-9a-f]{8})\b/g, name: named },
      { pattern: /\b(sp|ip|fp) ?: ([0-9a-f]{8})\b/g, name: named },
      { pattern: /\b(pc|lr) ?: \[<([0-9a-f]{8})>\]/g, name: named },
    ]),
  lineStarts: 'pc |lr |sp |r\\d{1,2} ?: |PC is at|LR is at|Flags: |Control: |Register r\\d|Exception stack',
  stackPointer: ['sp'],
  returnValue: ['r0'],
  userMode: /^Exception stack\(/m,
  pc: new RegExp(`^PC is at ${SYMBOL}`, 'm'),
  bugLines: [],
};
