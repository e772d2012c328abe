/** A kernel image, read once and never changed. */

export type Bits = 32 | 64;
export type Endian = 'little' | 'big';

export interface Segment {
  /** Virtual address of the first byte. */
  readonly address: bigint;
  /** Physical address, where the image says one; else null. */
  readonly physical: bigint | null;
  /** File contents, relocations applied; `size` may be larger (bss). */
  readonly bytes: Uint8Array;
  /** Bytes in memory. */
  readonly size: bigint;
}

export interface KernelSymbol {
  readonly name: string;
  readonly address: bigint;
  /** Letter as `nm` prints it, or `?`. */
  readonly type: string;
  /** Bytes, where the symbol table says (ELF) or up to the next symbol (kallsyms). */
  readonly size: bigint;
}

export interface SymbolTable {
  readonly count: number;
  /** Where the names came from. */
  readonly source: 'symtab' | 'kallsyms' | 'none';
  /** Address of a symbol, or undefined. The first of several of one name. */
  address(name: string): bigint | undefined;
  get(name: string): KernelSymbol | undefined;
  /** All symbols of one name (static functions may share one). */
  all(name: string): readonly KernelSymbol[];
  /** The symbol that covers an address: the last one at or below it, within its size. */
  find(address: bigint): { readonly symbol: KernelSymbol; readonly offset: bigint } | undefined;
  [Symbol.iterator](): Iterator<KernelSymbol>;
}

export interface Field {
  /** Dotted path that was asked for. */
  readonly path: string;
  /** Bytes from the start of the outer structure; for a bitfield the byte that holds its first bit. */
  readonly offset: number;
  /** Bits from `offset` and width in bits, for a bitfield; else null. */
  readonly bits: { readonly offset: number; readonly size: number } | null;
  /** Bytes. */
  readonly size: number;
  /** Type as C would write it: `unsigned long`, `struct page *`. */
  readonly type: string;
}

export interface StructType {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly members: readonly Field[];
  /** Byte offset of a member; anonymous structs and unions are looked through, `a.b` goes into named ones. A missing member is an error. */
  offset(path: string): number;
  has(path: string): boolean;
  field(path: string): Field | undefined;
}

export interface TypeTable {
  readonly source: 'btf' | 'table';
  /** What a person should know of types that were not made of this very kernel. */
  readonly note?: string | undefined;
  /** A missing struct is an error that names it. */
  struct(name: string): StructType;
  hasStruct(name: string): boolean;
  /** Value of an enumerator of any enum; undefined when there is none. */
  enumerator(name: string): bigint | undefined;
}

export interface KernelVersion {
  /** The whole `linux_banner` line, or null where none was found (a guest of our own). */
  readonly banner: string | null;
  /** `6.1.0-50-cloud-amd64` */
  readonly release: string;
  readonly major: number;
  readonly minor: number;
  /** Sublevel as the source has it: Debian's release says 6.1.0, its banner also `6.1.176-1`; this is 176. */
  readonly patch: number;
}

export interface KernelConfig {
  /** `'y'`, `'m'`, a number or string as the file writes it; undefined when not set or not known. `CONFIG_` is optional. */
  get(name: string): string | undefined;
  /** True for `y` and `m`. */
  enabled(name: string): boolean;
  /** The whole file; absent where only single settings are known. */
  readonly text?: string;
}

/** What a kernel's contents tell of its check. */
export interface CheckTraits {
  /** Texts of the check that the image holds. */
  readonly texts: readonly string[];
  /** Functions that the check calls, as far as its code could be read. */
  readonly calls: readonly string[];
  /** Whether there are no others: what is not in the list is not called. Absent in dumps of earlier versions: not known. */
  readonly callsAreAll?: boolean | undefined;
}

export interface Kernel {
  /** Name of the architecture variant: `x86_64`. */
  readonly variant: string;
  readonly bits: Bits;
  readonly endian: Endian;
  readonly segments: readonly Segment[];
  readonly symbols: SymbolTable;
  /** null where neither the image nor a side file has types. */
  readonly types: TypeTable | null;
  /** Why it has no types, for people, where types were looked for beyond the image. */
  readonly typesAbsence?: string | undefined;
  readonly version: KernelVersion;
  /** null where the image has no IKCONFIG and no file was given. */
  readonly config: KernelConfig | null;
  /** What was found in its contents, where they are not at hand themselves (a shrunk dump). */
  readonly traits?: CheckTraits | undefined;
  /** Reads bytes of the image at a virtual address; undefined when the image does not hold them all. bss reads as zero. */
  read(address: bigint, length: number): Uint8Array | undefined;
}
