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
/** The widest. */
const WORD = 8n;
const LOAD_UPPER = 15;

/** Words of code by the bits that tell them. */
const LOADS_UPPER = { mask: 0xffe00000, value: 0x3c000000 } as const;
/** addiu and daddiu: opcodes 9 and 25. */
const ADDS = { mask: 0xbc000000, value: 0x24000000 } as const;
/** sw and sd of $0, without a distance: opcodes 43 and 63. */
const STORES_ZERO = { mask: 0xac1fffff, value: 0xac000000 } as const;
/** Back by two instructions. */
const BRANCHES_BACK = { mask: 0xfc00ffff, value: 0x1400fffd } as const;
/** t0 = __bss_start; *t0 = 0; t1 = the last word of the bss; do { t0 += a word; *t0 = 0 } while (t0 != t1) */
const CLEARS_BSS = [
  ...[LOADS_UPPER, ADDS, STORES_ZERO],
  ...[LOADS_UPPER, ADDS],
  ...[ADDS, STORES_ZERO, BRANCHES_BACK],
] as const;
const FIRST_STORE = 8;
const LAST_WORD = 12;

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
 * Bytes in memory, bss included: kernel_entry (arch/mips/kernel/head.S) clears the bss up to its last word. Null where no code does so as it does.
 */
function memorySizeOf(bytes: Uint8Array, address: bigint): bigint | null {
  const words = new Words(bytes, LITTLE);
  for (let at = 0; at + CLEARS_BSS.length * 4 <= bytes.length; at += 4) {
    if (!CLEARS_BSS.every(({ mask, value }, index) => (words.uint32(at + 4 * index) & mask) >>> 0 === value)) continue;
    const last = pairAt(words, at + LAST_WORD);
    const end = BigInt.asUintN(32, last - address) + WORD;
    if (registerAt(words, at) === registerAt(words, at + FIRST_STORE) && end >= BigInt(bytes.length)) return end;
  }
  return null;
}

/** The address that `lui` and an addition make, its low 32 bits. */
const pairAt = (words: Words, at: number): bigint =>
  BigInt.asIntN(32, BigInt(words.uint32(at) & 0xffff) << 16n) + BigInt.asIntN(16, BigInt(words.uint32(at + 4)));

/** The register that `lui` writes, or that a store goes by. */
const registerAt = (words: Words, at: number): number => {
  const word = words.uint32(at);
  return word >>> 26 === LOAD_UPPER ? (word >>> 16) & 31 : (word >>> 21) & 31;
};

function isOf(bytes: Uint8Array, bits: 32 | 64): boolean {
  const words = new Words(bytes, LITTLE);
  return (
    words.uint32(0) === ELF_MAGIC &&
    words.uint8(4) === CLASS[bits] &&
    words.uint8(5) === LITTLE_ENDIAN &&
    words.uint16(18) === EM_MIPS
  );
}
