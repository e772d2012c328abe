import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { OffsetTable } from '../../src/image/offset-tables.js';
import { parseConfig } from '../../src/kernel/config.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { keptProof } from '../../src/scenario/kept-proofs.js';
import type { ProofOptions, ProvedTypes } from '../../src/scenario/proved-types.js';
import { kernelWith } from '../introspect/memory.js';

const TABLE: OffsetTable = {
  ...{ variant: 'i386', source: '6.1', releases: ['6.1'], enumerators: {} },
  structs: { page: { size: 64, members: { flags: [0, 4], type: [48, 4] } } },
};
/** Members moved, and one taken away. */
const PROVED: ProvedTypes = {
  table: { ...TABLE, structs: { page: { size: 72, members: { flags: [8, 4] } } } },
  note: 'proved',
};

const check = vi.hoisted(() => ({ bytes: new Uint8Array([1]) }));
vi.mock(import('../../src/engine/built-check.js'), async (original) => {
  const actual = await original();
  return { ...actual, builtCheck: { ...actual.builtCheck, module: () => check.bytes } };
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'proofs-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function kernelOf(byte = 1, changes: Partial<Kernel> = {}): Kernel {
  const segment = { address: 0n, bytes: new Uint8Array([byte]), size: 1n };
  return { ...kernelWith(new Uint8Array()), segments: [segment] as unknown as Kernel['segments'], ...changes };
}

const withSymbols = (...names: string[]): Partial<Kernel> => ({
  symbols: names.map((name) => ({ name, address: 1n, type: 'T', size: 0n })) as unknown as Kernel['symbols'],
});

/** How often types had to be proved. */
async function proofs(...asked: (readonly [Kernel, ProofOptions?])[]): Promise<number> {
  let count = 0;
  for (const [kernel, options = {}] of asked) {
    const prove = async () => {
      count++;
      return PROVED;
    };
    expect(await keptProof(folder, kernel, [TABLE], options, prove)).toEqual(PROVED);
  }
  return count;
}

describe('a proof that is kept', () => {
  it('is done once', async () => {
    expect(await proofs([kernelOf()], [kernelOf()])).toBe(1);
  });

  it.each<[string, Kernel, ProofOptions]>([
    ['another image', kernelOf(2), {}],
    ['another configuration', kernelOf(1, { config: parseConfig('CONFIG_SLAB=y') }), {}],
    ['other symbols', kernelOf(1, withSymbols('one')), {}],
    ['other structures', kernelOf(), { only: new Set(['slab']) }],
    ['other limits', kernelOf(), { mostTrials: 3 }],
  ])('is done again with %s', async (_, kernel, options) => {
    expect(await proofs([kernelOf()], [kernel, options], [kernel, options])).toBe(2);
  });

  it('is done again with another check', async () => {
    expect(await proofs([kernelOf()])).toBe(1);
    check.bytes = new Uint8Array([2]);
    expect(await proofs([kernelOf()], [kernelOf()])).toBe(1);
  });

  it('tells two configurations, and two lists of symbols, apart', async () => {
    const configurations = ['CONFIG_SLAB=y', 'CONFIG_SLUB=y'].map((text) => kernelOf(1, { config: parseConfig(text) }));
    const lists = [withSymbols('one'), withSymbols('one', 'two')].map((symbols) => kernelOf(1, symbols));
    expect(await proofs(...[...configurations, ...lists].map((kernel) => [kernel] as const))).toBe(4);
  });

  const fileOf = (table: object, note: unknown = ''): string => JSON.stringify({ table: { ...TABLE, ...table }, note });

  it.each([
    '{"table": null, "note": "failed"}',
    '{"table": {"structs": null}, "note": ""}',
    '{"table": {"structs": {"page": 5}}, "note": ""}',
    '{"table": {}}',
    fileOf({}, 7),
    fileOf({ structs: { page: 5 } }),
    fileOf({ structs: { page: { size: -1, members: {} } } }),
    fileOf({ structs: { page: { size: 64, members: { flags: [0] } } } }),
    fileOf({ structs: { page: { size: 64, members: { flags: [0, '4'] } } } }),
    fileOf({ enumerators: { PG_slab: 'x' } }),
    fileOf({ releases: '6.1' }),
    // Of a table that nobody has.
    fileOf({ source: '6.2' }),
    fileOf({ structs: {} }),
    fileOf({ structs: { page: { size: 64, members: { other: [0, 4] } } } }),
    'null',
    '',
  ])('is done again where the file says %s', async (text) => {
    await proofs([kernelOf()]);
    const [file, ...others] = readdirSync(folder);
    expect(others).toEqual([]);
    writeFileSync(join(folder, file!), text);
    expect(await proofs([kernelOf()], [kernelOf()])).toBe(1);
  });
});

it('a proof that failed is tried again', async () => {
  const failed: ProvedTypes = { table: null, note: 'no table fits' };
  expect(await keptProof(folder, kernelOf(), [TABLE], {}, async () => failed)).toEqual(failed);
  expect(readdirSync(folder)).toEqual([]);
  expect(await proofs([kernelOf()])).toBe(1);
});
