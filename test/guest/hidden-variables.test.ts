/** The judge is a kernel that names its variables: what the jump table tells must be what its symbol table says. */
import { beforeAll, describe, expect, it } from 'vitest';
import { drivers, variantOf } from '../../arch/index.js';
import { UsercopyError } from '../../src/errors.js';
import { Guest } from '../../src/guest/guest.js';
import { hidesVariables } from '../../src/guest/hidden-variables.js';
import { KernelObjects } from '../../src/guest/objects.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import { requireSymbol } from '../../src/introspect/fields.js';
import { jumpEntryOf } from '../../src/introspect/jump-entry.js';
import { findJumpTable, keyAskedBy, keyAskedOnlyBy } from '../../src/introspect/jump-table.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { noSymbols } from '../../src/kernel/symbols.js';
import { openBothChecks } from '../../src/scenario/differential.js';

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

it("KFENCE's pool is found where no variable has a name, so that its objects are judged as the kernel judges them", async (context) => {
  const guest = await fetchKernel('arm', { release: 'trixie' })
    .then(({ path }) => loadKernel({ path }, { drivers }))
    .then((kernel) => Guest.create(kernel))
    .catch((error) => {
      if (!(error instanceof UsercopyError) || error.kind !== 'missing-dependency') throw error;
      return error.message;
    });
  if (typeof guest === 'string') return context.skip(guest);
  try {
    const { memory, kernel } = guest;
    const objects = new KernelObjects(guest);
    const { kfence } = objects.facts;
    if (kfence === null || kernel.types === null) throw new Error('expected the pool of KFENCE, found none');
    // kfence_guarded_alloc() puts half of the objects at the end of their page.
    const slab = objects.makeSlab({ name: 'guarded', objectSize: 72, size: 96, useroffset: 8, usersize: 40 });
    const object = slab.end - 72n;
    const records = memory.allocate(4096n);
    memory.writeWord(kfence.pool, slab.start - 8192n);
    memory.writeWord(kfence.metadata, records);
    memory.writeWord(records + BigInt(kernel.types.struct('kfence_metadata').offset('addr')), object);
    const both = await openBothChecks(guest);
    const lines = [
      [object + 8n, 40n],
      [object + 8n, 41n],
      [object + 7n, 8n],
      [object - 1n, 8n],
      [slab.start + 8n, 8n],
    ].map(([pointer = 0n, size = 0n]) => {
      const { guest: line, ours, agree } = both.ask({ pointer, size, direction: 'to_user' });
      expect([agree, ours]).toEqual([true, line]);
      return line;
    });
    both.close();
    expect(lines[0]).toBeNull();
    // The kernel counts from the object, in 32 bits.
    expect(lines[1]).toMatch(/from SLUB object 'guarded' \(offset 8, size 41\)!$/);
    expect(lines[3]).toMatch(/\(offset 4294967295, size 8\)!$/);
  } finally {
    guest.close();
  }
}, 60_000);
