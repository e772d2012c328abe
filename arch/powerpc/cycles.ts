/**
 * What the cycle model must know of powerpc. Capstone does not say which registers an instruction reads and writes here; the
 * assembly language does, by position and by letters of the mnemonic (Power ISA, book I, "instruction mnemonics").
 */
import type { CycleTraits, Operand, RegisterAccess } from '../cycles.js';

const STORE = /^(?:st|dcb|icb|tlb|slb|copy|paste)/;
const NO_RESULT = /^(?:b|tw|td|mt(?!vsr|fpr)|isync|sync|lwsync|ptesync|eieio|sc|rfi|hrfi|cr|nop|wait|mbar|trap)/;
const COMPARE = /^(?:cmp(?!b)|fcmp|mcr|xvcmp|vcmp)/;
const UPDATES = /(?:u|ux)$/;
const READS_CARRY = /^(?:adde|addme|addze|subfe|subfme|subfze)/;
const WRITES_CARRY = /^(?:addic|addc|subfic|subfc|subc|subic|sraw|srad|adde|addme|addze|subfe|subfme|subfze)/;
const ACCUMULATES = /^(?:rlwimi|rldimi|insrwi|inslwi|insrdi)/;

function updates(mnemonic: string, operands: readonly Operand[]): readonly string[] {
  if (!/^(?:l|st)/.test(mnemonic) || !UPDATES.test(mnemonic)) return [];
  const memory = operands.find(({ kind }) => kind === 'm' || kind === 'x');
  return memory?.registers ?? operands[1]?.registers ?? [];
}

function access(printed: string, operands: readonly Operand[]): RegisterAccess {
  const mnemonic = printed.replace(/[+-]$/, '');
  const name = mnemonic.replace(/\.$/, '');
  const reads: string[] = [];
  const writes: string[] = [];
  const registers = (from: number) => operands.slice(from).flatMap((operand) => operand.registers);
  if (mnemonic.startsWith('b')) {
    const condition = operands.find(({ kind, registers: [first] }) => kind === 'r' && first?.startsWith('cr'));
    // Targets in CTR and LR are foreseen: a jump does not wait for them. The count that bdnz tests is one.
    if (/^bd/.test(mnemonic)) reads.push('ctr');
    if (/^bd/.test(mnemonic)) writes.push('ctr');
    if (/^b[a-z]*l[ra]?l?$/.test(mnemonic) && !/lr$/.test(mnemonic)) writes.push('lr');
    if (/^b(?:lt|le|eq|ge|gt|ne|so|ns|un|nu|c|t|f)/.test(mnemonic)) reads.push(condition?.registers[0] ?? 'cr0');
  } else if (COMPARE.test(name)) {
    const first = operands[0]?.registers[0] ?? '';
    const named = first.startsWith('cr');
    writes.push(named ? first : 'cr0');
    reads.push(...registers(named ? 1 : 0));
  } else if (/^mt(?:lr|ctr|xer)/.test(name)) {
    reads.push(...registers(0));
    writes.push(name.slice(2));
  } else if (/^mf(?:lr|ctr|xer)/.test(name)) {
    writes.push(...registers(0));
    if (name === 'mfxer') reads.push('xer');
  } else if (/^mf(?:cr|ocrf)/.test(name)) {
    writes.push(...registers(0).slice(0, 1));
    reads.push('cr0', 'cr1', 'cr2', 'cr3', 'cr4', 'cr5', 'cr6', 'cr7');
  } else if (/^cr/.test(name)) {
    reads.push('cr0');
    writes.push('cr0');
  } else if (STORE.test(name) || NO_RESULT.test(name)) {
    reads.push(...registers(0));
    if (/^mt(?:cr|ocrf)/.test(name)) writes.push('cr0', 'cr1', 'cr7');
  } else {
    writes.push(...(operands[0]?.registers ?? []));
    reads.push(...registers(ACCUMULATES.test(name) ? 0 : 1));
  }
  writes.push(...updates(name, operands));
  if (READS_CARRY.test(name)) reads.push('ca');
  if (WRITES_CARRY.test(name)) writes.push('ca');
  if (mnemonic.endsWith('.')) writes.push('cr0');
  if (name.startsWith('isel')) reads.push('cr0');
  return { reads, writes };
}

const powerpc = {
  storage: (register: string) => (/^(?:lt|gt|eq|so|un)$/.test(register) ? 'cr0' : register),
  registerKind: (register: string) =>
    /^cr\d/.test(register) || /^(?:lt|gt|eq|so|un)$/.test(register) ? 'cr' : register.replace(/\d+/, ''),
  mnemonic: (printed: string) => printed.replace(/[+-]$/, ''),
  access,
  updates,
} as const;

export const ppc64leCycles: CycleTraits = {
  ...powerpc,
  table: 'cycles.json',
  capstone: { arch: 'PPC', mode: ['64'] },
  codeUnit: 4,
  llvm: { triple: 'powerpc64le', cpu: 'pwr9' },
};

export const ppc64Cycles: CycleTraits = {
  ...powerpc,
  table: 'cycles.json',
  capstone: { arch: 'PPC', mode: ['64', 'BIG_ENDIAN'] },
  codeUnit: 4,
  llvm: { triple: 'powerpc64', cpu: 'pwr9' },
};

export const ppcCycles: CycleTraits = {
  ...powerpc,
  table: 'cycles.json',
  capstone: { arch: 'PPC', mode: ['32', 'BIG_ENDIAN'] },
  codeUnit: 4,
  llvm: { triple: 'powerpc', cpu: 'pwr9' },
};
