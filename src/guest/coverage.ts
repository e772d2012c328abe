/**
 * Which code of a guest ran, block by block, as drcov files: DynamoRIO's format, which Lighthouse, Cartographer and others
 * lay over a disassembly. Version 2: a text that lists modules, then 8 bytes for each block.
 */
import type { Engine, Hook } from '../engine/engine.js';
import { writeWhole } from '../image/files.js';
import type { Kernel } from '../kernel/kernel.js';
import { LITTLE, Words } from '../kernel/words.js';

const BLOCK_BYTES = 8;
const LONGEST_BLOCK = 0xffff;
/** A block's place in its module has 32 bits. */
const MODULE_REACH = 1n << 32n;

interface Module {
  readonly name: string;
  readonly base: bigint;
  end: bigint;
}

/** The blocks that a guest has entered. Costs a call for each block that runs, while it is on. */
export class Coverage {
  /** Bytes of each block; the longest, where several begin at one address. */
  readonly #blocks = new Map<bigint, number>();
  #hook: Hook | null = null;

  watch(engine: Engine): void {
    this.#hook = engine.hookBlock((address, size) => {
      if (size > (this.#blocks.get(address) ?? 0)) this.#blocks.set(address, size);
    });
  }

  stop(): void {
    this.#hook?.remove();
    this.#hook = null;
  }

  /** Different blocks. */
  get count(): number {
    return this.#blocks.size;
  }

  /**
   * Writes what was seen. `image` is the path of the module that the kernel is told as; code elsewhere is of modules `outside`.
   * @throws UsercopyError `bad-input` when the file cannot be written.
   */
  write(path: string, kernel: Kernel, image: string): void {
    writeWhole(path, drcov([...this.#blocks], imageOf(kernel, image)));
  }
}

function imageOf({ symbols, segments }: Kernel, name: string): Module {
  const text = symbols.address('_stext') ?? 0n;
  // What lies far below the text is no part of the image as it is mapped (the per-cpu template).
  const mapped = segments.filter(({ address, size }) => size > 0n && address + MODULE_REACH > text);
  const base = mapped.reduce((low, { address }) => (address < low ? address : low), text);
  const end = mapped.reduce((high, { address, size }) => (address + size > high ? address + size : high), text);
  return { name, base, end };
}

/** The file's bytes. Blocks: address and bytes. */
export function drcov(blocks: readonly (readonly [address: bigint, size: number])[], image: Module): Uint8Array {
  const modules: Module[] = [image];
  const sorted = [...blocks].sort(([one], [other]) => (one < other ? -1 : 1));
  const entries = sorted.map(([address, size]) => {
    const length = Math.min(size, LONGEST_BLOCK);
    let index = modules.findIndex((module) => isInside(module, image, address));
    if (index < 0) index = modules.push({ name: 'outside', base: address, end: address }) - 1;
    // Found, or pushed just now.
    const module = modules[index]!;
    const end = address + BigInt(length);
    if (module !== image && end > module.end) module.end = end;
    return { start: Number(address - module.base), length, index };
  });
  const hex = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;
  const head = [
    'DRCOV VERSION: 2',
    'DRCOV FLAVOR: drcov-64',
    `Module Table: version 2, count ${modules.length}`,
    'Columns: id, base, end, entry, checksum, timestamp, path',
    ...modules.map(({ name, base, end }, id) =>
      [String(id).padStart(3), hex(base), hex(end), hex(0n), '0x00000000', '0x00000000', name].join(', '),
    ),
    `BB Table: ${entries.length} bbs`,
    '',
  ].join('\n');
  const text = Buffer.from(head, 'utf8');
  const words = new Words(new Uint8Array(text.length + entries.length * BLOCK_BYTES), LITTLE);
  words.bytes.set(text);
  entries.forEach(({ start, length, index }, position) => {
    const at = text.length + position * BLOCK_BYTES;
    words.setUint32(at, start);
    words.setUint16(at + 4, length);
    words.setUint16(at + 6, index);
  });
  return words.bytes;
}

/** Of the others none has an end that is known before: they take what is near. */
function isInside(module: Module, image: Module, address: bigint): boolean {
  if (address < module.base) return false;
  return module === image ? address < module.end : address + BigInt(LONGEST_BLOCK) < module.base + MODULE_REACH;
}
