/** arch/ia64/kernel/{traps,process}.c, removed in 6.7 (as remembered). */
import { namedRegisters, type OopsConvention, releaseOf, SYMBOL } from '../oops.js';

export const ia64Oops: OopsConvention = {
  signs: [
    { pattern: /^(?:psr : [0-9a-f]{16} ifs : |ip is at )/m, strength: 'registers', what: 'registers (psr, ifs)' },
    { pattern: /: bugcheck! \d+ \[/, strength: 'oops', what: "'bugcheck!'" },
    {
      pattern: /\bia64_(?:bad_break|leave_kernel|ret_from_syscall|native_\w+)\b/,
      strength: 'functions',
      what: 'functions of its call trace',
    },
    { pattern: releaseOf('itanium|mckinley'), strength: 'release', what: 'the release' },
  ],
  variant: () => 'ia64',
  bits: () => 64,
  isLittle: () => true,
  registers: (text) =>
    namedRegisters(text, [
      { pattern: /\b(r\d{1,2}|b[0-7]) +: ([0-9a-f]{16})\b/g, name: (name) => name },
      { pattern: /\b(ip) +: \[<([0-9a-f]{16})>\]/g, name: (name) => name },
    ]),
  lineStarts: 'psr |ip is at|unat|rnat|ldrs|csd|[bfr]\\d{1,2} +:',
  stackPointer: ['r12'],
  returnValue: ['r8'],
  userMode: null,
  pc: new RegExp(`^ip is at ${SYMBOL}`, 'm'),
  bugLines: [/^\S.{0,20}\[\d+\]: bugcheck! \d+ \[\d+\]/m],
};
