/** Architectures whose reports are recognised, though the project neither runs them nor reads their dumps. */
import { namedRegisters, type OopsConvention, releaseOf, SYMBOL, VALUE } from './oops.js';

const keep = (name: string): string => name;

const PARISC_REGISTER = new RegExp(`\\b(r\\d\\d)-?\\d{0,2} +(${VALUE})`, 'g');

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

export const otherOopses: readonly OopsConvention[] = [arc, parisc, loongarch, m68k];
