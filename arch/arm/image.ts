/**
 * arm's zImage: a decompressor with the flat kernel as its data. The header (arch/arm/boot/compressed/head.S) says the
 * byte order and, from 4.15, where a table of tags is; one of them leads to the end of the payload and to its size.
 * Where the payload begins nothing says.
 */
import { badInput } from '../../src/errors.js';
import type { ImageTools, UnpackedImage } from '../driver.js';
import { scanForPayload } from '../payload-scan.js';

const UNPACKED_LIMIT = 256 << 20;
const MAGIC = 0x24;
const TABLE_MAGIC = 0x30;
const TABLE = 0x34;
const HEADER_SIZE = 0x40;
/** ZIMAGE_KRNL_SIZE: where the unpacked size is written, and the size of the bss. */
const KERNEL_SIZE_TAG = 0x5a534c4b;
const TAGS = 16;

/** Unpacks a zImage; null when `bytes` is none. The address is left to the loader: the kernel's symbols tell it. */
export async function unpackArmImage(bytes: Uint8Array, tools: ImageTools): Promise<UnpackedImage | null> {
  if (bytes.length < HEADER_SIZE) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = view.getUint32(MAGIC, true) === 0x016f2818;
  if (!little && view.getUint32(MAGIC, false) !== 0x016f2818) return null;
  const sizes = kernelSizes(view, little);
  const packed = sizes === null ? bytes : bytes.subarray(0, sizes.wordAt + 4);
  const unpacked = await scanForPayload(packed, HEADER_SIZE, UNPACKED_LIMIT, tools, (kernel, offset) =>
    sizes === null ? kernel.length > packed.length - offset : kernel.length === sizes.unpacked,
  );
  if (unpacked === null) throw badInput('zImage', 'a compressed kernel inside', 'none that unpacks');
  const memorySize = sizes === null ? null : BigInt(unpacked.bytes.length + sizes.bss);
  return {
    format: `zImage (${unpacked.format})`,
    payload: { kind: 'flat', bytes: unpacked.bytes, address: null, memorySize },
  };
}

/** The tag of 4.15 and newer: where the unpacked size stands (the payload's last word), that size, and the bss; bytes. */
function kernelSizes(view: DataView, little: boolean): { wordAt: number; unpacked: number; bss: number } | null {
  const word = (at: number) => (at + 4 <= view.byteLength ? view.getUint32(at, little) : 0);
  if (word(TABLE_MAGIC) !== 0x45454545) return null;
  let at = word(TABLE);
  for (let tags = 0; tags < TAGS && word(at) !== 0; tags++) {
    if (word(at + 4) === KERNEL_SIZE_TAG) {
      const wordAt = word(at + 8);
      if (wordAt + 4 > view.byteLength) return null;
      // The compressors append this word in little-endian order whatever the kernel's is.
      return { wordAt, unpacked: view.getUint32(wordAt, true), bss: word(at + 12) };
    }
    at += word(at) * 4;
  }
  return null;
}
