import type { Slot } from '../../../src/check/parameters.js';

/** A bump allocator over one region of guest memory, that stores words as the guest would. */
export class GuestBuilder {
  readonly bytes: Uint8Array;
  private used = 0;

  constructor(
    readonly address: bigint,
    size: number,
    private readonly wordBytes: number,
    private readonly bigEndian: boolean,
  ) {
    this.bytes = new Uint8Array(size);
  }

  allocate(size: number, alignment = 8): bigint {
    this.used = Math.ceil(this.used / alignment) * alignment;
    const address = this.address + BigInt(this.used);
    this.used += size;
    if (this.used > this.bytes.length) throw new Error('the test world is too small for its structures');
    return address;
  }

  store(address: bigint, size: number, value: bigint): void {
    const offset = Number(address - this.address);
    if (offset < 0 || offset + size > this.bytes.length) throw new Error('a store outside the test world');
    let rest = BigInt.asUintN(size * 8, value);
    for (let i = 0; i < size; i++) {
      this.bytes[offset + (this.bigEndian ? size - 1 - i : i)] = Number(rest & 0xffn);
      rest >>= 8n;
    }
  }

  storeWord(address: bigint, value: bigint): void {
    this.store(address, this.wordBytes, value);
  }

  storeField(base: bigint, slot: Slot, value: bigint): void {
    this.store(base + BigInt(slot.offset), slot.size, value);
  }

  string(text: string): bigint {
    const address = this.allocate(text.length + 1, 1);
    for (let i = 0; i < text.length; i++) this.store(address + BigInt(i), 1, BigInt(text.charCodeAt(i)));
    return address;
  }
}
