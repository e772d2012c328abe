/**
 * mips' vmlinuz: an ELF file of the decompressor with the flat kernel as its data (arch/mips/boot/compressed). It has no symbols, and
 * where the payload begins nothing says.
 */
import { LITTLE, Words, wordFormat } from '../../src/kernel/words.js';
import type { ImageTools, UnpackedImage } from '../driver.js';
import { scanForPayload } from '../payload-scan.js';

const UNPACKED_LIMIT = 256 << 20;
const HEADER_SIZE = 52;
const ELF_MAGIC = 0x464c457f;
const EM_MIPS = 8;
/** ELF's class and byte order. */
const CLASS = { 32: 1, 64: 2 } as const;
const LITTLE_ENDIAN = 1;
/** A kernel unpacks to more than its decompressor has; bytes. */
const SMALLEST_KERNEL = 1 << 20;
/** e_entry. */
const ENTRY = 24;
const DECOMPRESSOR_ALIGNMENT = 0x10000n;
const EXCEPTION_VECTORS = 0x400;
const LONGEST_ENTRY = 512;
/** The widest. */
const WORD = 8n;
/** Opcodes; `lui` with its unused register. */
const JUMP = 2;
const BRANCH_NOT_EQUAL = 5;
const LOAD_UPPER = 15 << 5;
const ADD_IMMEDIATE = new Set([9, 25]);

/** Unpacks a vmlinuz of this width; null when `bytes` is none, a vmlinux among them. */
export async function unpackMipsImage(
  bytes: Uint8Array,
  bits: 32 | 64,
  tools: ImageTools,
): Promise<UnpackedImage | null> {
  if (bytes.length < HEADER_SIZE || !isOf(bytes, bits)) return null;
  const unpacked = await scanForPayload(
    bytes,
    HEADER_SIZE,
    UNPACKED_LIMIT,
    tools,
    (kernel, offset) => kernel.length >= SMALLEST_KERNEL && kernel.length > bytes.length - offset,
  );
  if (unpacked === null) return null;
  const address = addressOf(new Words(bytes, wordFormat(bits, true)).word(ENTRY), unpacked.bytes.length);
  return {
    format: `vmlinuz (${unpacked.format})`,
    payload: { kind: 'flat', bytes: unpacked.bytes, address, memorySize: memorySizeOf(unpacked.bytes, address) },
  };
}

/** The decompressor is linked behind the kernel that it unpacks, at the next 64 KiB (arch/mips/boot/compressed/calc_vmlinuz_load_addr.c). */
const addressOf = (entry: bigint, unpackedSize: number): bigint =>
  (entry - BigInt(unpackedSize)) & ~(DECOMPRESSOR_ALIGNMENT - 1n);

/**
 * Bytes in memory, bss included: kernel_entry (arch/mips/kernel/head.S) clears the bss up to its last word, whose address it makes of
 * two halves. The image begins with room for exception vectors and a jump to it. Null where there is other code.
 */
function memorySizeOf(bytes: Uint8Array, address: bigint): bigint | null {
  const words = new Words(bytes, LITTLE);
  const jump = words.uint32(EXCEPTION_VECTORS);
  if (jump >>> 26 !== JUMP) return null;
  const entry = Number((BigInt(jump & 0x3ffffff) << 2n) - (address & 0xfffffffn));
  let end: bigint | null = null;
  for (let at = entry; at >= 0 && at + 8 <= bytes.length && at < entry + LONGEST_ENTRY; at += 4) {
    const [high, low] = [words.uint32(at), words.uint32(at + 4)];
    const isPair =
      high >>> 21 === LOAD_UPPER && ADD_IMMEDIATE.has(low >>> 26) && ((low >>> 16) & 31) === ((high >>> 16) & 31);
    if (isPair) {
      const last = BigInt.asIntN(32, BigInt(high & 0xffff) << 16n) + BigInt.asIntN(16, BigInt(low));
      end = BigInt.asUintN(32, last - address) + WORD;
    }
    // bne: the loop that clears is over.
    if (high >>> 26 === BRANCH_NOT_EQUAL) return end !== null && end >= BigInt(bytes.length) ? end : null;
  }
  return null;
}

function isOf(bytes: Uint8Array, bits: 32 | 64): boolean {
  const words = new Words(bytes, LITTLE);
  return (
    words.uint32(0) === ELF_MAGIC &&
    words.uint8(4) === CLASS[bits] &&
    words.uint8(5) === LITTLE_ENDIAN &&
    words.uint16(18) === EM_MIPS
  );
}
