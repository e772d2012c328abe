import { expect, it } from 'vitest';
import { arm32 } from '../../arch/arm/index.js';
import type { Engine } from '../../src/engine/engine.js';
import { parseConfig } from '../../src/kernel/config.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { noSymbols } from '../../src/kernel/symbols.js';
import { kernelWith } from '../introspect/memory.js';

const prepared = (check: bigint, config: string | null) => {
  const kernel: Kernel = {
    ...kernelWith(new Uint8Array(4), { bits: 32 }),
    variant: 'arm',
    symbols: Object.assign(noSymbols(), { address: () => check }),
    config: config === null ? null : parseConfig(config),
  };
  // It asks the kernel alone.
  return () => arm32.prepare({} as Engine, { kernel });
};

it('a guest of Thumb-2 code is refused, by the configuration or by the state that a symbol tells', () => {
  expect(prepared(0xc0068bc4n, 'CONFIG_THUMB2_KERNEL=y\n')).toThrow(/expected a kernel of ARM code, found Thumb-2/);
  expect(prepared(0xc0068bc5n, null)).toThrow(/expected a kernel of ARM code, found Thumb-2/);
});

it('a guest of ARM code is none', () => {
  expect(prepared(0xc0068bc4n, '# CONFIG_THUMB2_KERNEL is not set\n')).not.toThrow();
  expect(prepared(0xc0068bc4n, null)).not.toThrow();
});
