/** A dump that remembers which of its pages, and which of their bytes, were read. */
import { type KernelRecord, RecordingKernel } from '../dump/kernel-record.js';
import type { Dump } from '../dump/open-dump.js';
import type { Absence, MemoryRange, PhysicalMemory } from '../dump/physical.js';

export const PAGE = 4096;
/** Read-only data behind the text, where no symbol says its end. */
const RODATA_AT_MOST = 16n << 20n;

/** Page number → a byte for each of its bytes: 1 where it was read. */
class TouchedPages extends Map<bigint, Uint8Array> {
  /** `bytes` false: the pages are needed, which of their bytes is told otherwise. */
  note(address: bigint, length: number, bytes: boolean): void {
    for (let at = address; at < address + BigInt(length); ) {
      const page = at / BigInt(PAGE);
      const within = Number(at % BigInt(PAGE));
      const count = Math.min(PAGE - within, Number(address + BigInt(length) - at));
      let used = this.get(page);
      if (!used) {
        used = new Uint8Array(PAGE);
        this.set(page, used);
      }
      if (bytes) used.fill(1, within, within + count);
      at += BigInt(count);
    }
  }
}

class TouchedMemory implements PhysicalMemory {
  readonly #memory: PhysicalMemory;
  readonly #note: (address: bigint, length: number) => void;

  constructor(memory: PhysicalMemory, note: (address: bigint, length: number) => void) {
    this.#memory = memory;
    this.#note = note;
  }

  get ranges(): readonly MemoryRange[] {
    return this.#memory.ranges;
  }

  get overlapping(): bigint {
    return this.#memory.overlapping;
  }

  read(address: bigint, length: number): Uint8Array | undefined {
    const bytes = this.#memory.read(address, length);
    if (bytes) this.#note(address, length);
    return bytes;
  }

  readInto(address: bigint, target: Uint8Array): boolean {
    const has = this.#memory.readInto(address, target);
    if (has) this.#note(address, target.length);
    return has;
  }

  searched(): Iterable<MemoryRange> {
    return this.#memory.searched();
  }

  absence(address: bigint): Absence | null {
    return this.#memory.absence(address);
  }
}

/** A dump, seen through a recorder that begins with nothing. */
export class RecordedDump {
  /** For those who read what they need. */
  readonly dump: Dump;
  /** For emulators, which take whole pages; what they use of them is told to `noteLoad`. */
  readonly emulated: Dump;
  readonly #touched = new TouchedPages();
  /** Virtual pages that emulators had. */
  readonly #emulatedPages = new Set<bigint>();
  readonly #kernel: RecordingKernel;

  constructor(dump: Dump) {
    this.#kernel = new RecordingKernel(dump.kernel);
    this.dump = this.#view(dump, true);
    this.emulated = this.#view(dump, false);
  }

  #view(dump: Dump, bytes: boolean): Dump {
    const { located } = dump;
    const over = (noted: boolean): PhysicalMemory =>
      new TouchedMemory(dump.physical, (address, length) => this.#touched.note(address, length, noted));
    const physical = over(bytes);
    // Who walks page tables reads what it needs of them, whoever wants the page.
    const memory = located.memory.over(physical, over(true));
    const read = (address: bigint, length: number): Uint8Array | undefined => {
      if (!bytes) this.#emulatedPages.add(address - (address % BigInt(PAGE)));
      return memory.read(address, length);
    };
    const kernel = Object.freeze({ ...this.#kernel.kernel, read });
    return { ...dump, kernel, physical, located: { ...located, memory } };
  }

  /** Page number (4 KiB) → its bytes: 1 where one was read. */
  get pages(): ReadonlyMap<bigint, Uint8Array> {
    return this.#touched;
  }

  get kernel(): KernelRecord {
    return this.#kernel.record;
  }

  /** A load by code in an emulator. */
  noteLoad(physical: bigint, length: number): void {
    this.#touched.note(physical, length, true);
  }

  /**
   * Of the virtual pages that emulators had (`pages`, and what they read), those of the kernel image count whole: they are the same on every machine,
   * and not every instruction shows what it executes or searches through.
   */
  keepImage(pages: readonly bigint[]): void {
    const { kernel, located } = this.dump;
    const start = kernel.symbols.address('_stext');
    const end =
      kernel.symbols.address('__end_rodata') ??
      (kernel.symbols.address('_etext') ?? start ?? 0n) + (start === undefined ? 0n : RODATA_AT_MOST);
    for (const page of new Set([...pages, ...this.#emulatedPages])) {
      const found = start !== undefined && page + BigInt(PAGE) > start && page < end && located.memory.translate(page);
      if (found) this.#touched.get(found.physical / BigInt(PAGE))?.fill(1);
    }
  }
}
