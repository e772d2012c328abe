/** arch/sparc/kernel/{traps_32,traps_64,process_32,process_64}.c. */
import { namedRegisters, type OopsConvention, releaseOf, SYMBOL, VALUE } from '../oops.js';

const NAMES: Readonly<Record<string, string>> = { TPC: 'pc', PC: 'pc', sp: 'o6', ret_pc: 'o7' };
const named = (name: string): string => NAMES[name] ?? name;

const pairOf = (registers: string): RegExp => new RegExp(`\\b(${registers}): (${VALUE})`, 'g');

export const sparcOops: OopsConvention = {
  signs: [
    { pattern: /\bTSTATE: [0-9a-f]{16} TPC: /, strength: 'registers', what: 'registers (TSTATE)' },
    { pattern: /\bPSR: [0-9a-f]{8} PC: /, strength: 'registers', what: 'registers (PSR)' },
    { pattern: /\bKernel bad sw trap 5\b/, strength: 'oops', what: "'Kernel bad sw trap 5'" },
    {
      pattern: /\b(?:linux_sparc_syscall\w*|do_rt_sigreturn32|sys_sparc_\w+)\b/,
      strength: 'functions',
      what: 'functions of its call trace',
    },
    { pattern: releaseOf('sparc64(?:-smp)?'), strength: 'release', what: 'the release' },
  ],
  variant: (text) => (/\bPSR: [0-9a-f]{8} PC: /.test(text) ? 'sparc' : 'sparc64'),
  bits: (variant) => (variant === 'sparc' ? 32 : 64),
  isLittle: () => false,
  registers: (text) =>
    namedRegisters(text, [
      { pattern: pairOf('[goli][0-7]'), name: named },
      { pattern: pairOf('sp|ret_pc'), name: named },
      { pattern: pairOf('TPC|PC'), name: named },
    ]),
  lineStarts: 'TSTATE|TPC|RPC|I7:|PSR: |[goli][0-7]: ',
  stackPointer: ['o6'],
  returnValue: ['o0'],
  userMode: null,
  pc: new RegExp(`\\bT?PC: <${SYMBOL}>`),
  bugLines: [],
};
