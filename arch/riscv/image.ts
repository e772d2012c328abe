/**
 * riscv's boot images: the flat Image (Documentation/arch/riscv/boot-image-header.rst), which is memory as it will be, and zboot
 * around one.
 */
import { badInput } from '../../src/errors.js';
import { LITTLE, Words } from '../../src/kernel/words.js';
import type { ImageTools, UnpackedImage } from '../driver.js';
import { unpackZboot } from '../zboot.js';

const UNPACKED_LIMIT = 512 << 20;
const HEADER_SIZE = 64;
const IMAGE_SIZE = 16;
const MAGIC_2 = 56;

/** Unpacks an Image or zboot image; null when `bytes` is none. The address is left to the loader: no header has it. */
export async function unpackRiscvImage(bytes: Uint8Array, tools: ImageTools): Promise<UnpackedImage | null> {
  const wrapped = await unpackZboot(bytes, tools, { name: 'a riscv Image', limit: UNPACKED_LIMIT, unpack: unpackFlat });
  return wrapped ?? unpackFlat(bytes);
}

function unpackFlat(bytes: Uint8Array): UnpackedImage | null {
  if (bytes.length < HEADER_SIZE) return null;
  const view = new Words(bytes, LITTLE);
  // "RSC\x05"
  if (view.uint32(MAGIC_2) !== 0x05435352) return null;
  const memorySize = view.uint64(IMAGE_SIZE);
  if (memorySize > BigInt(UNPACKED_LIMIT))
    throw badInput('riscv Image', `an image of at most ${UNPACKED_LIMIT} bytes`, `${memorySize} bytes`);
  return {
    format: 'riscv Image',
    // Its head is a section of its own before _text.
    payload: { kind: 'flat', bytes, address: null, memorySize: memorySize || null, firstSymbol: '_start' },
  };
}
