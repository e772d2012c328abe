/** arch/riscv/kernel/process.c */
import { namedRegisters, type OopsConvention, SYMBOL } from '../oops.js';

export const riscvOops: OopsConvention = {
  signs: [
    {
      pattern: /^epc ?: (?:[0-9a-f]{16}|\S{1,200} ra :)|\bbadaddr: [0-9a-f]{8,16} cause: /m,
      strength: 'registers',
      what: 'registers (epc, badaddr)',
    },
    { pattern: /\b\d+\.\d+\.\d+\S*-riscv64\b/, strength: 'release', what: 'the release' },
    { pattern: /\b(?:__riscv_sys_\w+|do_trap_ecall_u)\b/, strength: 'functions', what: 'functions of its call trace' },
  ],
  variant: (text) => (/\b(?:epc|ra) ?: ?[0-9a-f]{8}\b(?![0-9a-f])/.test(text) ? 'riscv32' : 'riscv64'),
  bits: (variant) => (variant === 'riscv32' ? 32 : 64),
  isLittle: () => true,
  registers: (text) =>
    namedRegisters(text, [
      { pattern: /\b(epc|ra|sp|gp|tp|[ast]\d{1,2}) ?: ?([0-9a-f]{8,16})\b/g, name: (name) => name },
    ]),
  lineStarts: 'epc|gp |status: |t[0-6] ?: |[as]\\d{1,2} ?: ',
  stackPointer: ['sp'],
  returnValue: ['a0'],
  initMemoryInText: ['riscv32', 'riscv64'],
  userMode: null,
  pc: new RegExp(`^epc : ${SYMBOL}`, 'm'),
  bugLines: [],
};
