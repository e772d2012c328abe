/** Opens a memory dump: which machine it is of, its registers, and the kernel in it. */

import type { Variant } from '../../arch/driver.js';
import type { DumpConvention, RegisterValues } from '../../arch/dump.js';
import { variants } from '../../arch/index.js';
import { badInput, UsercopyError } from '../errors.js';
import { nativeZlib } from '../image/native-zlib.js';
import { findModules, Modules } from '../introspect/modules.js';
import type { Kernel, Segment } from '../kernel/kernel.js';
import { aFunction, anObject, aText, type OptionRule, orNull, requireOptions, requireValue } from '../options.js';
import { entryPointOf } from '../stack/entry-point.js';
import type { Dump, DumpOptions } from './dump.js';
import { type DumpFile, readDumpFile } from './dump-file.js';
import { FileReader } from './file.js';
import { kernelInDump, once, runningImage } from './kernel-in-dump.js';
import { type Evidence, type Located, locateKernel } from './locate.js';
import { openShrunk } from './open-shrunk.js';
import type { PhysicalMemory } from './physical.js';
import { parseRegisterText, registersFromNotes } from './registers.js';
import { shrunkNoteOf } from './shrunk-note.js';
import { vmcoreinfoOf } from './vmcoreinfo.js';

export type { Dump, DumpOptions, RegisterText } from './dump.js';

const RULES: Readonly<Record<keyof DumpOptions, OptionRule>> = {
  image: orNull(anObject),
  readKernelInDump: aFunction,
  registers: orNull(anObject),
};

/**
 * Opens an ELF or kdump-compressed vmcore, flattened or not; its memory is read only where it is needed.
 * @throws UsercopyError `bad-input` for a file that is no such dump or not of this kernel, `unsupported` for an
 *   architecture whose dumps are not read.
 */
export async function openDump(path: string, options: DumpOptions = {}): Promise<Dump> {
  requireValue('openDump: path', path, aText);
  requireOptions('openDump', options, RULES);
  const file = FileReader.open(path);
  try {
    return await openFile(file, options);
  } catch (error) {
    file.close();
    throw error;
  }
}

async function openFile(file: FileReader, options: DumpOptions): Promise<Dump> {
  const core = await readDumpFile(file, nativeZlib);
  const shrunk = shrunkNoteOf(core.notes, file.path);
  if (shrunk) return { ...openShrunk(file.path, core, shrunk, options), close: () => file.close() };
  const physical = core.memory;
  const { evidence, located, kernel, image } = await findKernel(file.path, core, physical, options);
  const { variant } = evidence;
  const { hiddenMappings } = evidence.convention;
  if (hiddenMappings) located.memory.show([...located.memory.hidden, ...hiddenMappings(kernel, located.memory.tables)]);
  const entries = checkEntries(kernel, variant);
  const { pc } = variant.registers;
  const standing = evidence.registers.find((cpu) => entries.includes(cpu.get(pc) ?? -1n));
  const registers = standing ?? evidence.registers[0] ?? new Map<string, bigint>();
  const warnings = [...core.warnings];
  if (physical.overlapping > 0n) {
    warnings.push(`segments overlap in ${physical.overlapping} bytes: the first one in the file is believed`);
  }
  return {
    path: file.path,
    variant,
    kernel,
    located,
    physical,
    file: core,
    registers,
    cpus: evidence.registers,
    atCheck: standing !== undefined,
    warnings,
    image,
    modules: once(() => modulesIn(kernel, image)),
    close: () => file.close(),
  };
}

/** The kernel as it runs, and its memory. */
interface Running {
  readonly kernel: Kernel;
  readonly image: () => Segment;
}

async function kernelOf(evidence: Evidence, located: Located, options: DumpOptions): Promise<Running> {
  if (evidence.image) return running(evidence.image, located, evidence);
  if (!options.readKernelInDump) {
    throw badInput(evidence.path, "the kernel's image (--kernel)", 'none');
  }
  const found = await options.readKernelInDump(located, evidence.variant);
  return running(found, { ...located, slide: 0n }, evidence);
}

function running(image: Kernel, located: Located, { variant, physical }: Evidence): Running {
  const memory = runningImage(image, located);
  return { kernel: kernelInDump(image, variant, located, physical, memory), image: memory };
}

/** Where a symbol says it, else where it is found. */
function modulesIn(kernel: Kernel, image: () => Segment): Modules | null {
  for (const { address } of kernel.symbols.all('modules')) {
    const found = Modules.at(kernel, address);
    if (found !== null) return found;
  }
  return findModules(kernel, image());
}

/** The first machine that the file may be of whose kernel is found in it; without an image several may be possible. */
async function findKernel(
  path: string,
  core: DumpFile,
  physical: PhysicalMemory,
  options: DumpOptions,
): Promise<{ evidence: Evidence; located: Located; kernel: Kernel; image: () => Segment }> {
  const image = options.image ?? null;
  const vmcoreinfo = vmcoreinfoOf(core.notes);
  let failure: unknown = null;
  for (const { variant, convention } of machinesOf(path, core, image)) {
    try {
      const registers = mergeRegisters(
        registersFromNotes(core.notes, convention, core.littleEndian),
        options,
        convention,
      );
      const evidence: Evidence = { path, variant, convention, physical, registers, vmcoreinfo, image };
      const located = locateKernel(evidence);
      return { evidence, located, ...(await kernelOf(evidence, located, options)) };
    } catch (error) {
      if (!(error instanceof UsercopyError)) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

interface DumpedMachine {
  readonly variant: Variant;
  readonly convention: DumpConvention;
}

/** The image's variant; without an image every one that such files are made of, the likeliest first. */
function machinesOf(path: string, core: DumpFile, image: Kernel | null): DumpedMachine[] {
  const likeness = ({ elfMachine, bits, endian }: Variant): number =>
    (elfMachine === core.machine ? 4 : 0) +
    ((endian === 'little') === core.littleEndian ? 2 : 0) +
    (bits === core.bits ? 1 : 0);
  const candidates = variants
    .filter(({ elfMachine, dump }) => elfMachine === core.machine || dump?.elfMachines?.includes(core.machine))
    .sort((a, b) => likeness(b) - likeness(a));
  const fitting = image ? candidates.filter(({ name }) => name === image.variant) : candidates;
  const names = candidates.map(({ name }) => name).join(' or ');
  if (fitting.length === 0) {
    if (image) {
      throw badInput(path, `a dump of ${image.variant}, as the kernel image`, names || `ELF machine ${core.machine}`);
    }
    throw new UsercopyError('unsupported', `${path}: dumps of ELF machine ${core.machine} are not read`);
  }
  const readable = fitting.flatMap((variant) => (variant.dump ? [{ variant, convention: variant.dump }] : []));
  if (readable.length === 0) throw new UsercopyError('unsupported', `${path}: dumps of ${names} are not read`);
  return readable;
}

/** Where calls of the check arrive: its symbol, and on some architectures an entry of its own for calls from inside. */
function checkEntries(kernel: Kernel, variant: Variant): readonly bigint[] {
  const symbol = kernel.symbols.address('__check_object_size');
  const entry = entryPointOf(kernel, variant, '__check_object_size');
  return [symbol, entry].filter((address) => address !== undefined);
}

/** Registers from a text complete the notes of the CPU with the same number: the text lacks what QEMU does not print. */
function mergeRegisters(
  notes: readonly RegisterValues[],
  { registers: given }: DumpOptions,
  convention: DumpConvention,
): RegisterValues[] {
  if (!given) return [...notes];
  const texts = parseRegisterText(given.text, convention, given.path);
  return texts.map((text, cpu) => new Map([...(notes[cpu] ?? []), ...text]));
}
