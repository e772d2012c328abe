/** The judge is a kernel that names its variables: what the jump table tells must be what its symbol table says. */
import { beforeAll, describe, expect, it } from 'vitest';
import { drivers, variantOf } from '../../arch/index.js';
import { UsercopyError } from '../../src/errors.js';
import { hidesVariables } from '../../src/guest/hidden-variables.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import { requireSymbol } from '../../src/introspect/fields.js';
import { jumpEntryOf } from '../../src/introspect/jump-entry.js';
import { findJumpTable, keyAskedBy, keyAskedOnlyBy } from '../../src/introspect/jump-table.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { noSymbols } from '../../src/kernel/symbols.js';

describe.each(['x86_64', 'arm64'])('the jump table of a %s kernel of trixie', (variant) => {
  let kernel: Kernel | string;
  beforeAll(async () => {
    try {
      kernel = await loadKernel({ path: (await fetchKernel(variant, { release: 'trixie' })).path }, { drivers });
    } catch (error) {
      if (!(error instanceof UsercopyError) || error.kind !== 'missing-dependency') throw error;
      kernel = error.message;
    }
  });

  it('is found by its shape where the linker marks it, and leads to the keys that the check and its allocator ask', (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    const entry = jumpEntryOf(kernel, variantOf(kernel.variant).staticBranch);
    const { symbols } = kernel;
    const table = findJumpTable(kernel, entry);
    expect([table?.start, table?.end]).toEqual([
      symbols.address('__start___jump_table'),
      symbols.address('__stop___jump_table'),
    ]);
    // x86's check asks more keys than one; the others are asked elsewhere, too.
    expect(keyAskedOnlyBy(kernel, table!, '__check_object_size')).toBe(symbols.address('bypass_usercopy_checks'));
    expect(keyAskedBy(kernel, table!, '__check_heap_object')).toBe(symbols.address('slub_debug_enabled'));
  });

  it('is not looked for where the image names every variable, and is where it does not', (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    expect(hidesVariables(kernel)).toBe(false);
    const { symbols } = kernel;
    // As arm 6.12 lists them: functions, and what the linker marks.
    const functions = { ...symbols, source: 'kallsyms', count: symbols.count } as Kernel['symbols'];
    const hidden = new Set(['init_task', 'memblock', 'vmap_nodes', 'vmap_area_root']);
    const address = (name: string): bigint | undefined => (hidden.has(name) ? undefined : symbols.address(name));
    expect(hidesVariables({ ...kernel, symbols: { ...functions, address } })).toBe(true);
  });

  it('is not blamed for a symbol table that could not be read', (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    const { release } = kernel.version;
    expect(() => requireSymbol({ ...(kernel as Kernel), symbols: noSymbols() }, 'mem_section')).toThrow(
      /a symbol table .*with mem_section, .*no table/,
    );
    expect(() => requireSymbol(kernel as Kernel, 'no_such_thing')).toThrow(
      `${release}: expected a symbol no_such_thing`,
    );
  });
});
