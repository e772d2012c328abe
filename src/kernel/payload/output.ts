import { badInput } from '../../errors.js';

/** A growing output that refuses to become larger than its limit: decompression bombs end here. */
export class OutputBuffer {
  bytes: Uint8Array;
  /** Bytes that are valid. A decoder that writes into `bytes` sets it. */
  length = 0;

  /**
   * @param what names the payload in errors
   * @param limit bytes that may come out
   * @param expected bytes that will probably come out
   */
  constructor(
    readonly what: string,
    readonly limit: number,
    expected: number,
  ) {
    this.bytes = new Uint8Array(Math.min(limit, Math.max(expected, 1 << 16)));
  }

  /** Makes room for `size` bytes in all; the array that is to be written from now on. */
  grow(size: number): Uint8Array {
    if (size > this.limit)
      throw badInput(this.what, `at most ${this.limit} bytes when unpacked`, `more (a decompression bomb?)`);
    if (size > this.bytes.length) {
      const larger = new Uint8Array(Math.min(this.limit, Math.max(size, this.bytes.length * 2)));
      larger.set(this.bytes);
      this.bytes = larger;
    }
    return this.bytes;
  }

  append(chunk: Uint8Array): void {
    const end = this.length + chunk.length;
    if (end > this.bytes.length) this.grow(end);
    this.bytes.set(chunk, this.length);
    this.length = end;
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}
