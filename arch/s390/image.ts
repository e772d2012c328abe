/**
 * s390's bzImage: a decompressor linked for address 0 with the flat kernel as its data, and a structure `vmlinux_info`
 * (arch/s390/boot/boot.h) somewhere before it. That structure is not marked in any way.
 */
import { badInput } from '../../src/errors.js';
import { BIG, Words } from '../../src/kernel/words.js';
import type { ImageTools, UnpackedImage } from '../driver.js';
import { scanForPayload } from '../payload-scan.js';

const UNPACKED_LIMIT = 256 << 20;
const PAGE = 4096;
const RELA_SIZE = 24n;
/** EP_OFFSET and what stands there: the entry point's signature (arch/s390/boot/head.S). */
const ENTRY_POINT = 0x10008;
const SIGNATURE = [0x53, 0x33, 0x39, 0x30, 0x45, 0x50] as const;

/** Unpacks a bzImage of s390; null when `bytes` is none. */
export async function unpackS390Image(bytes: Uint8Array, tools: ImageTools): Promise<UnpackedImage | null> {
  if (!SIGNATURE.every((byte, index) => bytes[ENTRY_POINT + index] === byte)) return null;
  let info: ImageInfo | null = null;
  const unpacked = await scanForPayload(bytes, ENTRY_POINT, UNPACKED_LIMIT, tools, (kernel, offset) => {
    info = findImageInfo(bytes.subarray(0, offset), kernel.length);
    return info !== null;
  });
  if (unpacked === null) throw badInput('s390 bzImage', 'a compressed kernel inside', 'none that unpacks');
  return {
    format: `bzImage (${unpacked.format})`,
    // Nothing is taken for the payload without it.
    payload: { kind: 'flat', bytes: unpacked.bytes, ...info! },
  };
}

type ImageInfo = Pick<Extract<UnpackedImage['payload'], { kind: 'flat' }>, 'address' | 'memorySize' | 'relocations'>;

/**
 * vmlinux_info: image_size is told from other words by the unpacked size, rounded up to a page; bss_size follows it. From
 * 5.2 to 6.7 default_lma and the entry stand before, and the dynamic symbols and relocations six words behind; later
 * kernels are relocated by a list of their own and hold final values.
 */
function findImageInfo(bytes: Uint8Array, unpackedSize: number): ImageInfo | null {
  const view = new Words(bytes, BIG);
  const imageSize = Math.ceil(unpackedSize / PAGE) * PAGE;
  for (let at = (bytes.length & ~7) - 72; at >= ENTRY_POINT; at -= 8) {
    if (view.uint32(at + 4) !== imageSize || view.uint32(at) !== 0) continue;
    const bss = view.uint64(at + 8);
    if (bss >= BigInt(UNPACKED_LIMIT)) continue;
    const memorySize = BigInt(imageSize) + bss;
    const word = (field: number): bigint => view.uint64(at + field);
    const [address, symbols, start, end] = [word(-16), word(48), word(56), word(64)];
    const isRelocated =
      address > 0n && symbols > address && start > symbols && end > start && end <= address + BigInt(unpackedSize);
    return isRelocated && (end - start) % RELA_SIZE === 0n
      ? { address, memorySize, relocations: { start, end, symbols } }
      : { address: null, memorySize };
  }
  return null;
}
