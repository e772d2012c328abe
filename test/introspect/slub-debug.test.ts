import { describe, expect, test } from 'vitest';
import { nativeZlib } from '../../src/image/native-zlib.js';
import { slabFacts } from '../../src/introspect/slab.js';
import { readConfig } from '../../src/kernel/config.js';
import { loadOwnKernel } from '../../src/scenario/own.js';

/** mm/slab.h: kmem_cache_debug_flags() is `return false` without CONFIG_SLUB_DEBUG, and red zones are asked about through it. */
describe('red zones of SLUB', () => {
  test.each([
    ['CONFIG_SLUB=y\nCONFIG_SLUB_DEBUG=y\n', true],
    ['CONFIG_SLUB=y\n# CONFIG_SLUB_DEBUG is not set\n', false],
    ['CONFIG_SLUB=y\n', false],
  ])('are known with %j: %s', async (text, known) => {
    const kernel = await loadOwnKernel('ppc64');
    const config = await readConfig(Buffer.from(text), nativeZlib);
    expect(kernel.types).not.toBeNull();
    if (kernel.types === null) return;
    expect(slabFacts({ ...kernel, config }, kernel.types).redZone !== 0n).toBe(known);
  });
});
