/** The judge is the kernel's own check: types that are not the kernel's own must contradict it somewhere. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { UsercopyError } from '../../src/errors.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import { nearestOffsetTables, type OffsetTable } from '../../src/image/offset-tables.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { proveTypes } from '../../src/scenario/prove-types.js';
import { provedTypes } from '../../src/scenario/typed-kernel.js';

const RELEASE = '6.1.0-50-686';
const TABLE: OffsetTable = JSON.parse(readFileSync(`arch/x86/offsets/${RELEASE}.json`, 'utf8'));

describe(`types of Debian's ${RELEASE}, whose image has none`, () => {
  let kernel: Kernel | string;
  beforeAll(async () => {
    try {
      const { path } = await fetchKernel('i386', { release: RELEASE });
      kernel = { ...(await loadKernel(path)), types: null };
    } catch (error) {
      if (!(error instanceof UsercopyError) || error.kind !== 'missing-dependency') throw error;
      kernel = error.message;
    }
  });

  it('are found for a release that no table lists, and say so', async (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    const unlisted = { ...kernel, version: { ...kernel.version, release: '6.1.0-999-686' } };
    const types = await provedTypes(unlisted);
    expect(types?.struct('kmem_cache').offset('usersize')).toBe(TABLE.structs['kmem_cache']!.members['usersize']![0]);
    expect(types?.note).toMatch(
      /^types of 6\.1\.0-50-686, \d+ members of them proved by this kernel's own check; not proved: /,
    );
    // What only explains, and that nothing has proved, is not there.
    expect(types?.struct('task_struct').has('comm')).toBe(false);
  }, 120_000);

  for (const [name, by] of [
    ['kmem_cache.usersize', 4],
    ['kmem_cache.name', 8],
    ['slab.slab_cache', 4],
    ['vmap_area.va_end', 8],
    ['task_struct.stack', 4],
  ] as const) {
    it(`contradict the kernel with ${name} ${by} bytes further`, async (context) => {
      if (typeof kernel === 'string') return context.skip(kernel);
      const [struct = '', member = ''] = name.split('.');
      const old = TABLE.structs[struct]!;
      const [offset, size] = old.members[member]!;
      const members = { ...old.members, [member]: [offset + by, size] as const };
      const moved = { ...TABLE, structs: { ...TABLE.structs, [struct]: { ...old, members } } };
      const found = await proveTypes(kernel, moved, new Set([name])).catch((error) => {
        if (error instanceof UsercopyError) return null;
        throw error;
      });
      expect(found?.proved ?? []).not.toContain(name);
    }, 60_000);
  }
});

it('the nearest table is of the same series and flavour, where there is one', async () => {
  const nearest = async (variant: string, arch: string, release: string) =>
    (await nearestOffsetTables(arch, variant, release)).map(({ source }) => source);
  expect((await nearest('i386', 'x86', '6.1.0-56-686-pae'))[0]).toBe('6.1.0-50-686-pae');
  expect((await nearest('i386', 'x86', '5.10.0-46-686'))[0]).toBe('5.10.0-32-686');
  expect((await nearest('arm', 'arm', '6.12.130+deb13-armmp'))[0]).toBe('6.12.117+deb13-armmp');
  expect(await nearest('x86_64', 'x86', '6.1.0')).toEqual([]);
});
