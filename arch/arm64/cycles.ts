/** What the cycle model must know of AArch64's registers. */
import { type CycleTraits, indexedRegisters, type Operand, type RegisterAccess } from '../cycles.js';

const ALIASES: Readonly<Record<string, string | null>> = {
  ...{ fp: 'x29', lr: 'x30', wsp: 'sp', xzr: null, wzr: null, ip0: 'x16', ip1: 'x17' },
};

function storage(register: string): string | null {
  const alias = ALIASES[register];
  if (alias !== undefined) return alias;
  const [, kind, number] = /^([wxbhsdqv])(\d+)/.exec(register) ?? [];
  if (kind === undefined) return register;
  return kind === 'w' || kind === 'x' ? `x${number}` : `v${number}`;
}

/** Capstone leaves out operands of aliases that compare. */
function access(mnemonic: string, operands: readonly Operand[], known: RegisterAccess | null): RegisterAccess {
  // Capstone tells the others for arm64.
  if (!/^(?:cmp|cmn|tst)$/.test(mnemonic)) return known!;
  return { reads: operands.flatMap(({ registers }) => registers), writes: ['nzcv'] };
}

export const arm64Cycles: CycleTraits = {
  table: 'cycles.json',
  capstone: { arch: 'ARM64', mode: [] },
  codeUnit: 4,
  llvm: { triple: 'aarch64', cpu: 'cortex-a53', features: '+v8.5a,+lse' },
  storage,
  access,
  updates: (_, operands) => indexedRegisters(operands),
  registerKind: (register) =>
    /^(?:fp|lr|sp)$/.test(register) ? 'x' : register.replace(/\d+(?=\.|$)/, '').replace(/\[.*/, ''),
  mnemonic: (printed) => (printed.startsWith('b.') ? 'b.cond' : printed),
};
