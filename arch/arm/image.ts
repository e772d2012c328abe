/**
 * arm's zImage: a decompressor with the flat kernel as its data. The header (arch/arm/boot/compressed/head.S) says the
 * byte order and, from 4.15, where a table of tags is; one of them leads to the end of the payload and to its size.
 * Where the payload begins nothing says.
 */
import { badInput } from '../../src/errors.js';
import { LITTLE, Words, wordFormat } from '../../src/kernel/words.js';
import type { ImageTools, UnpackedImage } from '../driver.js';
import { scanForPayload } from '../payload-scan.js';

const UNPACKED_LIMIT = 256 << 20;
const MAGIC = 0x24;
const TABLE_MAGIC = 0x34;
const TABLE = 0x38;
const HEADER_SIZE = 0x40;
/** ZIMAGE_KRNL_SIZE: where the unpacked size is written, and the size of the bss. */
const KERNEL_SIZE_TAG = 0x5a534c4b;
const TAGS = 16;
/** TEXT_OFFSET of most platforms (arch/arm/Makefile). */
const DEFAULT_TEXT_OFFSET = 0x8000;

/** Unpacks a zImage; null when `bytes` is none. */
export async function unpackArmImage(bytes: Uint8Array, tools: ImageTools): Promise<UnpackedImage | null> {
  if (bytes.length < HEADER_SIZE) return null;
  const little = new Words(bytes, LITTLE).uint32(MAGIC) === 0x016f2818;
  const words = new Words(bytes, wordFormat(32, little));
  if (words.uint32(MAGIC) !== 0x016f2818) return null;
  const sizes = kernelSizes(words);
  const packed = sizes === null ? bytes : bytes.subarray(0, sizes.wordAt + 4);
  const unpacked = await scanForPayload(packed, HEADER_SIZE, UNPACKED_LIMIT, tools, (kernel, offset) =>
    sizes === null ? kernel.length > packed.length - offset : kernel.length === sizes.unpacked,
  );
  if (unpacked === null) throw badInput('zImage', 'a compressed kernel inside', 'none that unpacks');
  const memorySize = sizes === null ? null : BigInt(unpacked.bytes.length + sizes.bss);
  return {
    format: `zImage (${unpacked.format})`,
    payload: {
      kind: 'flat',
      bytes: unpacked.bytes,
      address: (lowest) => pageOffset(lowest) + BigInt(sizes?.textOffset ?? DEFAULT_TEXT_OFFSET),
      memorySize,
    },
  };
}

/** PAGE_OFFSET for each split of the address space (CONFIG_VMSPLIT_*), by an address in the kernel's text. */
function pageOffset(text: bigint): bigint {
  return text & 0xf0000000n;
}

/** The tag of 4.15 and newer: where the unpacked size stands (the payload's last word), that size, and the bss; bytes. */
function kernelSizes(words: Words): { wordAt: number; unpacked: number; bss: number; textOffset: number } | null {
  const word = (at: number) => (at + 4 <= words.length ? words.uint32(at) : 0);
  if (word(TABLE_MAGIC) !== 0x45454545) return null;
  let at = word(TABLE);
  for (let tags = 0; tags < TAGS && word(at) !== 0; tags++) {
    if (word(at + 4) === KERNEL_SIZE_TAG) {
      const wordAt = word(at + 8);
      if (wordAt + 4 > words.length) return null;
      // The compressors append this word in little-endian order whatever the kernel's is.
      return {
        wordAt,
        unpacked: new Words(words.bytes, LITTLE).uint32(wordAt),
        bss: word(at + 12),
        textOffset: word(at) > 4 ? word(at + 16) : DEFAULT_TEXT_OFFSET,
      };
    }
    at += word(at) * 4;
  }
  return null;
}
