/** arm64's boot images: the flat Image (Documentation/arm64/booting.rst), which is memory as it will be, and zboot around one. */
import { badInput } from '../../src/errors.js';
import { LITTLE, Words } from '../../src/kernel/words.js';
import type { ImageTools, UnpackedImage } from '../driver.js';
import { unpackZboot } from '../zboot.js';

const UNPACKED_LIMIT = 512 << 20;
const HEADER_SIZE = 64;
const IMAGE_SIZE = 16;
const MAGIC = 56;

/** Unpacks an Image or zboot image; null when `bytes` is none. The address is left to the loader: no header has it. */
export async function unpackArm64Image(bytes: Uint8Array, tools: ImageTools): Promise<UnpackedImage | null> {
  const wrapped = await unpackZboot(bytes, tools, {
    name: 'an arm64 Image',
    limit: UNPACKED_LIMIT,
    unpack: unpackFlat,
  });
  return wrapped ?? unpackFlat(bytes);
}

function unpackFlat(bytes: Uint8Array): UnpackedImage | null {
  if (bytes.length < HEADER_SIZE) return null;
  const view = new Words(bytes, LITTLE);
  // "ARM\x64"
  if (view.uint32(MAGIC) !== 0x644d5241) return null;
  const memorySize = view.uint64(IMAGE_SIZE);
  if (memorySize > BigInt(UNPACKED_LIMIT))
    throw badInput('arm64 Image', `an image of at most ${UNPACKED_LIMIT} bytes`, `${memorySize} bytes`);
  // Before 3.17 the field was zero.
  return { format: 'arm64 Image', payload: { kind: 'flat', bytes, address: null, memorySize: memorySize || null } };
}
