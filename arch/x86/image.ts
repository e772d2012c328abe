/** x86's boot wrapper, the bzImage (Documentation/x86/boot.rst): a real-mode part whose header says where the payload is. */
import { badInput } from '../../src/errors.js';
import { LITTLE, Words } from '../../src/kernel/words.js';
import type { ImageTools, UnpackedImage } from '../driver.js';

const UNPACKED_LIMIT = 512 << 20;
const SECTOR = 512;
const SETUP_SECTORS = 0x1f1;
const BOOT_FLAG = 0x1fe;
const HEADER_MAGIC = 0x202;
const VERSION = 0x206;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;

/** Unpacks a bzImage to the ELF inside; null when `bytes` is none. Errors: protocol before 2.08, payload outside the file. */
export async function unpackX86Image(bytes: Uint8Array, tools: ImageTools): Promise<UnpackedImage | null> {
  if (bytes.length < 0x268) return null;
  const view = new Words(bytes, LITTLE);
  // "HdrS"
  if (view.uint16(BOOT_FLAG) !== 0xaa55 || view.uint32(HEADER_MAGIC) !== 0x53726448) return null;
  const version = view.uint16(VERSION);
  if (version < 0x0208)
    throw badInput('bzImage', 'boot protocol 2.08 or newer (Linux 2.6.26)', `${version >> 8}.${version & 0xff}`);
  const setup = ((view.uint8(SETUP_SECTORS) || 4) + 1) * SECTOR;
  const offset = setup + view.uint32(PAYLOAD_OFFSET);
  const end = offset + view.uint32(PAYLOAD_LENGTH);
  if (end > bytes.length)
    throw badInput('bzImage', `a payload of bytes ${offset} to ${end}`, `a file of ${bytes.length} bytes`);
  const payload = bytes.subarray(0, end);
  const elf = (at: number) => payload[at] === 0x7f && payload[at + 1] === 0x45;
  if (elf(offset)) return { format: 'bzImage', payload: { kind: 'elf', bytes: payload.subarray(offset) } };
  const unpacked = await tools.decompress(payload, offset, UNPACKED_LIMIT);
  if (unpacked === null)
    throw badInput(
      'bzImage',
      'a payload in gzip, bzip2, lzma, xz, lzo, lz4 or zstd',
      `an unknown one at byte ${offset}`,
    );
  return { format: `bzImage (${unpacked.format})`, payload: { kind: 'elf', bytes: unpacked.bytes } };
}
