import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import binaryen from 'binaryen';
import { beforeAll, describe, expect, it } from 'vitest';
import { Check } from '../../src/check/check.js';
import { exportedNumbers } from '../../src/check/executors.js';
import { constantName } from '../../src/check/layout.js';
import { ACCEPTANCES, REFUSALS } from '../../src/check/verdict.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { packageFile } from '../../src/paths.js';

/** Sections of a module by id, with their bytes: id, LEB128 size, payload (WebAssembly core specification, 5.5). */
function sections(bytes: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (let at = 8; at < bytes.length; ) {
    const id = bytes[at++]!;
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      size |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    found.set(id, bytes.subarray(at, at + size));
    at += size;
  }
  return found;
}

const TABLE = 4;
const MEMORY = 5;
const START = 8;
const ELEMENT = 9;
const DATA_COUNT = 12;
const DATA = 11;

describe('check.wasm can be compiled ahead of time', () => {
  let bytes: Uint8Array;
  beforeAll(async () => {
    bytes = await readFile(fileURLToPath(new URL('../../build/check.wasm', import.meta.url)));
  });

  it('imports its memory and one function, and nothing else', () => {
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>));
    expect(imports.map((entry) => `${entry.kind} ${entry.module}.${entry.name}`).sort()).toEqual([
      'function host.read',
      'memory env.memory',
    ]);
  });

  it('exports its five functions; the rest are numbers', () => {
    const exports = WebAssembly.Module.exports(new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>));
    expect(exports.filter((entry) => entry.kind === 'function').map((entry) => entry.name)).toEqual([
      'check',
      'checkOutermost',
      'checkBatch',
      'checkOutermostBatch',
      'look',
    ]);
    expect(new Set(exports.map((entry) => entry.kind))).toEqual(new Set(['function', 'global']));
  });

  it('has no table, memory of its own, start function or data segment', () => {
    const found = sections(bytes);
    for (const id of [TABLE, MEMORY, START, ELEMENT, DATA, DATA_COUNT])
      expect(found.has(id), `section ${id}`).toBe(false);
  });

  it('has no mutable global and never grows its memory', () => {
    const module = binaryen.readBinary(bytes);
    try {
      for (let i = 0; i < module.getNumGlobals(); i++) {
        expect(binaryen.getGlobalInfo(module.getGlobalByIndex(i)).mutable).toBe(false);
      }
      const text = module.emitText();
      expect(text).toContain('i64.load');
      expect(text).not.toContain('memory.grow');
      expect(text).not.toContain('global.set');
      expect(text).not.toContain('call_indirect');
    } finally {
      module.dispose();
    }
  });

  it('numbers every verdict that there is a word for, and no other', async () => {
    const numbers = await exportedNumbers(builtCheck, bytes);
    const members = (enumeration: string) =>
      [...numbers.keys()].filter((name) => name.startsWith(`${enumeration}.`)).map((name) => name.split('.')[1]);
    expect(members('Refusal').sort()).toEqual(REFUSALS.map(constantName).sort());
    expect(members('Acceptance').sort()).toEqual(ACCEPTANCES.map(constantName).sort());
  });

  it('exports the place of every field of its structures', async () => {
    const numbers = await exportedNumbers(builtCheck, bytes);
    const source = readFileSync(packageFile('assembly/context.ts'), 'utf8');
    const structures = [...source.matchAll(/@unmanaged\nexport class (\w+) \{\n(.*?)\n\}/gs)];
    expect(structures.map(([, name]) => name)).toContain('Context');
    for (const [, name, body] of structures) {
      const fields = [...body!.matchAll(/^ {2}(\w+): \w+;/gm)].map((match) => match[1]);
      expect(fields.length).toBeGreaterThan(1);
      const places = fields.map((field) => numbers.get(`${name}Layout.${field}`));
      expect(places).toEqual([...new Set(places)].sort((a, b) => a! - b!));
      expect(numbers.get(`${name}Layout.BYTES`)).toBeGreaterThan(places.at(-1)!);
    }
  });

  it('refuses what is no module, or another one, with one sentence', async () => {
    await expect(Check.create({ source: builtCheck, guestBytes: 0, wasm: new Uint8Array([1, 2, 3]) })).rejects.toThrow(
      /check\.wasm: expected a WebAssembly module/,
    );
    const empty = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    await expect(Check.create({ source: builtCheck, guestBytes: 0, wasm: empty })).rejects.toThrow(
      /expected the export/,
    );
  });

  it('refuses more guest memory than linear memory holds', async () => {
    await expect(Check.create({ source: builtCheck, guestBytes: 3.5 * 2 ** 30 })).rejects.toThrow(/at most \d+ bytes/);
    await expect(Check.create({ source: builtCheck, guestBytes: -1 })).rejects.toThrow(/whole number/);
  });

  it('lays guest memory at a multiple of 64 KiB in a memory that cannot grow', async () => {
    const check = await Check.create({ source: builtCheck, guestBytes: 100_000 });
    expect(check.guestOffset % 65536).toBe(0);
    expect(check.memory.buffer.byteLength).toBe(check.guestOffset + 131072);
    expect(() => check.memory.grow(1)).toThrow();
  });
});
