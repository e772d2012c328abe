/**
 * BTF, the kernel's own description of its types (Documentation/bpf/btf.rst), to 6.12's kinds. Types are indexed in one
 * pass; members are read when asked for. Nothing in it is trusted: every walk through types is bounded.
 */
import { badInput } from '../errors.js';
import { BtfTypeTable } from './btf-table.js';
import { BtfTypes, type Extent } from './btf-types.js';
import { hexOf, occurrences } from './bytes.js';
import { isElf, parseElf, sectionBytes } from './elf.js';
import type { Endian, TypeTable } from './kernel.js';
import { decompress } from './payload/decompress.js';
import type { Zlib } from './payload/zlib.js';
import { LITTLE, Words, wordFormat } from './words.js';

const MAGIC = 0xeb9f;
const HEADER_SIZE = 24;
/** Largest type data that is believed, unpacked; bytes. */
const LIMIT = 64 << 20;

/** Offsets of the types and the strings, whose start and length a header tells, counted from `from`. */
function partsOf(header: Words, from = 0): { readonly types: Extent; readonly strings: Extent } {
  const extent = (at: number): Extent => {
    const start = from + header.uint32(at);
    return { start, end: start + header.uint32(at + 4) };
  };
  return { types: extent(8), strings: extent(16) };
}

/** Finds BTF in raw memory by its header: magic, version 1, strings right behind the types. */
export function findBtf(bytes: Uint8Array, endian: Endian): Uint8Array | null {
  const little = endian === 'little';
  const signature = Uint8Array.from(little ? [0x9f, 0xeb, 1, 0, 24, 0, 0, 0] : [0xeb, 0x9f, 1, 0, 0, 0, 0, 24]);
  for (const at of occurrences(bytes, signature)) {
    if (at + HEADER_SIZE > bytes.length) return null;
    const header = new Words(bytes.subarray(at, at + HEADER_SIZE), wordFormat(32, little));
    const { types, strings } = partsOf(header);
    const end = HEADER_SIZE + strings.end;
    if (types.start === 0 && types.end > 0 && strings.start === types.end && at + end <= bytes.length)
      return bytes.subarray(at, at + end);
  }
  return null;
}

/** Reads a side file: raw BTF, compressed BTF, or an ELF file with a .BTF section. */
export async function readBtf(file: Uint8Array, where: string, zlib: Zlib): Promise<TypeTable> {
  const bytes = (await decompress(file, 0, LIMIT, zlib))?.bytes ?? file;
  if (!isElf(bytes)) return parseBtf(bytes, where);
  const elf = parseElf(bytes, where);
  const section = sectionBytes(elf, '.BTF');
  if (section === undefined) throw badInput(where, 'an ELF file with a .BTF section', 'one without');
  return parseBtf(section, where, elf.endian);
}

/**
 * Indexes BTF.
 * @param where names the data in errors
 * @param endian the byte order that it must have; told by its magic when absent
 */
export function parseBtf(bytes: Uint8Array, where: string, endian?: Endian): TypeTable {
  if (bytes.length < HEADER_SIZE)
    throw badInput(where, `a BTF header of ${HEADER_SIZE} bytes`, `${bytes.length} bytes`);
  const little = new Words(bytes, LITTLE).uint16(0) === MAGIC;
  const words = new Words(bytes, wordFormat(32, little));
  if (words.uint16(0) !== MAGIC) throw badInput(where, 'BTF (magic eb9f)', `0x${hexOf(bytes.subarray(0, 2))}`);
  if (endian !== undefined && little !== (endian === 'little'))
    throw badInput(where, `${endian}-endian BTF`, 'the other byte order');
  const header = words.uint32(4);
  const { types, strings } = partsOf(words, header);
  if (bytes[2] !== 1 || header < HEADER_SIZE || types.end > bytes.length || strings.end > bytes.length)
    throw badInput(
      where,
      'BTF version 1 with its types and strings inside the data',
      `version ${bytes[2]}, types up to byte ${types.end}, strings up to ${strings.end} of ${bytes.length}`,
    );
  return new BtfTypeTable(new BtfTypes(words, types, strings, where));
}
