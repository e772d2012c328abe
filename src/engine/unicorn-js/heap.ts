/** The module's memory, which is Emscripten's heap. */
import { UsercopyError } from '../../errors.js';
import type { Pointer, UnicornJsModule } from './module.js';

/** Bytes and words of an instance's heap. The heap may move whenever the module allocates: views are made anew each time. */
export class Heap {
  constructor(readonly module: UnicornJsModule) {}

  read(pointer: Pointer, length: number): Uint8Array {
    const { HEAPU8 } = this.module;
    if (HEAPU8) return HEAPU8.slice(pointer, pointer + length);
    const bytes = new Uint8Array(length);
    let at = 0;
    // Four at a time where they are aligned, as getValue() asks for.
    for (; at < length && ((pointer + at) & 3) !== 0; at++) bytes[at] = this.module.getValue(pointer + at, 'i8');
    for (; at + 4 <= length; at += 4) {
      const word = this.module.getValue(pointer + at, 'i32');
      bytes[at] = word;
      bytes[at + 1] = word >> 8;
      bytes[at + 2] = word >> 16;
      bytes[at + 3] = word >> 24;
    }
    for (; at < length; at++) bytes[at] = this.module.getValue(pointer + at, 'i8');
    return bytes;
  }

  write(pointer: Pointer, bytes: Uint8Array): void {
    this.module.writeArrayToMemory(bytes, pointer);
  }

  /** An unsigned 32-bit word. */
  u32(pointer: Pointer): number {
    return this.module.getValue(pointer, 'i32') >>> 0;
  }

  u64(pointer: Pointer): bigint {
    return (BigInt(this.u32(pointer + 4)) << 32n) | BigInt(this.u32(pointer));
  }

  setU32(pointer: Pointer, value: number): void {
    this.module.setValue(pointer, value | 0, 'i32');
  }

  setU64(pointer: Pointer, value: bigint): void {
    this.setU32(pointer, Number(value & 0xffff_ffffn));
    this.setU32(pointer + 4, Number(value >> 32n));
  }

  /** A C string of at most 256 bytes. */
  text(pointer: Pointer): string {
    let text = '';
    for (let at = pointer; text.length < 256; at++) {
      const byte = this.module.getValue(at, 'i8');
      if (byte === 0) break;
      text += String.fromCharCode(byte & 0xff);
    }
    return text;
  }

  /** Memory of the module's own; aborts of its allocator become errors. */
  allocate(bytes: number): Pointer {
    let pointer = 0;
    try {
      pointer = this.module._malloc(Math.max(bytes, 1));
    } catch {
      // Emscripten aborts when the heap cannot grow.
    }
    if (pointer === 0)
      throw new UsercopyError('engine', `unicorn.js: expected ${bytes} bytes of its heap, found no room`);
    return pointer;
  }
}
