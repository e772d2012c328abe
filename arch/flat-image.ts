/**
 * The flat Image of arm64 and riscv, which is memory as it will be, behind a header of 64 bytes that both share
 * (Documentation/arm64/booting.rst, Documentation/arch/riscv/boot-image-header.rst).
 */
import { badInput } from '../src/errors.js';
import { LITTLE, Words } from '../src/kernel/words.js';
import type { UnpackedImage } from './driver.js';

const LARGEST_IMAGE = 512 << 20;
const HEADER_SIZE = 64;
const IMAGE_SIZE = 16;
const MAGIC = 56;

/**
 * Reads an Image whose header has `magic`; null when `bytes` is none. The address is left to the loader: no header has it.
 * `firstSymbol`: that of the first byte, where it is not `_text`.
 */
export function unpackFlatImage(
  bytes: Uint8Array,
  { magic, format, firstSymbol }: { readonly magic: number; readonly format: string; readonly firstSymbol?: string },
): UnpackedImage | null {
  if (bytes.length < HEADER_SIZE) return null;
  const view = new Words(bytes, LITTLE);
  if (view.uint32(MAGIC) !== magic) return null;
  // arm64 before 3.17 left it zero.
  const memorySize = view.uint64(IMAGE_SIZE);
  if (memorySize > BigInt(LARGEST_IMAGE))
    throw badInput(format, `an image of at most ${LARGEST_IMAGE} bytes`, `${memorySize} bytes`);
  const named = firstSymbol === undefined ? {} : { firstSymbol };
  return { format, payload: { kind: 'flat', bytes, address: null, memorySize: memorySize || null, ...named } };
}
