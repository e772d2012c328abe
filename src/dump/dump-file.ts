/** The formats of memory dumps, told by their first bytes. */
import { variants } from '../../arch/index.js';
import { UsercopyError } from '../errors.js';
import type { Zlib } from '../kernel/payload/zlib.js';
import { type CoreNote, isElfCore, readElfCore } from './elf-core.js';
import type { ByteSource } from './file.js';
import { FlattenedFile, isFlattened } from './flattened.js';
import { isKdump, readKdump } from './kdump.js';
import { openPageCodec } from './page-codecs.js';
import { type PhysicalMemory, SegmentMemory } from './physical.js';

/** What a dump says of itself, whatever its format. */
export interface DumpFile {
  /** ELF e_machine. */
  readonly machine: number;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly notes: readonly CoreNote[];
  readonly memory: PhysicalMemory;
  /** What is odd and did not stop the reading. */
  readonly warnings: readonly string[];
}

/** Whether a file's first bytes are those of a dump: an ELF core, a kdump-compressed file, or either of them flattened. */
export function isDump(head: Uint8Array): boolean {
  return isElfCore(head) || isKdump(head) || isFlattened(head);
}

/**
 * Reads headers, notes and page tables of contents; the memory itself only where it is asked for.
 * @throws UsercopyError `bad-input` for a file that is no dump, `unsupported` for a machine whose dumps are not read.
 */
export async function readDumpFile(file: ByteSource, zlib: Zlib): Promise<DumpFile> {
  const magic = file.read(0, 16);
  if (magic && isFlattened(magic)) return readPlain(FlattenedFile.open(file), zlib);
  return readPlain(file, zlib);
}

async function readPlain(file: ByteSource, zlib: Zlib): Promise<DumpFile> {
  const magic = file.read(0, 16);
  if (!magic || !isKdump(magic)) {
    const core = readElfCore(file);
    return { ...core, memory: new SegmentMemory(file, core.segments) };
  }
  const { machine: name, ...kdump } = readKdump(file, await openPageCodec(zlib));
  const variant = variants.find((candidate) => candidate.dump?.utsMachine?.test(name) ?? candidate.name === name);
  if (!variant) throw new UsercopyError('unsupported', `${file.path}: dumps of ${JSON.stringify(name)} are not read`);
  return { ...kdump, machine: variant.elfMachine };
}
