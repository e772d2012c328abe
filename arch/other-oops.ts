/** Architectures whose reports are recognised, though the project neither runs them nor reads their dumps. */
import { namedRegisters, type OopsConvention, releaseOf, SYMBOL, VALUE } from './oops.js';

const keep = (name: string): string => name;

const MIPS_ROW = new RegExp(`^\\$ ?(\\d{1,2}) +: ((?:${VALUE} ?){1,4})`, 'gm');
const PARISC_REGISTER = new RegExp(`\\b(r\\d\\d)-?\\d{0,2} +(${VALUE})`, 'g');

/** arch/mips/kernel/traps.c: rows of four, `$12   : value value value value`. */
const mips: OopsConvention = {
  signs: [
    {
      pattern: /^(?:epc +: [0-9a-f]{8,16} (?!ra :)|\$ ?\d{1,2} +: [0-9a-f]{8})/m,
      strength: 'registers',
      what: 'registers ($ 0, epc)',
    },
    { pattern: /\bKernel bug detected\[#/, strength: 'oops', what: "'Kernel bug detected'" },
    // show_stacktrace(): no other architecture puts a space before that colon and the values on the same line.
    { pattern: /^Stack : [0-9a-f]{8,16} [0-9a-f]{8,16}\b/m, strength: 'oops', what: "its stack dump ('Stack :')" },
    {
      pattern: /\b(?:handle_sys64|handle_sysn32|handle_sys|syscall_common)\+0x/,
      strength: 'functions',
      what: 'functions of its call trace',
    },
  ],
  variant: (text) =>
    /^\$ ?\d{1,2} +: [0-9a-f]{16}\b|^Stack : [0-9a-f]{16}\b|\bhandle_sys(?:64|n32)\+/m.test(text) ? 'mips64' : 'mips',
  // Either is built; the oops does not say which.
  bits: (variant) => (variant === 'mips64' ? 64 : 32),
  isLittle: () => true,
  registers(text) {
    const found = new Map<string, bigint>();
    for (const [, first, row = ''] of text.matchAll(MIPS_ROW)) {
      for (const [index, value] of row.trim().split(' ').entries()) {
        const name = `$${Number(first) + index}`;
        if (!found.has(name)) found.set(name, BigInt(`0x${value}`));
      }
    }
    return found;
  },
  lineStarts: '\\$ ?\\d{1,2} |Hi +:|Lo +:|epc |Status:|Cause |PrId',
  stackPointer: ['$29'],
  returnValue: ['$2'],
  userMode: null,
  pc: new RegExp(`^epc +: [0-9a-f]+ ${SYMBOL}`, 'm'),
  bugLines: [/\bKernel bug detected\[#\d+\]:?/],
};

/** arch/arc/kernel/troubleshoot.c; its BUG() is a pr_warn(), which puts mm/usercopy.c's own prefix before the line. */
const arc: OopsConvention = {
  signs: [
    { pattern: /^\[(?:ECR|EFA|BLINK|ERET|STAT32) *\]:/m, strength: 'registers', what: 'registers (ECR, BLINK)' },
    { pattern: /\busercopy: BUG: failure at /, strength: 'oops', what: "'usercopy: BUG: failure'" },
  ],
  variant: () => 'arc',
  bits: () => 32,
  isLittle: () => true,
  registers: (text) =>
    namedRegisters(text, [{ pattern: /\b(r\d\d|SP|FP|BTA): 0x([0-9a-f]{8})\b/g, name: (name) => name.toLowerCase() }]),
  lineStarts: '\\[(?:ECR|EFA|BLINK|ERET|STAT32)|BTA|LPS|r\\d\\d: 0x',
  stackPointer: ['sp'],
  returnValue: ['r00'],
  initMemoryInText: ['arc'],
  userMode: null,
  pc: new RegExp(`^\\[BLINK *\\]: ${SYMBOL}`, 'm'),
  bugLines: [/\b(?:usercopy: )?BUG: failure at [^\s!]{1,200}!/],
};

/** arch/parisc/kernel/traps.c */
const parisc: OopsConvention = {
  signs: [
    { pattern: /\bIAOQ\[0\]|\bIASQ: [0-9a-f]+/, strength: 'registers', what: 'registers (IAOQ)' },
    { pattern: releaseOf('parisc(?:64)?'), strength: 'release', what: 'the release' },
  ],
  variant: (text) => (/\[<[0-9a-f]{16}>\]|\bIAOQ: [0-9a-f]{16}|-parisc64\b/.test(text) ? 'parisc64' : 'parisc'),
  bits: (variant) => (variant === 'parisc64' ? 64 : 32),
  isLittle: () => false,
  registers: (text) => namedRegisters(text, [{ pattern: PARISC_REGISTER, name: keep }]),
  lineStarts: 'IAOQ|IASQ|IIR|r\\d\\d-',
  stackPointer: ['r30'],
  returnValue: ['r28'],
  initMemoryInText: ['parisc', 'parisc64'],
  userMode: null,
  pc: new RegExp(`^IAOQ\\[0\\]: ${SYMBOL}`, 'm'),
  bugLines: [],
};

/** arch/loongarch/kernel/traps.c */
const loongarch: OopsConvention = {
  signs: [
    {
      pattern: /^(?:pc [0-9a-f]{16} ra [0-9a-f]{16} tp |ERA: [0-9a-f]{16} )/m,
      strength: 'registers',
      what: 'registers (ERA)',
    },
    { pattern: releaseOf('loong(?:arch)?64'), strength: 'release', what: 'the release' },
  ],
  variant: () => 'loongarch64',
  bits: () => 64,
  isLittle: () => true,
  registers: (text) => namedRegisters(text, [{ pattern: /\b(pc|ra|tp|sp|[ast]\d) ([0-9a-f]{16})\b/g, name: keep }]),
  lineStarts: 'pc [0-9a-f]{16} |ERA: |ESTAT: ',
  stackPointer: ['sp'],
  returnValue: ['a0'],
  userMode: null,
  pc: new RegExp(`^ERA: [0-9a-f]{16} ${SYMBOL}`, 'm'),
  bugLines: [],
};

/** arch/m68k/kernel/traps.c */
const m68k: OopsConvention = {
  signs: [
    {
      pattern: /^PC: \[<[0-9a-f]{8}>\].*\n(?:.*\n)?SR: [0-9a-f]{4}\b/m,
      strength: 'registers',
      what: 'registers (SR, d0)',
    },
  ],
  variant: () => 'm68k',
  bits: () => 32,
  isLittle: () => false,
  registers: (text) => namedRegisters(text, [{ pattern: /\b([da][0-7]): ([0-9a-f]{8})\b/g, name: keep }]),
  lineStarts: 'PC: \\[<|SR: |d\\d: ',
  stackPointer: ['a7'],
  returnValue: ['d0'],
  userMode: null,
  pc: new RegExp(`^PC: \\[<[0-9a-f]{8}>\\] ${SYMBOL}`, 'm'),
  bugLines: [],
};

export const otherOopses: readonly OopsConvention[] = [mips, arc, parisc, loongarch, m68k];
