/** A dump that remembers which of its pages, and which of their bytes, were read. */
import { type KernelRecord, RecordingKernel } from '../dump/kernel-record.js';
import type { Dump } from '../dump/open-dump.js';
import type { Absence, MemoryRange, PhysicalMemory } from '../dump/physical.js';
import { VirtualMemory } from '../dump/virtual.js';

export const PAGE = 4096;
/** Read-only data behind the text, where no symbol says its end. */
const RODATA_AT_MOST = 16n << 20n;

class TouchedMemory implements PhysicalMemory {
  readonly #memory: PhysicalMemory;
  /** Page number → a byte for each of its bytes: 1 where it was read. */
  readonly pages = new Map<bigint, Uint8Array>();

  constructor(memory: PhysicalMemory) {
    this.#memory = memory;
  }

  get ranges(): readonly MemoryRange[] {
    return this.#memory.ranges;
  }

  get overlapping(): bigint {
    return this.#memory.overlapping;
  }

  read(address: bigint, length: number): Uint8Array | undefined {
    const bytes = this.#memory.read(address, length);
    if (bytes) this.note(address, length);
    return bytes;
  }

  readInto(address: bigint, target: Uint8Array): boolean {
    const has = this.#memory.readInto(address, target);
    if (has) this.note(address, target.length);
    return has;
  }

  absence(address: bigint): Absence | null {
    return this.#memory.absence(address);
  }

  /** Whole pages are read by emulators, which say themselves what they used of them. */
  note(address: bigint, length: number): void {
    for (let at = address; at < address + BigInt(length); ) {
      const page = at / BigInt(PAGE);
      const within = Number(at % BigInt(PAGE));
      const count = Math.min(PAGE - within, Number(address + BigInt(length) - at));
      let used = this.pages.get(page);
      if (!used) {
        used = new Uint8Array(PAGE);
        this.pages.set(page, used);
      }
      if (count < PAGE) used.fill(1, within, within + count);
      at += BigInt(count);
    }
  }
}

/** A dump, seen through a recorder that begins with nothing. */
export class RecordedDump {
  readonly dump: Dump;
  readonly #memory: TouchedMemory;
  readonly #kernel: RecordingKernel;

  constructor(dump: Dump) {
    this.#memory = new TouchedMemory(dump.physical);
    const { located, registers, variant } = dump;
    const memory = new VirtualMemory(this.#memory, variant.dump!, located.memory.tables, registers);
    memory.show(located.memory.hidden);
    this.#kernel = new RecordingKernel({ ...dump.kernel, read: (address, length) => memory.read(address, length) });
    this.dump = { ...dump, kernel: this.#kernel.kernel, physical: this.#memory, located: { ...located, memory } };
  }

  /** Page number (4 KiB) → its bytes: 1 where one was read. */
  get pages(): ReadonlyMap<bigint, Uint8Array> {
    return this.#memory.pages;
  }

  get kernel(): KernelRecord {
    return this.#kernel.record;
  }

  /** A load by code in an emulator, by virtual address. */
  noteLoad(address: bigint, length: number): void {
    for (let done = 0; done < length; done++) {
      const found = this.dump.located.memory.translate(address + BigInt(done));
      if (found) this.#memory.note(found.physical, 1);
    }
  }

  /**
   * Of the virtual pages that an emulator had, those of the kernel image count whole: they are the same on every machine,
   * and not every instruction shows what it executes or searches through.
   */
  keepImage(pages: readonly bigint[]): void {
    const { kernel, located } = this.dump;
    const start = kernel.symbols.address('_stext');
    const end =
      kernel.symbols.address('__end_rodata') ??
      (kernel.symbols.address('_etext') ?? start ?? 0n) + (start === undefined ? 0n : RODATA_AT_MOST);
    for (const page of pages) {
      const found = start !== undefined && page + BigInt(PAGE) > start && page < end && located.memory.translate(page);
      if (found) this.#memory.pages.get(found.physical / BigInt(PAGE))?.fill(1);
    }
  }
}
