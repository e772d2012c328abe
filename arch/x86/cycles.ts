/** What the cycle model must know of x86: which names are parts of one register. */
import type { CycleTraits, Operand, Quotient, RegisterAccess } from '../cycles.js';

const LEGACY: Readonly<Record<string, string>> = {
  ax: 'a',
  bx: 'b',
  cx: 'c',
  dx: 'd',
  si: 'si',
  di: 'di',
  bp: 'bp',
  sp: 'sp',
};

function storage(register: string): string | null {
  if (
    register === 'rip' ||
    register === 'eip' ||
    register === 'eiz' ||
    register === 'riz' ||
    /^[c-gs]s$/.test(register)
  )
    return null;
  if (register === 'rflags' || register === 'eflags') return 'flags';
  const numbered = /^r(\d+)[dwb]?$/.exec(register);
  if (numbered) return `r${numbered[1]}`;
  const [, low] = /^([abcd])[lh]$/.exec(register) ?? /^([sd]i|[bs]p)l$/.exec(register) ?? [];
  if (low !== undefined) return low;
  return LEGACY[register.replace(/^[re]/, '')] ?? register.replace(/^[yz]mm/, 'xmm');
}

function width(register: string): string {
  if (/^r\d+$/.test(register) || /^r[a-ds][xipl]/.test(register) || /^rbp$/.test(register)) return 'r64';
  if (/^r\d+d$/.test(register) || /^e[a-ds]/.test(register) || register === 'ebp') return 'r32';
  if (/^r\d+w$/.test(register) || LEGACY[register] !== undefined) return 'r16';
  if (/^r\d+b$/.test(register) || /^([abcd][lh]|[sd]il|[bs]pl)$/.test(register)) return 'r8';
  return register.replace(/\d+/g, '');
}

const isNoStackPointer = (register: string): boolean => !/^[re]sp$/.test(register);

/** Instructions that push or pop, of which the stack engine moves the stack pointer on; popcnt is none of them. */
export const movesStackPointer = (mnemonic: string): boolean => /^(?:push|pop$|popf|popa)/.test(mnemonic);

/** By the word of the class key for the divisor. */
const QUOTIENT_BITS: readonly (readonly [word: RegExp, bits: number])[] = [
  [/^(?:r64|[mx]qword)$/, 64],
  [/^(?:r32|[mx]dword)$/, 32],
  [/^(?:r16|[mx]word)$/, 16],
  [/^(?:r8|[mx]byte)$/, 8],
];

function quotientOf(mnemonic: string, shape: string): Quotient | null {
  if (!/^i?div$/.test(mnemonic)) return null;
  const [, bits] = QUOTIENT_BITS.find(([word]) => word.test(shape)) ?? [];
  return bits === undefined ? null : { bits, isSigned: mnemonic === 'idiv' };
}

const x86 = {
  storage,
  registerKind: width,
  repeats: /^rep/,
  turnsLate: (mnemonic: string, operands: string) =>
    /^(?:call|ret)/.test(mnemonic) || (mnemonic === 'jmp' && !/^0x[0-9a-f]+$/.test(operands)),
  access: (mnemonic: string, operands: readonly Operand[], known: RegisterAccess | null): RegisterAccess => {
    // Capstone tells it for x86, but not that a conditional move keeps its destination.
    const { reads, writes } = known!;
    const kept = mnemonic.startsWith('cmov') ? (operands[0]?.registers ?? []) : [];
    // The stack pointer tracker moves it on before they are executed (Intel Optimization Reference Manual, 2.4.2.5; AMD's
    // stack engine does the same). LLVM lets each pop wait for the load of the one before it.
    if (/^(?:call|ret)/.test(mnemonic)) return { reads: reads.filter(isNoStackPointer), writes: [] };
    if (movesStackPointer(mnemonic)) {
      // What is popped into the stack pointer itself is a result as any other.
      const [into] = mnemonic === 'pop' ? operands : [];
      const isPopped = (register: string) => into?.kind === 'r' && into.registers.includes(register);
      return {
        reads: reads.filter(isNoStackPointer),
        writes: writes.filter((register) => isNoStackPointer(register) || isPopped(register)),
      };
    }
    return { reads: [...reads, ...kept], writes };
  },
  keepsRest: (register: string) => {
    const kind = width(register);
    return kind === 'r8' || kind === 'r16';
  },
} as const;

export const x86_64Cycles: CycleTraits = {
  ...x86,
  table: 'cycles-x86_64.json',
  division: { register: 'rax', quotientOf },
  capstone: { arch: 'X86', mode: ['64'] },
  codeUnit: 1,
  llvm: { triple: 'x86_64', cpu: 'skylake' },
};

export const i386Cycles: CycleTraits = {
  ...x86,
  table: 'cycles-i386.json',
  division: { register: 'eax', quotientOf },
  capstone: { arch: 'X86', mode: ['32'] },
  codeUnit: 1,
  llvm: { triple: 'i386', cpu: 'skylake' },
};
