/**
 * What an architecture's oops looks like in a log: the text that its die(), show_regs() and BUG() print. Data and small
 * pure functions; messages that all architectures share are `src/report/`'s affair.
 */

/** How sure a sign is. Registers are the architecture itself; a module's name is no more than a hint. */
export type SignStrength = 'registers' | 'oops' | 'functions' | 'release' | 'modules';

/** A text that only this architecture's kernels print. */
export interface ArchSign {
  readonly pattern: RegExp;
  readonly strength: SignStrength;
  /** For a person: `its register dump (RIP)`. */
  readonly what: string;
}

export interface OopsConvention {
  readonly signs: readonly ArchSign[];
  /** Variant's name, told by the same text; a name of its own where the project has no such variant. Null where the text leaves it open. */
  variant(text: string): string | null;
  /** Where a text leaves the variant open and the likeliest is taken: a sentence that says so; null where it tells. */
  assumption?(text: string): string | null;
  /** Bits of a register. */
  bits(variant: string): 32 | 64;
  /** Registers lie in memory with the lowest byte first (little) or last in memory; by variant. */
  isLittle(variant: string): boolean;
  /**
   * Kernel registers in the text of an oops, under the architecture's own names in lower case. `text` ends before the registers of user mode; its
   * lines have lost the log's prefix. A register that is there twice is taken the first time.
   */
  registers(text: string): ReadonlyMap<string, bigint>;
  /** How lines of its oops begin, as alternatives of a pattern: none of them is the rest of a line that a mailer broke. */
  readonly lineStarts: string;
  /** Its names in `registers`, by variant: the first that is there. */
  readonly stackPointer: readonly string[];
  /** Its names in `registers` where a function's result is: the first that is there. At BUG() it is what printk() returned. */
  readonly returnValue: readonly string[];
  /** Variants whose kernels have memory between _stext and _etext that is freed after boot, as reports of them show. */
  readonly initMemoryInText?: readonly string[];
  /** Where the registers of user mode begin, which an oops prints after the call trace. */
  readonly userMode: RegExp | null;
  /** Its Code: line where the CPU stopped at BUG() or WARN(), marks and all: some kernels print that behind the registers of user mode. */
  readonly bugCode?: RegExp;
  /** The function in which the CPU stopped: group 1 the symbol, 2 its offset, 3 its size, both hexadecimal or missing. */
  readonly pc: RegExp;
  /** Lines that stand for `kernel BUG at`, whole, where the architecture prints something else or more. */
  readonly bugLines: readonly RegExp[];
}

/** A release that ends in one of these names of a machine: `5.10.0-8-amd64`. UTS_RELEASE has 64 characters. */
export const releaseOf = (machines: string): RegExp =>
  new RegExp(`\\b\\d{1,3}\\.\\d{1,3}\\.\\d{1,5}\\S{0,64}[.-](?:${machines})\\b`);

/** A value of 32 bits. What ends where the text does may be cut off. */
export const VALUE32 = '[0-9a-f]{8}(?=[^0-9a-f])';
/** A register's value, of either width. */
export const VALUE = `(?:[0-9a-f]{16}\\b|${VALUE32})`;

/** Reads `NAME: value` pairs: group 1 of each pattern is the name, group 2 the value in hexadecimal. */
export function namedRegisters(
  text: string,
  patterns: readonly { readonly pattern: RegExp; readonly name: (printed: string) => string }[],
): Map<string, bigint> {
  const registers = new Map<string, bigint>();
  for (const { pattern, name } of patterns) {
    for (const [, printed = '', value] of text.matchAll(pattern)) {
      const known = name(printed);
      if (!registers.has(known)) registers.set(known, BigInt(`0x${value}`));
    }
  }
  return registers;
}

/**
 * A symbol as kallsyms prints it, `name+0x10/0x20` with a dot before it on powerpc's ELFv1; decode_stacktrace.sh leaves the
 * name alone.
 */
export const SYMBOL = '\\.?([A-Za-z_][\\w.$]{0,200})(?:\\+0x([0-9a-f]{1,8}) ?/0x([0-9a-f]{1,8}))?';
