/**
 * Finds the kernel in a dump: its page tables, and how far KASLR moved it. What the kernel says of itself (VMCOREINFO)
 * comes first, then the CPU's registers, then a search for the banner that every kernel carries.
 */
import type { Variant } from '../../arch/driver.js';
import type {
  DumpConvention,
  ImagePlacement,
  KernelNotes,
  PageTableShape,
  PageTables,
  RegisterValues,
} from '../../arch/dump.js';
import { badInput } from '../errors.js';
import { exportedVariables } from '../kernel/added-symbols.js';
import { bytesOf, equalBytes, indexOfBytes } from '../kernel/bytes.js';
import type { Kernel } from '../kernel/kernel.js';
import { decodeWord } from '../kernel/words.js';
import type { PhysicalMemory } from './physical.js';
import { findInMemory } from './search.js';
import { VirtualMemory } from './virtual.js';
import { Vmcoreinfo } from './vmcoreinfo.js';

export interface Located {
  readonly memory: VirtualMemory;
  /** Bytes that the running kernel lies above the addresses of its image. */
  readonly slide: bigint;
  /** Virtual minus physical address of the kernel image. */
  readonly imageOffset: bigint;
  /** An address inside the running kernel image. */
  readonly inside: bigint;
  /** How it was found, for people. */
  readonly by: string;
}

export interface Evidence {
  readonly path: string;
  readonly variant: Variant;
  readonly convention: DumpConvention;
  readonly physical: PhysicalMemory;
  readonly registers: readonly RegisterValues[];
  readonly vmcoreinfo: Vmcoreinfo | null;
  /** The kernel image that the dump is said to be of; null when there is none. */
  readonly image: Kernel | null;
}

/** Occurrences of the banner in memory that are tried as the image's own: logs and files hold copies of it. */
const MAXIMUM_BANNERS = 64;
const word = (value: bigint): bigint => BigInt.asUintN(64, value);

/** @throws UsercopyError `bad-input` when the kernel is not found, or is not the one of the image. */
export function locateKernel(evidence: Evidence): Located {
  const banner = evidence.image && bannerOf(evidence.image);
  const found =
    (evidence.vmcoreinfo && byNotes(evidence, evidence.vmcoreinfo, banner)) ??
    byRegisters(evidence, banner) ??
    byBanner(evidence, banner) ??
    byNotesInMemory(evidence, banner) ??
    byMapping(evidence);
  if (found) return found;
  const { path, image, vmcoreinfo } = evidence;
  const said = vmcoreinfo?.text('OSRELEASE');
  if (image && said !== undefined && said !== image.version.release) {
    throw badInput(
      path,
      `memory of kernel ${image.version.release}, as the image given with --kernel`,
      `kernel ${said}`,
    );
  }
  throw badInput(
    path,
    image
      ? `memory of the kernel ${image.version.release} given with --kernel`
      : 'a kernel (VMCOREINFO, or its image with --kernel)',
    'none: no page tables lead to it',
  );
}

interface Banner {
  /** Virtual address in the image. */
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** `linux_banner` of an image: by its text, since images without KALLSYMS_ALL have no data symbols. */
function bannerOf(image: Kernel): Banner | null {
  const { banner } = image.version;
  if (banner === null) return null;
  const bytes = bytesOf(banner.trimEnd());
  const symbol = image.symbols.address('linux_banner');
  if (symbol !== undefined && equalBytes(image.read(symbol, bytes.length) ?? new Uint8Array(), bytes)) {
    return { address: symbol, bytes };
  }
  for (const segment of image.segments) {
    const at = indexOfBytes(segment.bytes, bytes);
    if (at >= 0) return { address: segment.address + BigInt(at), bytes };
  }
  return null;
}

/** Whether the tables show the image's banner at `slide`. */
function shows(memory: VirtualMemory, banner: Banner, slide: bigint): boolean {
  const there = memory.read(word(banner.address + slide), banner.bytes.length);
  return there !== undefined && equalBytes(there, banner.bytes);
}

function open({ physical, convention, registers }: Evidence, tables: PageTables): VirtualMemory {
  return new VirtualMemory(physical, convention, tables, registers[0] ?? new Map());
}

function byNotes(evidence: Evidence, notes: Vmcoreinfo, banner: Banner | null, where = 'VMCOREINFO'): Located | null {
  const { convention, image } = evidence;
  const imageOffset = convention.imageOffsetFromNotes(notes, evidence.physical.ranges[0]?.start ?? 0n);
  const text = notes.symbol('_stext');
  if (imageOffset === null || text === undefined) return null;
  const linked = image?.symbols.address('_stext');
  const slide = linked === undefined ? (notes.kernelOffset ?? 0n) : word(text - linked);
  for (const tables of tablesFromNotes(evidence, notes, imageOffset)) {
    const memory = open(evidence, tables);
    if (memory.translate(text)?.physical !== word(text - imageOffset)) continue;
    if (banner && !shows(memory, banner, slide)) continue;
    return { memory, slide, imageOffset, inside: text, by: where };
  }
  return null;
}

/** The kernel's own table in the shape that it tells, then in every other, then what the CPU uses. */
function* tablesFromNotes(evidence: Evidence, notes: KernelNotes, imageOffset: bigint): Iterable<PageTables> {
  const { convention } = evidence;
  const told = convention.shapeFromNotes(notes);
  const symbol = ['swapper_pg_dir', ...convention.rootSymbols]
    .map((name) => notes.symbol(name))
    .find((address) => address !== undefined);
  if (symbol !== undefined) {
    const root = word(symbol - imageOffset);
    if (told) yield { ...told, root };
    for (const shape of convention.shapes) yield { ...shape, root };
  }
  for (const registers of evidence.registers) yield* convention.fromRegisters(registers);
}

/** The CPU's tables and, for each place that KASLR may choose, a look whether the banner is there. */
function byRegisters(evidence: Evidence, banner: Banner | null): Located | null {
  const { convention, image } = evidence;
  const { placement } = convention;
  if (!banner || placement.kind === 'variable') return null;
  // All memory is mapped at its own address, and the image, which runs elsewhere, with it.
  if (placement.kind === 'moved' && image !== null && variableOf(image, placement.symbol) !== undefined) return null;
  for (const registers of evidence.registers) {
    for (const tables of convention.fromRegisters(registers)) {
      const memory = open(evidence, tables);
      for (const slide of slides(evidence, banner)) {
        if (shows(memory, banner, slide)) return withOffset(memory, banner, slide, "the CPU's registers");
      }
    }
  }
  return null;
}

function* slides({ convention, image }: Evidence, banner: Banner): Iterable<bigint> {
  yield 0n;
  const slots = image && slotsOf(convention.placement, image);
  if (!slots) return;
  const { start, end, step } = slots;
  const first = start + ((banner.address - start) & (step - 1n));
  for (let address = first; address < end; address += step) {
    if (address !== banner.address) yield word(address - banner.address);
  }
}

/** Virtual addresses at which KASLR may put an image; null where it has no such grid. */
function slotsOf(placement: ImagePlacement, image: Kernel): { start: bigint; end: bigint; step: bigint } | null {
  if (placement.kind === 'slots') return placement;
  if (placement.kind !== 'offset' || !placement.slots) return null;
  const start = placement.offset(image);
  return { start, end: start + placement.slots.end, step: placement.slots.step };
}

function withOffset(memory: VirtualMemory, banner: Banner, slide: bigint, by: string): Located {
  const address = word(banner.address + slide);
  const physical = memory.translate(address)?.physical ?? 0n;
  return { memory, slide, imageOffset: word(address - physical), inside: address, by };
}

/** Searches physical memory for the image's banner, and takes the page tables that lie as far from it as in the image. */
function byBanner(evidence: Evidence, banner: Banner | null): Located | null {
  const { convention, physical, image } = evidence;
  if (!banner || !image) return null;
  const rootSymbol = convention.rootSymbols
    .map((name) => image.symbols.address(name))
    .find((found) => found !== undefined);
  const pinned = convention.pinnedImage;
  const shapes = pinned ? [shapeOfPinned(evidence, image)] : convention.shapes;
  for (const found of findInMemory(physical, banner.bytes, MAXIMUM_BANNERS)) {
    const linkedToPhysical = found - banner.address;
    if (pinned && word(pinned.virtual + linkedToPhysical) % pinned.size !== 0n) continue;
    const roots: PageTables[] = evidence.registers.flatMap((registers) => [...convention.fromRegisters(registers)]);
    const tops = rootSymbol === undefined ? (convention.rootAddresses?.(image) ?? imagePages(image)) : [rootSymbol];
    for (const top of tops) {
      const root = word(top + linkedToPhysical);
      roots.push(...shapes.map((shape) => ({ ...shape, root })));
    }
    const slidesHere = [...slidesFrom(evidence, banner, image, linkedToPhysical)];
    for (const tables of roots) {
      const memory = open(evidence, tables);
      if (pinned) memory.show([{ ...pinned, physical: word(pinned.virtual + linkedToPhysical) }]);
      for (const slide of slidesHere) {
        if (memory.translate(word(banner.address + slide))?.physical === found) {
          return withOffset(memory, banner, slide, 'the banner in memory');
        }
      }
    }
  }
  return null;
}

/** @throws UsercopyError `bad-input` where nothing tells the shape: a wrong one would show other memory. */
function shapeOfPinned({ path, convention, vmcoreinfo }: Evidence, image: Kernel): PageTableShape {
  const told =
    (vmcoreinfo && convention.shapeFromNotes(vmcoreinfo)) ?? convention.pinnedImage?.shapeFromImage(image) ?? null;
  if (told) return told;
  throw badInput(
    path,
    "the size of the kernel's pages, from VMCOREINFO or the kernel's configuration",
    'neither; give its .config with --config',
  );
}

/** Where the kernel's top table may be when no symbol says it: it is a page of the image. */
function* imagePages(image: Kernel): Iterable<bigint> {
  for (const { address, size } of image.segments) {
    for (let page = address; page < address + size; page += 4096n) yield page;
  }
}

function* slidesFrom(evidence: Evidence, banner: Banner, image: Kernel, linkedToPhysical: bigint): Iterable<bigint> {
  const { placement } = evidence.convention;
  if (placement.kind === 'offset') yield word(linkedToPhysical + placement.offset(image));
  if (placement.kind === 'linked') yield 0n;
  if (placement.kind === 'slots') yield* slides(evidence, banner);
  if (placement.kind !== 'variable' && placement.kind !== 'moved') return;
  const symbol = variableOf(image, placement.symbol);
  if (symbol === undefined && placement.kind === 'moved') yield linkedToPhysical;
  const bytes =
    symbol === undefined ? undefined : evidence.physical.read(word(symbol + linkedToPhysical), image.bits / 8);
  if (!bytes) return;
  const value = decodeWord(bytes, image);
  yield placement.kind === 'moved' ? value : word(value + linkedToPhysical);
}

/** The address of a variable that an image lists, or exports to modules. */
const variableOf = (image: Kernel, name: string): bigint | undefined =>
  image.symbols.address(name) ?? exportedVariables(image).get(name);

/** kdump's copy of VMCOREINFO lies in memory even when the dump carries no such note; it fills a page of its own. */
function byNotesInMemory(evidence: Evidence, banner: Banner | null): Located | null {
  for (const found of findInMemory(evidence.physical, bytesOf('OSRELEASE='), MAXIMUM_BANNERS, 4096n)) {
    const page = evidence.physical.read(found, 4096);
    if (!page) continue;
    const end = page.indexOf(0);
    const notes = new Vmcoreinfo(end < 0 ? page : page.subarray(0, end));
    const located = byNotes(evidence, notes, banner, 'VMCOREINFO in memory');
    if (located) return located;
  }
  return null;
}

/** Without an image: the first place for one that the CPU's tables map. Its symbols then say where they are. */
function byMapping(evidence: Evidence): Located | null {
  const { placement, fromRegisters } = evidence.convention;
  if (evidence.image || placement.kind !== 'slots') return null;
  for (const registers of evidence.registers) {
    for (const tables of fromRegisters(registers)) {
      const memory = open(evidence, tables);
      for (let inside = placement.start; inside < placement.end; inside += placement.step) {
        const found = memory.translate(inside);
        if (found && memory.read(inside, 16)) {
          return { memory, slide: 0n, imageOffset: word(inside - found.physical), inside, by: "the CPU's page tables" };
        }
      }
    }
  }
  return null;
}
