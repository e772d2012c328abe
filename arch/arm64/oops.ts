/** arch/arm64/kernel/{traps,process}.c. */
import { namedRegisters, type OopsConvention, releaseOf, SYMBOL } from '../oops.js';

export const arm64Oops: OopsConvention = {
  signs: [
    {
      pattern: /^(?:pstate: [0-9a-f]{8} \(|x\d\d ?: [0-9a-f]{16}\b)/m,
      strength: 'registers',
      what: 'registers (pstate, x29)',
    },
    // ESR of brk #0x800, BUG(); before 6.x with its upper half (as remembered).
    {
      pattern: /\bInternal error: .{0,60}\b(?:00000000)?f20008[0-9a-f]{2}\b/,
      strength: 'oops',
      what: 'the ESR of its BUG() (f2000800)',
    },
    {
      pattern: /\b(?:el[01]h?t?_(?:64|32)_\w+|el1h_64_sync|el0_svc\w*|el0_sync\w*|el1_dbg|__arm64_sys_\w+)\b/,
      strength: 'functions',
      what: 'functions of its call trace',
    },
    { pattern: releaseOf('aarch64|arm64'), strength: 'release', what: 'the release' },
  ],
  variant: () => 'arm64',
  bits: () => 64,
  isLittle: () => true,
  registers: (text) =>
    namedRegisters(text, [
      { pattern: /\b(x\d{1,2}) ?: ([0-9a-f]{16})\b/g, name: (name) => name },
      { pattern: /^(sp) : ([0-9a-f]{16})\b/gm, name: (name) => name },
      { pattern: /^(pc) : \[<([0-9a-f]{16})>\]/gm, name: (name) => name },
    ]),
  lineStarts: 'pstate: |pc[ :]|lr[ :]|sp[ :]|x\\d{1,2} ?: ',
  stackPointer: ['sp'],
  returnValue: ['x0'],
  userMode: null,
  pc: new RegExp(`^(?:pc ?: |PC is at )(?:\\[<[0-9a-f]+>\\] )?${SYMBOL}`, 'm'),
  bugLines: [],
};
