/**
 * The EFI zboot wrapper around a compressed boot image (a050910972bb "efi/libstub: implement generic EFI zboot", 6.1; drivers/firmware/efi/libstub/zboot-header.S), the same
 * on every architecture that has it: what is inside is that architecture's own image.
 */
import { badInput } from '../src/errors.js';
import { LITTLE, Words } from '../src/kernel/words.js';
import type { ImageTools } from './driver.js';

const HEADER_SIZE = 64;
const PAYLOAD_OFFSET = 8;
const PAYLOAD_SIZE = 12;

/** Whether the file begins with "MZ\0\0zimg". */
function isZboot(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER_SIZE) return false;
  const view = new Words(bytes, LITTLE);
  return view.uint32(0) === 0x5a4d && view.uint32(4) === 0x676d697a;
}

/** What a wrapper holds, of at most `limit` bytes, and how both are called; null when `bytes` is none. */
export async function unpackZboot(
  bytes: Uint8Array,
  { decompress }: ImageTools,
  limit: number,
): Promise<{ readonly bytes: Uint8Array; readonly format: string } | null> {
  if (!isZboot(bytes)) return null;
  const view = new Words(bytes, LITTLE);
  const offset = view.uint32(PAYLOAD_OFFSET);
  const end = offset + view.uint32(PAYLOAD_SIZE);
  if (end > bytes.length)
    throw badInput('EFI zboot image', `a payload of bytes ${offset} to ${end}`, `a file of ${bytes.length} bytes`);
  const unpacked = await decompress(bytes.subarray(0, end), offset, limit);
  if (unpacked === null)
    throw badInput('EFI zboot image', 'a payload in a known compression', `another at byte ${offset}`);
  return { bytes: unpacked.bytes, format: `EFI zboot image (${unpacked.format})` };
}
