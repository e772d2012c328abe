/**
 * s390's bzImage: a decompressor linked for address 0 with the flat kernel as its data, and a structure `vmlinux_info`
 * (arch/s390/boot/boot.h) somewhere before it. Of that structure only two neighbours are used that every version has:
 * image_size and bss_size.
 */
import { badInput } from '../../src/errors.js';
import type { ImageTools, UnpackedImage } from '../driver.js';
import { scanForPayload } from '../payload-scan.js';

const UNPACKED_LIMIT = 256 << 20;
/** EP_OFFSET and what stands there: the entry point's signature (arch/s390/boot/head.S). */
const ENTRY_POINT = 0x10008;
const SIGNATURE = [0x53, 0x33, 0x39, 0x30, 0x45, 0x50] as const;

/** Unpacks a bzImage of s390; null when `bytes` is none. The address is left to the loader. */
export async function unpackS390Image(bytes: Uint8Array, tools: ImageTools): Promise<UnpackedImage | null> {
  if (!SIGNATURE.every((byte, index) => bytes[ENTRY_POINT + index] === byte)) return null;
  let bss = 0n;
  const unpacked = await scanForPayload(bytes, ENTRY_POINT, UNPACKED_LIMIT, tools, (kernel, offset) => {
    const found = bssSize(bytes.subarray(0, offset), kernel.length);
    bss = found ?? 0n;
    return found !== null;
  });
  if (unpacked === null) throw badInput('s390 bzImage', 'a compressed kernel inside', 'none that unpacks');
  return {
    format: `bzImage (${unpacked.format})`,
    payload: {
      kind: 'flat',
      bytes: unpacked.bytes,
      address: null,
      memorySize: BigInt(unpacked.bytes.length) + bss,
    },
  };
}

/** vmlinux_info.bss_size: the doubleword after the one that holds the unpacked size. */
function bssSize(bytes: Uint8Array, imageSize: number): bigint | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = (bytes.length & ~7) - 16; at >= ENTRY_POINT; at -= 8) {
    if (view.getUint32(at + 4) !== imageSize || view.getUint32(at) !== 0) continue;
    const size = view.getBigUint64(at + 8);
    if (size < BigInt(UNPACKED_LIMIT)) return size;
  }
  return null;
}
