import { expect, it } from 'vitest';
import { arm } from '../../arch/arm/index.js';
import { attach } from '../../src/attach/attach.js';
import { prepareHarness } from '../../src/attach/harness.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { bareKernel } from '../../src/image/bare.js';

const CODE = 0x10_0000n;
const STACK = 0x20_0000n;
const OBJECT = 0x30_0000n;
const PAGE = 0x1000n;
/** bx lr, in the Thumb encoding T1 (ARM Architecture Reference Manual). */
const RETURN = Uint8Array.of(0x70, 0x47);

const [arm32] = arm.variants;
/** The address of a Thumb function as linkers give it: with bit 0 set. */
const kernel = bareKernel(arm32!, new Map([['_copy_to_user', CODE | 1n]]));
const declarations = [
  { kind: 'slab', start: OBJECT, end: OBJECT + PAGE, cache: 'mine', objectStride: 64n, objectSize: 64n } as const,
];

it('judges at a Thumb function whose address is odd', async () => {
  const engine = openUnicorn(arm32!.engine as Parameters<typeof openUnicorn>[0]);
  try {
    for (const start of [CODE, STACK, OBJECT]) engine.map(start, PAGE, 'rwx');
    engine.write(CODE, RETURN);
    const attachment = await attach(engine, kernel, {
      ...{ judge: 'all', profile: '6.1', declarations, onViolation: 'record' },
    });
    const copy = (size: bigint) => {
      const registers = { r0: 0x1000n, r1: OBJECT, r2: size, sp: STACK + PAGE, lr: (CODE + 0x100n) | 1n };
      for (const [name, value] of Object.entries(registers)) engine.writeRegister(name, value);
      return engine.run({ start: CODE | 1n, until: CODE + 0x100n });
    };
    await copy(64n);
    await copy(65n);
    expect(attachment.statistics()).toMatchObject({ checks: 2, good: 1, bad: 1 });
    expect(attachment.violations.map(({ entry }) => entry)).toEqual(['_copy_to_user']);
    attachment.detach();
  } finally {
    engine.close();
  }
});

it('prepares the hook of a harness where the code lies', async () => {
  const { entries } = await prepareHarness(kernel, { judge: 'all', profile: '6.1', declarations });
  expect(entries.map(({ address, body }) => [address, body.start])).toEqual([['0x100000', '0x100000']]);
});
