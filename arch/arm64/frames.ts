/** Frames of arm64: AAPCS64 links records { caller's fp, lr }, and leaves open where in its frame a function keeps its own. */
import { Words, wordFormat } from '../../src/kernel/words.js';
import { uncheckedFrames } from '../common.js';
import type { FrameConvention } from '../driver.js';

/** Instructions before a function has saved its link register, at most: marks for branches, signing and tracing come first. */
const LONGEST_PROLOGUE = 16;

/** stp x29, x30, [sp, #-n]!: the distance is signed, in words. */
const isPushOfRecord = (code: number): boolean => (code & 0xffc07fff) >>> 0 === 0xa9807bfd;
/** stp x29, x30, [sp, #n] */
const isStoreOfRecord = (code: number): boolean => (code & 0xffc07fff) >>> 0 === 0xa9007bfd;
/** sub sp, sp, #n, shifted by 12 bits or not */
const isRoomForFrame = (code: number): boolean => (code & 0xff8003ff) >>> 0 === 0xd10003ff;

const wordsOfPair = (code: number): bigint => BigInt.asIntN(7, BigInt((code >>> 15) & 0x7f)) * 8n;
const bytesOfRoom = (code: number): bigint => BigInt((code >>> 10) & 0xfff) << ((code & (1 << 22)) === 0 ? 0n : 12n);

function recordToEntry(bytes: Uint8Array): bigint | null {
  const words = new Words(bytes, wordFormat(32, true));
  let room = 0n;
  for (let at = 0; at + 4 <= bytes.length && at < 4 * LONGEST_PROLOGUE; at += 4) {
    const code = words.uint32(at);
    // Pushed below what there is, where the distance is negative, or stored inside of it.
    if (isPushOfRecord(code) || isStoreOfRecord(code)) return room - wordsOfPair(code);
    if (isRoomForFrame(code)) room += bytesOfRoom(code);
  }
  return null;
}

/** All kernels keep frame pointers; a function with much on its stack keeps its record above that. */
export const frames: FrameConvention = {
  ...uncheckedFrames({
    kind: 'frame pointers',
    recordAt: 'bottom',
    savedFrame: 0,
    returnAddress: 8,
    bias: 0,
    header: 16,
  }),
  recordToEntry,
};
