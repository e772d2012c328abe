/** What could not be found out about a kernel is said, and only where its check would ask. */
import { expect, it } from 'vitest';
import { findVariant } from '../../arch/index.js';
import type { Introspection } from '../../src/check/parameters.js';
import { parseProfile } from '../../src/check/profiles.js';
import { typesFromTable } from '../../src/image/offset-tables.js';
import { cmaFacts } from '../../src/introspect/pages.js';
import { unknownsOf } from '../../src/introspect/unknowns.js';
import { parseConfig } from '../../src/kernel/config.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { kernelWith } from './memory.js';

const layout = {
  ...findVariant('x86_64')!.layout(kernelWith(new Uint8Array(0))),
  pageValidity: { kind: 'sparsemem', sectionSizeBits: 27, physicalAddressBits: 46 } as const,
};

interface Made {
  readonly config?: string;
  readonly symbols?: Readonly<Record<string, bigint>>;
  readonly structs?: Parameters<typeof typesFromTable>[0]['structs'];
}

function made({ config, symbols = {}, structs = {} }: Made): Kernel {
  const kernel = kernelWith(new Uint8Array(64));
  const sections = {
    mem_section: { size: 32, members: { usage: [8, 8] as const } },
    mem_section_usage: { size: 16, members: { pageblock_flags: [8, 8] as const } },
  };
  const table = {
    ...{ variant: 'x86_64', source: 'by hand', releases: [], enumerators: { MIGRATE_CMA: 4 } },
    structs: { zone: { size: 256, members: { free_area: [64, 11 * 16] as const } }, ...sections, ...structs },
  };
  return {
    ...kernel,
    types: typesFromTable(table, 'by hand'),
    config: config === undefined ? null : parseConfig(config),
    symbols: Object.assign(Object.create(kernel.symbols), { address: (name: string) => symbols[name] }),
  };
}

const said = (kernel: Kernel, profile: string, kfence: Introspection['kfence'] = null): string[] =>
  unknownsOf(kernel, layout, { kfence } as Introspection, parseProfile(profile).switches).map(
    ({ about, sentence }) => `${about}: ${sentence}`,
  );

it('is which pages are CMA pages, where nothing tells how large their blocks are', () => {
  // Without a configuration it is not known whether huge pages have their say.
  const unknown = made({});
  expect(said(unknown, '5.0,pagespan')).toEqual([
    expect.stringMatching(
      /^pages: the kernel has CMA, .*not known \(neither a variable pageblock_order nor .*take none/,
    ),
  ]);
  expect(said(unknown, '5.0')).toEqual([]);
  // The largest block of the buddy allocator: 11 lists, of 2^0 to 2^10 pages.
  const known = made({ config: 'CONFIG_CMA=y\n', structs: { free_area: { size: 16, members: {} } } });
  expect(cmaFacts(known, known.types!, layout)).toMatchObject({ order: 10 });
  expect(said(known, '5.0,pagespan')).toEqual([]);
});

it("is where KFENCE's pool lies, for kernels that have KFENCE and rules that know it", () => {
  const hidden = made({ symbols: { kfence_object_start: 1n } });
  expect(said(hidden, '6.1')).toEqual([
    expect.stringMatching(/^slab: the kernel has KFENCE, .*no struct kfence_metadata/),
  ]);
  const typed = { ...hidden, types: made({ structs: { kfence_metadata: { size: 8, members: {} } } }).types };
  expect(said(typed, '6.1')).toEqual([expect.stringMatching(/it names no __kfence_pool, and none was found/)]);
  expect(said(hidden, '6.1,no-kfence')).toEqual([]);
  expect(said(hidden, '6.1', {} as Introspection['kfence'])).toEqual([]);
  expect(said(made({}), '6.1')).toEqual([]);
});
