/** A linked vmlinux → `Kernel`: relocated, with symbols, types, version and config. Runs in browsers, too. */
import type { ArchDriver, Variant } from '../../arch/driver.js';
import { badInput } from '../errors.js';
import { findBtf, parseBtf } from '../kernel/btf.js';
import { concatBytes } from '../kernel/bytes.js';
import { type ElfFile, parseElf, sectionBytes, symbolsFromElf } from '../kernel/elf.js';
import { findKallsyms } from '../kernel/kallsyms.js';
import { readKallsyms } from '../kernel/kallsyms-decode.js';
import type { Kernel, KernelConfig, Segment, SymbolTable, TypeTable } from '../kernel/kernel.js';
import { applyRela } from '../kernel/relocate.js';
import { noSymbols } from '../kernel/symbols.js';
import { findBanner, NO_VERSION } from '../kernel/version.js';

/** The configuration that a segment holds, unpacked; null where there is none. */
export type ConfigFinder = (bytes: Uint8Array) => Promise<KernelConfig | null>;

const SHT_RELA = 4;
const SHT_DYNSYM = 11;

/**
 * The kernel in a linked vmlinux. `where` is what errors call it.
 * @throws UsercopyError `bad-input` for another ELF file, or of an architecture that is none of `drivers`.
 */
export async function kernelFromElf(
  bytes: Uint8Array,
  where: string,
  drivers: readonly ArchDriver[],
  findConfig: ConfigFinder,
  types?: TypeTable,
  config?: KernelConfig,
): Promise<Kernel> {
  const elf = parseElf(bytes, where);
  const variant = variantOf(elf, where, drivers);
  if (elf.segments.length === 0)
    throw badInput(where, 'an ELF file with loadable segments (a linked vmlinux)', 'one without (an object file?)');
  const segments = relocated(elf, variant);
  const btf = sectionBytes(elf, '.BTF');
  return kernelOf(
    variant,
    segments,
    symbolsFromElf(elf, where) ?? kallsymsIn(segments, elf) ?? noSymbols(),
    types ?? (btf === undefined ? typesIn(segments, variant) : parseBtf(btf, '.BTF', elf.endian)),
    findConfig,
    config,
  );
}

/** What an image's segments tell beside its symbols and types. */
export async function kernelOf(
  variant: Variant,
  segments: readonly Segment[],
  symbols: SymbolTable,
  types: TypeTable | null,
  findConfig: ConfigFinder,
  config?: KernelConfig,
): Promise<Kernel> {
  const version = first(segments, (segment) => findBanner(segment.bytes)) ?? NO_VERSION;
  let found: KernelConfig | null = config ?? null;
  for (const segment of config === undefined ? segments : []) found ??= await findConfig(segment.bytes);
  return {
    variant: variant.name,
    bits: variant.bits,
    endian: variant.endian,
    segments,
    symbols,
    types,
    version,
    config: found,
    read: (address, length) => readSegments(segments, address, length),
  };
}

/** Bytes of an image at an address; bss reads as zero. A view of the image where one segment's contents hold them all. */
export function readSegments(segments: readonly Segment[], address: bigint, length: number): Uint8Array | undefined {
  const start = segmentAt(segments, address);
  if (start === undefined) return undefined;
  const offset = Number(address - start.address);
  if (offset + length <= start.bytes.length) return start.bytes.subarray(offset, offset + length);
  const result: Uint8Array[] = [];
  let left = length;
  for (let at = address; left > 0; ) {
    const segment = segmentAt(segments, at);
    if (segment === undefined) return undefined;
    const from = Number(at - segment.address);
    const inFile = from < segment.bytes.length;
    const take = Math.min(left, inFile ? segment.bytes.length - from : Number(segment.size) - from);
    result.push(inFile ? segment.bytes.subarray(from, from + take) : new Uint8Array(take));
    at += BigInt(take);
    left -= take;
  }
  return concatBytes(result);
}

function segmentAt(segments: readonly Segment[], address: bigint): Segment | undefined {
  return segments.find((segment) => address >= segment.address && address < segment.address + segment.size);
}

function variantOf(elf: ElfFile, where: string, drivers: readonly ArchDriver[]): Variant {
  const variants = drivers.flatMap((driver) => driver.variants);
  const variant = variants.find(
    (candidate) =>
      candidate.elfMachine === elf.machine && candidate.bits === elf.bits && candidate.endian === elf.endian,
  );
  if (variant !== undefined) return variant;
  throw badInput(
    where,
    `a kernel of ${variants.map((candidate) => candidate.name).join(', ')}`,
    `ELF machine ${elf.machine}, ${elf.bits} bit, ${elf.endian} endian`,
  );
}

/** The segments, with the relocations applied that the file's own RELA section holds. */
function relocated(elf: ElfFile, variant: Variant): readonly Segment[] {
  const section = elf.sections.find(({ type, name }) => type === SHT_RELA && name === '.rela.dyn');
  if (section === undefined) return elf.segments;
  const symbols = elf.sections[section.link];
  const table = {
    at: section.offset,
    count: Math.floor(section.size / ((elf.bits / 8) * 3)),
    ...(symbols?.type === SHT_DYNSYM ? { symbols: symbols.offset } : {}),
  };
  return elf.segments.map((segment) => {
    const bytes = new Uint8Array(segment.bytes);
    applyRela(elf.bytes, table, variant, bytes, segment.address, elf.bits, elf.endian);
    return { ...segment, bytes };
  });
}

function kallsymsIn(segments: readonly Segment[], { bits, endian }: ElfFile): SymbolTable | null {
  return first(segments, ({ bytes, address }) => {
    const layout = findKallsyms(bytes, bits, endian);
    return layout && readKallsyms(bytes, layout, bits, endian, address);
  });
}

export function typesIn(segments: readonly Segment[], variant: Variant): TypeTable | null {
  return first(segments, ({ bytes }) => {
    const btf = findBtf(bytes, variant.endian);
    return btf && parseBtf(btf, 'BTF in the image', variant.endian);
  });
}

function first<Result>(segments: readonly Segment[], find: (segment: Segment) => Result | null): Result | null {
  for (const segment of segments) {
    const result = find(segment);
    if (result !== null) return result;
  }
  return null;
}
