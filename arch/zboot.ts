/**
 * The EFI zboot wrapper around a compressed boot image (6.1 on, drivers/firmware/efi/libstub/zboot-header.S), the same on
 * every architecture that has it.
 */
import { badInput } from '../src/errors.js';
import { LITTLE, Words } from '../src/kernel/words.js';
import type { ImageTools, UnpackedImage } from './driver.js';

const HEADER_SIZE = 64;
const PAYLOAD_OFFSET = 8;
const PAYLOAD_SIZE = 12;

/** Whether the file begins with "MZ\0\0zimg". */
function isZboot(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER_SIZE) return false;
  const view = new Words(bytes, LITTLE);
  return view.uint32(0) === 0x5a4d && view.uint32(4) === 0x676d697a;
}

/**
 * What a wrapper holds; null when `bytes` is none. `unpackInner` reads the architecture's own image, of at most `limit`
 * bytes, which `name` says in words; it answers null where there is none.
 */
export async function unpackZboot(
  bytes: Uint8Array,
  tools: ImageTools,
  inner: {
    readonly name: string;
    readonly limit: number;
    readonly unpack: (bytes: Uint8Array) => UnpackedImage | null;
  },
): Promise<UnpackedImage | null> {
  if (!isZboot(bytes)) return null;
  const view = new Words(bytes, LITTLE);
  const offset = view.uint32(PAYLOAD_OFFSET);
  const end = offset + view.uint32(PAYLOAD_SIZE);
  if (end > bytes.length)
    throw badInput('EFI zboot image', `a payload of bytes ${offset} to ${end}`, `a file of ${bytes.length} bytes`);
  const unpacked = await tools.decompress(bytes.subarray(0, end), offset, inner.limit);
  if (unpacked === null)
    throw badInput('EFI zboot image', 'a payload in a known compression', `another at byte ${offset}`);
  const image = inner.unpack(unpacked.bytes);
  if (image === null) throw badInput('EFI zboot image', `${inner.name} inside`, 'something else');
  return { format: `EFI zboot image (${unpacked.format})`, payload: image.payload };
}
