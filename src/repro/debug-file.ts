/**
 * A vmlinux or a module with debug information, or its .debug file: which kernel it is of, and where its functions lie.
 */
import { basename } from 'node:path';
import type { Variant } from '../../arch/driver.js';
import { findVariant, variants } from '../../arch/index.js';
import { type CoreNote, parseNotes } from '../dump/elf-core.js';
import { badInput } from '../errors.js';
import { readWhole } from '../image/files.js';
import { latin1 } from '../kernel/bytes.js';
import {
  type ElfFile,
  type ElfSection,
  ET_REL,
  isElf,
  parseElf,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHT_NOBITS,
  sectionBytes,
  symbolsFromElf,
} from '../kernel/elf.js';
import type { SymbolTable } from '../kernel/kernel.js';
import { countBefore } from '../kernel/sorted.js';
import { findBanner } from '../kernel/version.js';
import { Words } from '../kernel/words.js';
import { isPacked } from './read-log.js';

/** A place that is asked about: `symbol+offset`; `isCall`: it lies behind a call. */
export interface Place {
  readonly symbol: string;
  readonly offset: number;
  /** Bytes of the function, as a trace tells them; null where it does not. */
  readonly size: number | null;
  readonly isCall: boolean;
}

/** What of a kernel a report or a dump tells. */
export interface KernelTold {
  readonly variant: string | null;
  readonly release: string | null;
  /** Of its image, in hexadecimal. */
  readonly buildId?: string | null;
}

/** Why a place has no address. */
export type NoAddress = 'no such function' | 'several functions' | 'outside of it';

interface CodeSymbol {
  readonly start: bigint;
  /** Bytes of its code; 0 where the file does not tell it. */
  readonly size: bigint;
  /** Bytes up to the next symbol, the padding between with it. */
  readonly extent: bigint;
}

const LARGEST_DEBUG_FILE = 2 ** 31 - 1;
const SHT_NOTE = 7;
const NT_GNU_BUILD_ID = 3;
/** Functions are aligned to so many bytes at the most (FUNCTION_ALIGNMENT_64B). */
const LARGEST_PADDING = 64n;

export class DebugFile {
  /** Name of the module that it is of; null for the kernel itself. */
  readonly module: string | null;
  /** Of the image that it belongs to, in hexadecimal; null where it has none. */
  readonly buildId: string | null;
  readonly #symbols: SymbolTable;
  readonly #elf: ElfFile;
  readonly #release: string | null;
  readonly #variant: Variant | null;
  /** Those that lie in memory. */
  readonly #sections: readonly ElfSection[];
  #starts: BigUint64Array | null = null;

  /** @throws UsercopyError `bad-input` for what is neither a linked ELF file with symbols nor a module with them. */
  constructor(readonly path: string) {
    const bytes = readWhole(path, LARGEST_DEBUG_FILE);
    if (!isElf(bytes) && isPacked(bytes)) throw badInput(path, 'a vmlinux or .debug file', 'a packed one: unpack it');
    const read = parseElf(bytes, path, false);
    const elf = read.type === ET_REL ? laidOut(read) : read;
    this.module = read.type === ET_REL ? moduleOf(read, path) : null;
    this.buildId = buildIdOf(read);
    const symbols = symbolsFromElf(elf, path);
    if (symbols === null) throw badInput(path, 'a symbol table (.symtab)', 'none: it is stripped');
    this.#elf = elf;
    this.#variant =
      variants.find(
        ({ elfMachine, bits, endian }) => elfMachine === elf.machine && bits === elf.bits && endian === elf.endian,
      ) ?? null;
    this.#sections = elf.sections.filter(({ flags }) => (flags & SHF_ALLOC) !== 0);
    this.#symbols = symbols;
    const constants = this.module === null ? sectionBytes(elf, '.rodata') : undefined;
    const banner = constants === undefined ? null : (findBanner(constants)?.release ?? null);
    this.#release = this.module === null ? banner : (infoOf(elf, 'vermagic')?.split(' ')[0] ?? null);
  }

  /** Whether it has lines at all; some files name another one that has them. */
  get hasLines(): boolean {
    return this.#elf.sections.some(({ name }) => /^\.z?debug_line$/.test(name));
  }

  /** The section that an address of a module's lies in, and how far; null for the kernel, whose addresses are its own. */
  inSection(address: bigint): { readonly section: string; readonly offset: bigint } | null {
    if (this.module === null) return null;
    const found = this.#sections.find(
      (section) => address >= section.address && address < section.address + BigInt(section.size),
    );
    return found === undefined ? null : { section: found.name, offset: address - found.address };
  }

  /** @throws UsercopyError `bad-input` when the file is of another architecture, release or build. */
  requireKernel({ variant, release, buildId = null }: KernelTold): void {
    if (this.module === null && this.buildId !== null && buildId !== null && this.buildId !== buildId) {
      throw badInput(this.path, `debug information of the kernel with build id ${buildId}`, `that of ${this.buildId}`);
    }
    const { bits, endian, machine } = this.#elf;
    const told = findVariant(variant);
    if (told !== null && told !== this.#variant) {
      const what = this.#variant?.name ?? `ELF machine ${machine}, ${bits} bit, ${endian} endian`;
      throw badInput(this.path, `debug information of ${told.name}, as the kernel is`, what);
    }
    const own = this.#release;
    // The path in a BUG line has the numbers alone.
    if (own === null || release === null || own === release || own.startsWith(`${release}-`)) return;
    throw badInput(this.path, `debug information of kernel ${release}`, `that of ${own}`);
  }

  /**
   * Whether functions of a name can be one of which a trace tells `told` bytes: kallsyms counts up to the next symbol. Null
   * where there is none of that name.
   */
  hasSize(symbol: string, told: number): boolean | null {
    const named = this.#named(symbol);
    return named.length === 0 ? null : named.some((one) => isTold(one, told));
  }

  /** Bytes of the functions of a name. */
  sizes(symbol: string): readonly bigint[] {
    return this.#named(symbol).map(({ size, extent }) => (size === 0n ? extent : size));
  }

  /**
   * The address to ask of. That of a call is within the call; of one that does not return, behind which another function
   * begins, it is in the function before it.
   */
  addressOf({ symbol, offset, size, isCall }: Place): bigint | NoAddress {
    const named = this.#named(symbol);
    const fitting = size === null ? named : named.filter((one) => isTold(one, size));
    const [only, ...others] = fitting;
    if (only === undefined) return 'no such function';
    if (others.some(({ start }) => start !== only.start)) return 'several functions';
    const at = BigInt(offset);
    const end = size === null ? (only.extent > only.size ? only.extent : only.size) : BigInt(size);
    if (isCall ? at > end : at >= end) return 'outside of it';
    return only.start + at - (isCall ? 1n : 0n);
  }

  #named(name: string): CodeSymbol[] {
    const found = this.#symbols.all(name).flatMap(({ address, size }): CodeSymbol[] => {
      const start = this.#codeAt(address);
      return start === null ? [] : [{ start, size, extent: this.#extent(start) }];
    });
    return found.filter(({ start }, index) => found.findIndex((other) => other.start === start) === index);
  }

  /** Where the code of a symbol begins; null for one of data. */
  #codeAt(address: bigint): bigint | null {
    const section = this.#sections.find(
      (candidate) => address >= candidate.address && address < candidate.address + BigInt(candidate.size),
    );
    if (section === undefined) return null;
    if ((section.flags & SHF_EXECINSTR) !== 0) return this.#variant?.marksCodeSymbols ? address & ~1n : address;
    // The ABI of powerpc up to ELFv1: a function's symbol names a descriptor, whose first word is the address.
    if (section.name !== '.opd' || section.type === SHT_NOBITS) return null;
    const { bytes, bits, endian } = this.#elf;
    const at = section.offset + Number(address - section.address);
    return at + 8 > bytes.length ? null : new Words(bytes, { bits, endian }).word(at);
  }

  #extent(start: bigint): bigint {
    this.#starts ??= BigUint64Array.from(
      [...this.#symbols].flatMap(({ address }) => this.#codeAt(address) ?? []),
    ).sort();
    const next = this.#starts[countBefore(this.#starts, (other) => other <= start)];
    const section = this.#sections.find(({ address, size }) => start >= address && start < address + BigInt(size));
    const end = section === undefined ? null : section.address + BigInt(section.size);
    if (this.module !== null && end !== null && (next === undefined || next > end)) return end - start;
    return next === undefined ? 0n : next - start;
  }
}

/** A section of what is not linked has no address yet: here one lies behind the other, as a loader would have it. */
function laidOut(elf: ElfFile): ElfFile {
  const ALIGNMENT = 4096n;
  let next = ALIGNMENT;
  const sections = elf.sections.map((section) => {
    if ((section.flags & SHF_ALLOC) === 0) return section;
    const address = next;
    next += (BigInt(section.size) / ALIGNMENT + 2n) * ALIGNMENT;
    return { ...section, address };
  });
  return { ...elf, sections };
}

/** A value of .modinfo, which has `key=value` strings; undefined where the file has left it in another one. */
function infoOf(elf: ElfFile, key: string): string | undefined {
  const info = latin1(sectionBytes(elf, '.modinfo') ?? new Uint8Array()).split('\0');
  return info.find((line) => line.startsWith(`${key}=`))?.slice(key.length + 1);
}

/** @throws UsercopyError `bad-input` for an object that is no module. */
function moduleOf(elf: ElfFile, path: string): string {
  if (!elf.sections.some(({ name }) => name === '.modinfo' || name === '.gnu.linkonce.this_module')) {
    const wanted = "a vmlinux or its .debug file, or a module's (.ko, .ko.debug)";
    throw badInput(path, wanted, 'another file that is not linked');
  }
  const byFile = basename(path)
    .replace(/(?:\.ko)?(?:\.debug)?$/, '')
    .replaceAll('-', '_');
  return infoOf(elf, 'name') ?? byFile;
}

function buildIdOf(elf: ElfFile): string | null {
  const found: CoreNote[] = [];
  for (const { type, offset, size } of elf.sections)
    if (type === SHT_NOTE) parseNotes(elf.bytes.subarray(offset, offset + size), elf.endian === 'little', found, []);
  const note = found.find(({ owner, type }) => owner === 'GNU' && type === NT_GNU_BUILD_ID);
  return note === undefined ? null : Buffer.from(note.data).toString('hex');
}

/** A size of 0 is not told. */
function isTold({ size, extent }: CodeSymbol, told: number): boolean {
  const padding = BigInt(told) - size;
  return size === 0n || (padding >= 0n && (padding < LARGEST_PADDING || BigInt(told) <= extent));
}
