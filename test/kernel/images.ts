/** Small images with everything that the loader looks for, written here from the formats' descriptions. */
import type { Bits, Endian } from '../../src/kernel/kernel.js';

export interface SampleSymbol {
  readonly type: string;
  readonly name: string;
  readonly address: bigint;
}

/** Bytes in one byte order, growing at the end. */
export class Writer {
  #parts: Uint8Array[] = [];
  length = 0;

  constructor(
    readonly bits: Bits,
    readonly endian: Endian,
  ) {}

  bytes(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.length += bytes.length;
    return this;
  }

  uint(value: number | bigint, size: number): this {
    const bytes = new Uint8Array(size);
    let rest = BigInt.asUintN(size * 8, BigInt(value));
    for (let i = 0; i < size; i++) {
      bytes[this.endian === 'little' ? i : size - 1 - i] = Number(rest & 0xffn);
      rest >>= 8n;
    }
    return this.bytes(bytes);
  }

  word(value: number | bigint): this {
    return this.uint(value, this.bits / 8);
  }

  align(alignment: number): this {
    return this.bytes(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }

  finish(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#parts));
  }
}

/** Layouts of kallsyms, by the kernel that brought them. */
export type KallsymsEra = '4.0' | '4.6' | '4.20' | '6.2' | '6.4' | '7.0' | '7.0, not relocatable';

export const TOKENS = ['sys_', 'init', '__x64', 'copy', 'user', 'check', 'slab', 'folio', 'page', 'object', 'table'];

/** 700 symbols, some of one name, one at another's address, two with names longer than 127 tokens. */
export function sampleSymbols(base: bigint): SampleSymbol[] {
  const symbols: SampleSymbol[] = [{ type: 'T', name: '_text', address: base }];
  for (let i = 0; i < 700; i++) {
    const name = i % 97 === 5 ? 'static_twin' : `${TOKENS[i % TOKENS.length]}_${TOKENS[(i * 7) % TOKENS.length]}.${i}`;
    symbols.push({ type: 'tTdDrR'[i % 6]!, name, address: base + BigInt(0x10 + i * 0x24) });
  }
  symbols.push({ type: 'T', name: 'alias_of_last', address: symbols.at(-1)!.address });
  symbols.push({ type: 't', name: `zZ_${'Q'.repeat(200)}`, address: base + 0x8000n });
  symbols.push({ type: 't', name: `zZ_${'K'.repeat(300)}`, address: base + 0x9000n });
  return symbols;
}

/**
 * What scripts/kallsyms.c would have written; `perCpu` symbols come first and are absolute. `tableAddress` is where the
 * table's first byte is linked.
 */
export function writeKallsyms(
  bits: Bits,
  endian: Endian,
  era: KallsymsEra,
  symbols: readonly SampleSymbol[],
  base: bigint,
  absolutePerCpu: boolean,
  tableAddress = base,
): Uint8Array {
  const out = new Writer(bits, endian);
  const word = bits / 8;
  const relative = era !== '4.0' && era !== '7.0, not relocatable';
  const isBehindTokens = era === '6.4' || era.startsWith('7.0');
  const addresses = () => {
    out.align(word);
    if (era === '7.0') for (const { address } of symbols) out.uint(address - tableAddress - BigInt(out.length), 4);
    else if (!relative) for (const { address } of symbols) out.word(address);
    else {
      for (const { address } of symbols)
        out.uint(
          absolutePerCpu && address >= base ? base - 1n - address : absolutePerCpu ? address : address - base,
          4,
        );
      out.align(word).word(base);
    }
  };
  const sequences = () => {
    out.align(word);
    for (let i = 0; i < symbols.length; i++) {
      const sequence = (i * 7919) % symbols.length;
      out.bytes(Uint8Array.of(sequence >> 16, sequence >> 8, sequence));
    }
  };

  const used = new Set(symbols.flatMap(({ type, name }) => [...type, ...name]).concat([...'0123456789']));
  const spare = TOKENS.slice();
  const tokens = Array.from({ length: 256 }, (_, code) => {
    const character = String.fromCharCode(code);
    return used.has(character) ? character : (spare.pop() ?? `#${code}`);
  });
  const codes = new Map(tokens.map((token, code) => [token, code]));

  if (!isBehindTokens) addresses();
  out.align(word);
  if (era === '4.0' || era === '4.6') out.word(symbols.length);
  else out.uint(symbols.length, 4).align(word);
  const markers: number[] = [];
  const names = out.length;
  for (const [index, { type, name }] of symbols.entries()) {
    if (index % 256 === 0) markers.push(out.length - names);
    const encoded: number[] = [];
    for (let rest = type + name; rest !== ''; ) {
      const token = TOKENS.find((candidate) => rest.startsWith(candidate)) ?? rest[0]!;
      encoded.push(codes.get(token)!);
      rest = rest.slice(token.length);
    }
    const length = encoded.length < 128 ? [encoded.length] : [(encoded.length & 127) | 128, encoded.length >> 7];
    out.bytes(Uint8Array.from([...length, ...encoded]));
  }
  out.align(word);
  for (const marker of markers) {
    if (era === '4.0' || era === '4.6') out.word(marker);
    else out.uint(marker, 4);
  }
  if (era === '6.2') sequences();
  out.align(word);
  const table = out.length;
  const starts = tokens.map((token) => {
    const start = out.length - table;
    out.bytes(Buffer.from(`${token}\0`, 'latin1'));
    return start;
  });
  out.align(word);
  for (const start of starts) out.uint(start, 2);
  if (isBehindTokens) {
    addresses();
    sequences();
  }
  return out.align(word).finish();
}

export interface SampleSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly link?: number;
}

/** An ELF file of one loaded segment (the first section's address on) that holds `memory`, and sections of their own. */
export function writeElf(
  bits: Bits,
  endian: Endian,
  machine: number,
  address: bigint,
  memory: Uint8Array,
  memorySize: number,
  sections: readonly SampleSection[] = [],
): Uint8Array {
  const wide = bits === 64;
  const headerSize = wide ? 64 : 52;
  const programHeaderSize = wide ? 56 : 32;
  const sectionHeaderSize = wide ? 64 : 40;
  const nameTable = { name: '.shstrtab', type: 3, flags: 0, address: 0n, bytes: new Uint8Array(0) };
  const all: SampleSection[] = sections.length === 0 ? [] : [...sections, nameTable];
  const names = Buffer.from(`\0${all.map(({ name }) => `${name}\0`).join('')}`, 'latin1');
  const data = 4096;
  let at = data + memory.length;
  const placed = all.map((section) => {
    const bytes = section === nameTable ? names : section.bytes;
    at = Math.ceil(at / 8) * 8;
    const offset = at;
    at += bytes.length;
    return { ...section, bytes, offset };
  });
  const headers = Math.ceil(at / 8) * 8;

  const out = new Writer(bits, endian);
  out.bytes(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, endian === 'little' ? 1 : 2, 1)).align(16);
  out.uint(2, 2).uint(machine, 2).uint(1, 4).word(address).word(headerSize);
  out
    .word(placed.length === 0 ? 0 : headers)
    .uint(0, 4)
    .uint(headerSize, 2)
    .uint(programHeaderSize, 2)
    .uint(1, 2);
  out
    .uint(sectionHeaderSize, 2)
    .uint(placed.length === 0 ? 0 : placed.length + 1, 2)
    .uint(placed.length, 2);
  out.uint(1, 4);
  if (wide) out.uint(7, 4).word(data).word(address).word(0x1000000).word(memory.length).word(memorySize).word(4096);
  else out.word(data).word(address).word(0x1000000).word(memory.length).word(memorySize).uint(7, 4).word(4096);
  out.align(data).bytes(memory);
  for (const { offset, bytes } of placed) out.bytes(new Uint8Array(offset - out.length)).bytes(bytes);
  if (placed.length > 0) {
    out.bytes(new Uint8Array(headers - out.length + sectionHeaderSize));
    let name = 1;
    for (const section of placed) {
      out.uint(name, 4).uint(section.type, 4).word(section.flags).word(section.address).word(section.offset);
      out
        .word(section.bytes.length)
        .uint(section.link ?? 0, 4)
        .uint(0, 4)
        .word(1)
        .word(0);
      name += section.name.length + 1;
    }
  }
  return out.finish();
}

/** BTF, type by type; answers the id that the next type will get. */
export class BtfWriter {
  readonly #types: Writer;
  #strings = '\0';
  nextId = 1;

  constructor(
    bits: Bits,
    readonly endian: Endian,
  ) {
    this.#types = new Writer(bits, endian);
  }

  /** `tail`: words behind the first three. */
  type(kind: number, name: string, sizeOrType: number, count = 0, flag = false, tail: readonly number[] = []): number {
    this.#types
      .uint(this.name(name), 4)
      .uint((flag ? 2 ** 31 : 0) + kind * 2 ** 24 + count, 4)
      .uint(sizeOrType, 4);
    for (const word of tail) this.#types.uint(word, 4);
    return this.nextId++;
  }

  int(name: string, size: number, bits = size * 8): number {
    return this.type(1, name, size, 0, false, [bits]);
  }

  /** Members: name, type, bit offset, and bit size for a bitfield. */
  struct(
    kind: 4 | 5,
    name: string,
    size: number,
    members: readonly (readonly [string, number, number, number?])[],
  ): number {
    const flag = members.some(([, , , bitSize]) => bitSize !== undefined);
    const tail = members.flatMap(([member, type, offset, bitSize]) => [
      this.name(member),
      type,
      (bitSize ?? 0) * 2 ** 24 + offset,
    ]);
    return this.type(kind, name, size, members.length, flag, tail);
  }

  name(text: string): number {
    if (text === '') return 0;
    const found = this.#strings.indexOf(`\0${text}\0`);
    if (found >= 0) return found + 1;
    const offset = this.#strings.length;
    this.#strings += `${text}\0`;
    return offset;
  }

  finish(): Uint8Array {
    const types = this.#types.finish();
    const out = new Writer(32, this.endian).uint(0xeb9f, 2).uint(1, 1).uint(0, 1).uint(24, 4);
    out.uint(0, 4).uint(types.length, 4).uint(types.length, 4).uint(this.#strings.length, 4);
    return out.bytes(types).bytes(Buffer.from(this.#strings, 'latin1')).finish();
  }
}
