/** Opens a shrunk dump: what has to be searched for in a whole one stands in its note. */
import { findVariant } from '../../arch/index.js';
import { badInput, UsercopyError } from '../errors.js';
import { ExtendedSymbols } from '../kernel/added-symbols.js';
import type { Kernel } from '../kernel/kernel.js';
import type { Dump, DumpOptions } from './dump.js';
import type { DumpFile } from './dump-file.js';
import { SlidSymbols } from './kernel-in-dump.js';
import { kernelFromRecord } from './kernel-record.js';
import { parseRegisterText } from './registers.js';
import type { ShrunkNote } from './shrunk-note.js';
import { VirtualMemory } from './virtual.js';

export function openShrunk(path: string, file: DumpFile, note: ShrunkNote, options: DumpOptions): Omit<Dump, 'close'> {
  const { variant: name, version } = note.kernel;
  const variant = findVariant(name);
  if (!variant?.dump) throw new UsercopyError('unsupported', `${path}: dumps of ${JSON.stringify(name)} are not read`);
  const image = options.image ?? null;
  if (image && (image.variant !== name || image.version.release !== version.release)) {
    throw badInput(
      path,
      `memory of ${image.variant} kernel ${image.version.release}, as the image given with --kernel`,
      `${name} kernel ${version.release}`,
    );
  }
  const given = options.registers;
  const text = given ? (parseRegisterText(given.text, variant.dump, given.path)[0] ?? null) : null;
  const registers = text ? new Map([...note.registers, ...text]) : note.registers;
  const memory = new VirtualMemory(file.memory, variant.dump, note.tables, registers);
  memory.show(note.hidden);
  const { slide, imageOffset, inside } = note;
  const read = (address: bigint, length: number): Uint8Array | undefined => memory.read(address, length);
  const { pc } = variant.registers;
  return {
    path,
    variant,
    kernel: image ? withImage(image, note, read) : kernelFromRecord(note.kernel, read),
    located: { memory, slide, imageOffset, inside, by: 'the note of a shrunk dump' },
    physical: file.memory,
    file,
    registers,
    cpus: [registers],
    ...(text === null && note.task !== undefined ? { task: note.task } : {}),
    ...(text === null && note.calls !== undefined ? { calls: note.calls } : {}),
    atCheck: note.atCheck && registers.get(pc) === note.registers.get(pc),
    warnings: file.warnings,
    image: () => null,
    modules: () => null,
  };
}

/** The image's symbols, completed by variables that were found in the whole dump. */
function withImage(image: Kernel, note: ShrunkNote, read: Kernel['read']): Kernel {
  const slid = new SlidSymbols(image.symbols, note.slide);
  const found = Object.entries(note.kernel.symbols).filter(([name]) => slid.address(name) === undefined);
  const hidden = new Map(found.map(([name, address]) => [name, BigInt(address)]));
  return Object.freeze({ ...image, read, symbols: new ExtendedSymbols(slid, hidden) });
}
