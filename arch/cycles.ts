/** What the cycle model must know of an instruction set; costs themselves are data, in `cycles.json` files. */

/** One operand as the disassembler prints it. */
export interface Operand {
  /** `m`: memory with at most one register; `x`: memory with an index register; `l`: register list; `s`: shift or extension. */
  readonly kind: 'r' | 'i' | 'm' | 'x' | 'l' | 's';
  readonly text: string;
  /** Names of the registers in it, as printed. */
  readonly registers: readonly string[];
}

/** Registers by name, in the disassembler's spelling. */
export interface RegisterAccess {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

/** Of a load or store that moves its address on: `[x0, #8]!` before the access, `[x0], #8` after it. */
export function indexedRegisters(operands: readonly Operand[]): readonly string[] {
  const at = operands.findIndex(({ kind }) => kind === 'm' || kind === 'x');
  const memory = operands[at];
  if (memory === undefined) return [];
  return memory.text.endsWith('!') || at < operands.length - 1 ? memory.registers.slice(0, 1) : [];
}

/** What of a register is a division's quotient: its lowest bits. */
export interface Quotient {
  readonly bits: number;
  readonly isSigned: boolean;
}

export interface CycleTraits {
  /** File beside the driver with the costs of one core. */
  readonly table: string;
  /** How Capstone is opened: its constants without the prefixes `ARCH_` and `MODE_`. */
  readonly capstone: {
    readonly arch: string;
    readonly mode: readonly string[];
    readonly thumbMode?: readonly string[];
  };
  /** Bytes of the units that its instructions are made of, as its kernels print code; those of Thumb are 2. */
  readonly codeUnit: 1 | 2 | 4;
  /** How llvm-mca is told which core to judge by; null where LLVM has no scheduling model. */
  readonly llvm: { readonly triple: string; readonly cpu: string; readonly features?: string } | null;
  /** A register's storage: names that alias give the same; null for what is no dependency (zero registers, the pc). */
  storage(register: string): string | null;
  /** Mnemonic without what does not change the cost (condition codes, branch hints); the printed one when absent. */
  mnemonic?(printed: string): string;
  /** Word of the class key for a register operand: `r64`, `x`; the name without digits when absent. */
  registerKind?(register: string): string;
  /** Whether a register written under this name keeps the rest of its storage, which is then read too. */
  keepsRest?(register: string): boolean;
  /** Whether it is a call, a return or a jump through a register, whose target a predictor may give later than that of a plain jump. */
  turnsLate?(mnemonic: string, operands: string): boolean;
  /** Integer divisions, of which a core may make those with short quotients sooner; absent where no table has such a core. */
  readonly division?: {
    /** In which they leave the quotient, as the engine names it. */
    readonly register: string;
    /** Null of any other instruction. @param shape Words of the class key for its operands. */
    quotientOf(mnemonic: string, shape: string): Quotient | null;
  };
  /** Mnemonics of instructions that work through memory of any length; absent where there is none. */
  readonly repeats?: RegExp;
  /** Registers that an access to memory moves on, of those that it writes; none when absent. */
  updates?(mnemonic: string, operands: readonly Operand[]): readonly string[];
  /** Registers read and written. Where Capstone knows them itself, its answer comes as `known` and may be amended. */
  access?(mnemonic: string, operands: readonly Operand[], known: RegisterAccess | null): RegisterAccess;
}
