/**
 * What the cycle model must know of SPARC. Capstone does not say which registers an instruction reads and writes here; in
 * its assembly language the destination comes last (The SPARC Architecture Manual, version 8, appendix A).
 */
import type { CycleTraits, Operand, RegisterAccess } from '../cycles.js';

const NO_RESULT =
  /^(?:st|b|fb|t(?:a|n|e|ne|g|le|ge|l|gu|leu|cc|cs|pos|neg|vc|vs)$|flush|membar|nop|cmp|prefetch|wr|call|unimp|illtrap)/;
const SETS_FLAGS =
  /^(?:add|addx|addc|sub|subx|subc|and|andn|or|orn|xor|xnor|smul|umul|sdiv|udiv|mulx|taddcc|tsubcc)cc$|^cmp$|^tst$/;
const CONDITIONAL =
  /^(?:b(?!a\b|a,)|fb|mov(?:n?e|n?z|g|ge|l|le|gu|leu|cc|cs|pos|neg|vc|vs)$|t(?:n?e|g|ge|l|le|gu|leu|cc|cs)$)/;
const USES_CARRY = /^(?:addx|addc|subx|subc)/;
const ALIASES: Readonly<Record<string, string | null>> = {
  ...{ '%g0': null, '%sp': '%o6', '%fp': '%i6', '%icc': 'cc', '%xcc': 'cc' },
};

function access(mnemonic: string, operands: readonly Operand[]): RegisterAccess {
  const all = operands.flatMap(({ registers }) => registers);
  const last = operands.at(-1);
  const writes: string[] = [];
  let reads = all;
  if (!NO_RESULT.test(mnemonic) && last?.kind === 'r') {
    writes.push(...last.registers);
    reads = operands.slice(0, -1).flatMap(({ registers }) => registers);
  }
  if (/^(?:cas|swap|ldstub)/.test(mnemonic)) reads = all;
  if (SETS_FLAGS.test(mnemonic)) writes.push('cc');
  return { reads: CONDITIONAL.test(mnemonic) || USES_CARRY.test(mnemonic) ? [...reads, 'cc'] : reads, writes };
}

const sparc = {
  llvm: null,
  storage: (register: string) => {
    const alias = ALIASES[register];
    return alias === undefined ? register : alias;
  },
  registerKind: (register: string) => (/^%f\d/.test(register) ? 'f' : 'r'),
  mnemonic: (printed: string) => printed.replace(/,.*/, ''),
  access,
} as const;

export const sparcCycles: CycleTraits = {
  ...sparc,
  table: 'cycles-sparc.json',
  capstone: { arch: 'SPARC', mode: ['BIG_ENDIAN'] },
  codeUnit: 4,
};

export const sparc64Cycles: CycleTraits = {
  ...sparc,
  table: 'cycles-sparc64.json',
  capstone: { arch: 'SPARC', mode: ['BIG_ENDIAN', 'V9'] },
  codeUnit: 4,
};
