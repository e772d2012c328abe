/**
 * Lists of modules made by hand, as include/linux/module.h of the kernels named lays them out: none of these is at hand. Those of
 * 5.10 and later are judged by real dumps (test/dump).
 */
import { describe, expect, it } from 'vitest';
import { Modules } from '../../src/introspect/modules.js';
import { BASE, kernelWith } from './memory.js';

const WORD = 4;
const MODULE = {
  size: 0x80,
  list: 4,
  name: 12,
  core: 0x48,
  coreSize: 0x50,
  symtab: 0x58,
  symbols: 0x5c,
  strings: 0x60,
};
const STRUCTS = {
  // 4.4, 32 bits: the name has 60 bytes, and the memory and the symbols are members of the module.
  module: {
    size: MODULE.size,
    members: {
      list: [MODULE.list, 8],
      name: [MODULE.name, 60],
      module_core: [MODULE.core, WORD],
      core_size: [MODULE.coreSize, 4],
      symtab: [MODULE.symtab, WORD],
      num_symtab: [MODULE.symbols, 4],
      strtab: [MODULE.strings, WORD],
    },
  },
} as const;

/** The head at the start, modules behind it, then a symbol table of one function and its name. */
function listOf(names: readonly string[]): Buffer {
  const tables = 0x100 + names.length * MODULE.size;
  const bytes = Buffer.alloc(tables + 0x100);
  const base = Number(BASE);
  const node = (index: number) => base + (index < 0 ? 0 : 0x100 + index * MODULE.size + MODULE.list);
  const link = (at: number, next: number, before: number) => {
    bytes.writeUInt32LE(next, at - base);
    bytes.writeUInt32LE(before, at - base + WORD);
  };
  const last = names.length - 1;
  link(base, node(last < 0 ? -1 : 0), node(last));
  for (const [index, name] of names.entries()) {
    const at = 0x100 + index * MODULE.size;
    link(node(index), index === last ? base : node(index + 1), node(index - 1));
    bytes.write(name, at + MODULE.name, 'latin1');
    bytes.writeUInt32LE(0xbf000000 + index * 0x10000, at + MODULE.core);
    bytes.writeUInt32LE(0x1000, at + MODULE.coreSize);
    bytes.writeUInt32LE(base + tables, at + MODULE.symtab);
    bytes.writeUInt32LE(1, at + MODULE.symbols);
    bytes.writeUInt32LE(base + tables + 0x40, at + MODULE.strings);
  }
  // Elf32_Sym: name, value, size, info, other, section.
  bytes.writeUInt32LE(1, tables);
  bytes.writeUInt32LE(0xbf000040, tables + 4);
  bytes.writeUInt16LE(1, tables + 14);
  bytes.write('\0probe\0', tables + 0x40, 'latin1');
  return bytes;
}

const read = (bytes: Buffer) => Modules.at(kernelWith(bytes, { bits: 32, structs: STRUCTS }), BASE);

describe('modules of 4.4 in a kernel of 32 bits', () => {
  it('have names of up to 59 characters, memory and symbols', () => {
    const long = 'm'.repeat(59);
    const modules = read(listOf([long, 'widget']));
    expect(modules?.names).toEqual([long, 'widget']);
    expect(modules?.find(0xbf010010n)?.module).toBe('widget');
    expect(modules?.find(0xbf000044n)).toEqual({ module: long, symbol: 'probe', offset: 4n });
    expect(modules?.contains(0xbf001000n)).toBe(false);
  });

  it('are all there, however many', () => {
    expect(read(listOf(Array.from({ length: 5000 }, (_, index) => `m${index}`)))?.names).toHaveLength(5000);
    expect(read(listOf([]))?.names).toEqual([]);
  });

  it('that are linked to something else are none', () => {
    const bytes = listOf(['one', 'two']);
    bytes.writeUInt32LE(0, 0x100 + MODULE.list + WORD);
    expect(read(bytes)).toBeNull();
  });
});
