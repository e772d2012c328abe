/**
 * arm64's boot images: the flat Image (Documentation/arm64/booting.rst), which is memory as it will be, and the EFI zboot
 * wrapper around a compressed one (6.1 on, drivers/firmware/efi/libstub/zboot-header.S).
 */
import { badInput } from '../../src/errors.js';
import { LITTLE, Words } from '../../src/kernel/words.js';
import type { ImageTools, UnpackedImage } from '../driver.js';

const UNPACKED_LIMIT = 512 << 20;
const HEADER_SIZE = 64;
const IMAGE_SIZE = 16;
const MAGIC = 56;
const ZBOOT_PAYLOAD_OFFSET = 8;
const ZBOOT_PAYLOAD_SIZE = 12;

/** Unpacks an Image or zboot image; null when `bytes` is none. The address is left to the loader: no header has it. */
export async function unpackArm64Image(bytes: Uint8Array, tools: ImageTools): Promise<UnpackedImage | null> {
  if (bytes.length < HEADER_SIZE) return null;
  const view = new Words(bytes, LITTLE);
  // "MZ\0\0zimg"
  if (view.uint32(0) === 0x5a4d && view.uint32(4) === 0x676d697a) return unpackZboot(bytes, view, tools);
  // "ARM\x64"
  if (view.uint32(MAGIC) !== 0x644d5241) return null;
  const memorySize = view.uint64(IMAGE_SIZE);
  if (memorySize > BigInt(UNPACKED_LIMIT))
    throw badInput('arm64 Image', `an image of at most ${UNPACKED_LIMIT} bytes`, `${memorySize} bytes`);
  // Before 3.17 the field was zero.
  return { format: 'arm64 Image', payload: { kind: 'flat', bytes, address: null, memorySize: memorySize || null } };
}

async function unpackZboot(bytes: Uint8Array, view: Words, tools: ImageTools): Promise<UnpackedImage> {
  const offset = view.uint32(ZBOOT_PAYLOAD_OFFSET);
  const end = offset + view.uint32(ZBOOT_PAYLOAD_SIZE);
  if (end > bytes.length)
    throw badInput('EFI zboot image', `a payload of bytes ${offset} to ${end}`, `a file of ${bytes.length} bytes`);
  const unpacked = await tools.decompress(bytes.subarray(0, end), offset, UNPACKED_LIMIT);
  if (unpacked === null)
    throw badInput('EFI zboot image', 'a payload in a known compression', `another at byte ${offset}`);
  const inner = isZboot(unpacked.bytes) ? null : await unpackArm64Image(unpacked.bytes, tools);
  if (inner === null) throw badInput('EFI zboot image', 'an arm64 Image inside', 'something else');
  return { format: `EFI zboot image (${unpacked.format})`, payload: inner.payload };
}

function isZboot(bytes: Uint8Array): boolean {
  return bytes[4] === 0x7a && bytes[5] === 0x69 && bytes[6] === 0x6d && bytes[7] === 0x67;
}
