/** The judge is the kernel's own check: types that are not the kernel's own must contradict it somewhere. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { UsercopyError } from '../../src/errors.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import { nearestOffsetTables, type OffsetTable } from '../../src/image/offset-tables.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { packageFile } from '../../src/paths.js';
import { proveTypes } from '../../src/scenario/prove-types.js';
import { provedTypes, withMoved } from '../../src/scenario/proved-types.js';

const RELEASE = '6.1.0-50-686';
const TABLE: OffsetTable = JSON.parse(readFileSync(packageFile(`arch/x86/offsets/${RELEASE}.json`), 'utf8'));

/** The table as a kernel would have it whose structure has other members from an offset on. */
function tableMoved(struct: string, from: number, by: number): OffsetTable {
  const moved = withMoved(TABLE, struct, from, by);
  if (moved === null) throw new Error(`expected room for ${by} bytes in ${struct}, found none`);
  return moved;
}

/** The table with one member elsewhere, whatever lies there. */
function memberMoved(table: OffsetTable, name: string, by: number): OffsetTable {
  const [struct = '', member = ''] = name.split('.');
  const old = table.structs[struct]!;
  const [offset, size] = old.members[member]!;
  const members = { ...old.members, [member]: [offset + by, size] as const };
  return { ...table, structs: { ...table.structs, [struct]: { ...old, members } } };
}

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
    const nearest = await nearestOffsetTables('x86', 'i386', '6.1.0-999-686');
    const { table, note } = await provedTypes(kernel, nearest);
    expect(table?.structs['kmem_cache']?.members['usersize']).toEqual(TABLE.structs['kmem_cache']!.members['usersize']);
    expect(note).toMatch(
      /^types of 6\.1\.0-50-686, \d+ members of them proved by this kernel's own check; not proved: /,
    );
    // What only explains, and that nothing has proved, is not there.
    expect(table?.structs['task_struct']?.members).not.toHaveProperty('comm');
  }, 120_000);

  // The kernel's own table is the judge: what is learnt has to be it again.
  for (const [struct, member, by] of [
    ['kmem_cache', 'usersize', 4],
    ['slab', 'slab_cache', -4],
  ] as const) {
    it(`are learnt where members of ${struct} from ${member} on lie elsewhere`, async (context) => {
      if (typeof kernel === 'string') return context.skip(kernel);
      const own = TABLE.structs[struct]!.members;
      const from = own[member]![0];
      const heard: string[] = [];
      const { table, note } = await provedTypes(kernel, [tableMoved(struct, from, by)], {
        only: new Set(['kmem_cache', 'slab']),
        onProgress: (what) => heard.push(what),
      });
      // The kernel's own table is the judge: what is learnt has to be it again.
      const learnt = table?.structs[struct]?.members ?? {};
      const offered = Object.entries(own).filter(([name]) => name !== 'cpu_slab' && name !== 'inuse');
      expect(learnt).toEqual(Object.fromEntries(offered));
      expect(note).toContain(`after learning that members of ${struct} from ${from + by} on lie ${-by} bytes further`);
      expect(heard.at(-1)).toMatch(new RegExp(`^${struct} lies elsewhere: layout \\d+$`));
    }, 120_000);
  }

  it('are not found where the search ends before, and it is said why', async (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    const { table, note } = await provedTypes(kernel, [tableMoved('kmem_cache', 0, 36)], {
      only: new Set(['kmem_cache']),
      mostTrials: 3,
    });
    expect(table).toBeNull();
    expect(note).toMatch(/the kernel contradicts kmem_cache.*; the search .* ended after 3 layouts$/);
  }, 120_000);

  /** Members that lie elsewhere, in two structures where there are two: what one hides the other must not make good. */
  const WRONG = [
    // Nothing is left to make a tree of areas with, so that nothing contradicts it either.
    { moved: [['vmap_area.va_end', 8]], only: ['vmap_area', 'rb_node'] },
    {
      moved: [
        ['vmap_area.rb_node', -4],
        ['rb_node.rb_left', 4],
        ['rb_node.rb_right', 4],
      ],
      only: ['vmap_area', 'rb_node'],
    },
    {
      moved: [
        ['slab.slab_cache', 4],
        ['kmem_cache.usersize', 4],
      ],
      only: ['slab', 'kmem_cache'],
    },
    {
      moved: [
        ['task_struct.stack', 4],
        ['kmem_cache.name', 4],
      ],
      only: ['task_struct', 'kmem_cache'],
    },
  ] as const;

  for (const { moved, only } of WRONG) {
    const what = moved.map(([name, by]) => `${name} ${by}`).join(', ');
    it(`are not taken with ${what} bytes further`, async (context) => {
      if (typeof kernel === 'string') return context.skip(kernel);
      const table = moved.reduce<OffsetTable>((before, [name, by]) => memberMoved(before, name, by), TABLE);
      const options = { only: new Set<string>(only), mostTrials: 0 };
      const found = await provedTypes(kernel, [table], options);
      expect(found.table).toBeNull();
      expect(found.note).toMatch(/contradicts|nothing proves|make no guest/);
    }, 60_000);
  }

  const MOVED = [
    ['kmem_cache.usersize', 4],
    ['kmem_cache.name', 8],
    ['slab.slab_cache', 4],
    ['vmap_area.va_end', 8],
    ['task_struct.stack', 4],
  ] as const;

  it('are proved where they are right', async (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    const names = MOVED.map(([name]) => name);
    const { proved, contradicted } = await proveTypes(kernel, TABLE, { only: new Set(names) });
    expect(new Set(proved)).toEqual(new Set(names));
    expect([...contradicted]).toEqual([]);
  }, 60_000);

  for (const [name, by] of MOVED) {
    it(`contradict the kernel with ${name} ${by} bytes further`, async (context) => {
      if (typeof kernel === 'string') return context.skip(kernel);
      const moved = memberMoved(TABLE, name, by);
      // Types that are too wrong to make a guest of contradict it as well.
      const found = await proveTypes(kernel, moved, { only: new Set([name]) }).catch((error) => {
        if (error instanceof UsercopyError) return null;
        throw error;
      });
      expect(found?.proved ?? []).not.toContain(name);
      // An end of an area that lies over its node leaves no tree to ask about.
      if (found !== null && name !== 'vmap_area.va_end') expect([...found.contradicted.keys()]).toContain(name);
    }, 60_000);
  }
});

// Division by zero does not trap there, for which the types are not blamed.
it.for(['trixie', 'sid'])(
  "are proved on Debian's armhf kernel of %s",
  { timeout: 120_000 },
  async (release, context) => {
    const found = await fetchKernel('arm', { release }).catch((error) => {
      if (!(error instanceof UsercopyError) || error.kind !== 'missing-dependency') throw error;
      return error.message;
    });
    if (typeof found === 'string') return context.skip(found);
    const kernel = { ...(await loadKernel(found.path)), types: null };
    const [nearest] = await nearestOffsetTables('arm', 'arm', kernel.version.release);
    const { proved, contradicted, needed } = await proveTypes(kernel, nearest!);
    expect([...contradicted]).toEqual([]);
    expect(needed.length).toBeGreaterThan(12);
    expect(needed.filter((name) => !proved.includes(name))).toEqual([]);
  },
);

it('the nearest table is of the same series and flavour, where there is one', async () => {
  const nearest = async (variant: string, arch: string, release: string) =>
    (await nearestOffsetTables(arch, variant, release)).map(({ source }) => source);
  expect((await nearest('i386', 'x86', '6.1.0-56-686-pae'))[0]).toBe('6.1.0-50-686-pae');
  expect((await nearest('i386', 'x86', '5.10.0-46-686'))[0]).toBe('5.10.0-32-686');
  expect((await nearest('arm', 'arm', '6.12.130+deb13-armmp'))[0]).toBe('6.12.117+deb13-armmp');
  expect(await nearest('x86_64', 'x86', '6.1.0')).toEqual([]);
});
