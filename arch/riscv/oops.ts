/** arch/riscv/kernel/process.c */
import { namedRegisters, type OopsConvention, releaseOf, SYMBOL, VALUE32 } from '../oops.js';

const registerOf = (value: string): RegExp => new RegExp(`\\b(epc|ra|sp|gp|tp|[ast]\\d{1,2}) ?: ?(${value})`, 'g');
const REGISTER32 = registerOf(VALUE32);
const REGISTER64 = registerOf('[0-9a-f]{16}\\b');
const NARROW = new RegExp(`\\b(?:epc|ra) ?: ?${VALUE32}`);

export const riscvOops: OopsConvention = {
  signs: [
    {
      pattern: /^epc ?: (?:[0-9a-f]{16}|\S{1,200} ra :)|\bbadaddr: [0-9a-f]{8,16} cause: /m,
      strength: 'registers',
      what: 'registers (epc, badaddr)',
    },
    { pattern: releaseOf('riscv64'), strength: 'release', what: 'the release' },
    { pattern: /\b(?:__riscv_sys_\w+|do_trap_ecall_u)\b/, strength: 'functions', what: 'functions of its call trace' },
  ],
  variant: (text) => (NARROW.test(text) ? 'riscv32' : 'riscv64'),
  bits: (variant) => (variant === 'riscv32' ? 32 : 64),
  isLittle: () => true,
  registers: (text) =>
    namedRegisters(text, [{ pattern: NARROW.test(text) ? REGISTER32 : REGISTER64, name: (name) => name }]),
  lineStarts: 'epc|gp |status: |t[0-6] ?: |[as]\\d{1,2} ?: ',
  stackPointer: ['sp'],
  returnValue: ['a0'],
  initMemoryInText: ['riscv32', 'riscv64'],
  userMode: null,
  pc: new RegExp(`^epc : ${SYMBOL}`, 'm'),
  bugLines: [],
};
