/** arch/s390/kernel/{dumpstack,traps}.c. */
import { type OopsConvention, releaseOf, SYMBOL } from '../oops.js';

/** Sixteen values of sixteen digits follow the word, whatever a mailer did to their lines. */
function generalRegisters(text: string): Map<string, bigint> {
  const found = new Map<string, bigint>();
  const begin = text.indexOf('Krnl GPRS:');
  if (begin < 0) return found;
  const rest = text.slice(begin + 'Krnl GPRS:'.length, begin + 1000);
  const digits = rest.replace(/[^\s0-9a-f].*/s, '').replace(/\s+/g, '');
  for (let index = 0; index < 16 && digits.length >= 16 * (index + 1); index++) {
    found.set(`r${index}`, BigInt(`0x${digits.slice(16 * index, 16 * (index + 1))}`));
  }
  return found;
}

export const s390Oops: OopsConvention = {
  signs: [
    { pattern: /\bKrnl (?:PSW|GPRS|Code)\b/, strength: 'registers', what: 'registers (Krnl PSW)' },
    {
      pattern: /\b(?:monitor event|illegal operation): [0-9a-f]{4} ilc:\d/,
      strength: 'oops',
      what: "its oops ('ilc:')",
    },
    { pattern: /\bLast Breaking-Event-Address\b/, strength: 'oops', what: 'its oops (Last Breaking-Event-Address)' },
    // Only s390 puts the innermost of its back chain in brackets.
    { pattern: /^\(\[?<[0-9a-f]{16}>\]? usercopy_abort\+/m, strength: 'oops', what: 'the shape of its call trace' },
    {
      pattern: /\b(?:__s390x?_sys_\w+|sysc_\w+|pgm_check_handler)\b/,
      strength: 'functions',
      what: 'functions of its call trace',
    },
    { pattern: releaseOf('s390x?'), strength: 'release', what: 'the release' },
    { pattern: /\b(?:qeth|zfcp|dasd_eckd_mod|zcrypt)\b/, strength: 'modules', what: 'modules' },
  ],
  variant: () => 's390x',
  bits: () => 64,
  isLittle: () => false,
  registers(text) {
    const found = generalRegisters(text);
    const psw = /\bKrnl PSW : ([0-9a-f]{16}) ([0-9a-f]{16})\b/.exec(text);
    if (psw !== null) found.set('pc', BigInt(`0x${psw[2]}`));
    return found;
  },
  lineStarts: 'Krnl |Last Breaking|monitor event|illegal operation|R:0 T:',
  stackPointer: ['r15'],
  returnValue: ['r2'],
  userMode: null,
  pc: new RegExp(`\\bKrnl PSW : [0-9a-f]{16} [0-9a-f]{16} \\(${SYMBOL}`),
  bugLines: [],
};
