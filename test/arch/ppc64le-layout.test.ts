/** Physical addresses of ppc64le, by book3s/64/{mmu,radix,hash-4k,hash-64k}.h before and after b32d5d7e920a (5.9). */
import { expect, it } from 'vitest';
import { ppc64le } from '../../arch/powerpc/ppc64le.js';
import { parseConfig } from '../../src/kernel/config.js';
import { noSymbols } from '../../src/kernel/symbols.js';
import { parseBanner } from '../../src/kernel/version.js';
import { kernelWith } from '../introspect/memory.js';

const SPARSE = 'CONFIG_SPARSEMEM=y';
const VMEMMAP = 'CONFIG_SPARSEMEM_VMEMMAP=y';
const LARGE = 'CONFIG_PPC_64K_PAGES=y';
const RADIX = 'CONFIG_PPC_RADIX_MMU=y';

it.each([
  ['5.8.0', [VMEMMAP, LARGE, RADIX], 51],
  ['5.8.0', [VMEMMAP, RADIX], 46],
  ['5.9.0', [VMEMMAP, RADIX], 51],
  // radix.h is included whatever is built in.
  ['5.9.0', [VMEMMAP], 51],
  ['6.1.0', [VMEMMAP, LARGE], 51],
  ['6.1.0', [SPARSE, LARGE, RADIX], 46],
] as const)('%s with %j has addresses of %i bits', (release, options, bits) => {
  const kernel = {
    ...kernelWith(new Uint8Array(8)),
    config: parseConfig(options.join('\n')),
    symbols: Object.assign(noSymbols(), { address: (name: string) => (name === 'mem_section' ? 1n : undefined) }),
    version: parseBanner(`Linux version ${release} (a@b) #1`)!,
  };
  const { pageValidity } = ppc64le.layout(kernel);
  expect('physicalAddressBits' in pageValidity && pageValidity.physicalAddressBits).toBe(bits);
});

it.each([
  [['mem_map', 'mem_section'], [SPARSE, VMEMMAP], true],
  [['mem_map', 'mem_section'], [SPARSE], false],
  [['mem_map'], [], false],
  [['mem_section'], [SPARSE, VMEMMAP], true],
])('with %j and %j has a vmemmap: %s', (names, options, hasOne) => {
  const kernel = {
    ...kernelWith(new Uint8Array(8)),
    config: parseConfig(options.join('\n')),
    symbols: Object.assign(noSymbols(), { address: (name: string) => (names.includes(name) ? 1n : undefined) }),
  };
  expect(ppc64le.layout(kernel).vmemmap !== null).toBe(hasOne);
});
