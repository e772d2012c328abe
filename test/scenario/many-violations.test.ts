import { expect, it, vi } from 'vitest';
import type { AttachOptions } from '../../src/attach/options.js';
import type { Engine } from '../../src/engine/engine.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { playScenario } from '../../src/scenario/play.js';
import { scenarioInMemory } from '../../src/scenario/read.js';

/** An attachment that keeps one violation at most: a second step is for it what step 1001 is for one with the default. */
vi.mock(import('../../src/attach/attach.js'), async (original) => {
  const actual = await original();
  const attach = (engine: Engine, kernel: Kernel, options: AttachOptions = {}) =>
    actual.attach(engine, kernel, { ...options, keep: Math.min(options.keep ?? 1, 1) });
  return { ...actual, attach: attach as typeof actual.attach };
});

it('a scenario of more steps than violations are kept refuses the last ones as it does the first', async () => {
  const step = { copy: { pointer: 'buffer', size: 65, direction: 'to_user' } } as const;
  const { rows } = await playScenario(
    scenarioInMemory({
      guest: { variant: 'x86_64', profile: '6.1', ram: 32 << 20 },
      judge: 'all',
      objects: { buffer: { slab: { cache: 'kmalloc-64', objectSize: 64 } } },
      steps: [step, step, step],
    }),
  );
  expect(rows.map(({ outcome, ends, ours }) => [outcome, ends, ours])).toEqual(
    Array(3).fill([
      'bad',
      'stopped',
      "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size 65)!",
    ]),
  );
});
