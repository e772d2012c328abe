/** What the cycle model must know of RISC-V's registers; Capstone does not tell who reads and writes what. */
import type { CycleTraits, Operand, RegisterAccess } from '../cycles.js';

const ALIASES: Readonly<Record<string, string | null>> = { zero: null, fp: 's0' };

/** Stores, branches, jumps without a link, and what has no register: their first operand is read. */
const WRITES_NONE =
  /^(?:s[bhwd]|s[wd]sp|fs[wd]|fs[wd]sp|b(?:eq|ne|lt|ge|gt|le)u?z?|jr?|tail|ret|fence.*|sfence.*|ebreak|ecall|nop|csr[wsc]i?|unimp|wfi)$/;
/** Compressed forms whose destination is an operand, too. */
const ADDS_TO_FIRST = /^(?:addi?w?|addi16sp|subw?|s[lr]li|srai|andi?|x?or)$/;

/** The mnemonic without its encoding (`c.`) and ordering (`.aq`). */
const plain = (mnemonic: string): string => mnemonic.replace(/^c\./, '').replace(/\.(?:aq|rl|aqrl)$/, '');

function access(mnemonic: string, operands: readonly Operand[]): RegisterAccess {
  const name = plain(mnemonic);
  const registers = operands.flatMap((operand) => operand.registers);
  if (WRITES_NONE.test(name)) return { reads: registers, writes: [] };
  if (name === 'jal') return { reads: [], writes: operands.length > 1 ? registers.slice(0, 1) : ['ra'] };
  if (name === 'jalr' && operands.length === 1) return { reads: registers, writes: ['ra'] };
  const [first, ...rest] = operands;
  const others = rest.flatMap((operand) => operand.registers);
  const isAccumulated = mnemonic.startsWith('c.') && ADDS_TO_FIRST.test(name) && operands.length === 2;
  return { reads: isAccumulated ? registers : others, writes: first?.registers ?? [] };
}

export const riscv64Cycles: CycleTraits = {
  table: 'cycles.json',
  capstone: { arch: 'RISCV', mode: ['RISCV64', 'RISCVC'] },
  codeUnit: 2,
  llvm: { triple: 'riscv64', cpu: 'sifive-u74' },
  storage: (register) => (register in ALIASES ? (ALIASES[register] ?? null) : register),
  access,
  registerKind: (register) => (/^f[ast]?\d/.test(register) ? 'f' : 'x'),
};
