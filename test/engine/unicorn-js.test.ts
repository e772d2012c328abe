import { describe, expect, test } from 'vitest';
import { openUnicornJs } from '../../src/engine/open-unicorn-js.js';
import { engineContract } from './contract.js';
import { type Stub, stubModule } from './unicorn-js-stub.js';

const opened = await openUnicornJs().then(
  (open) => ({ open, missing: '' }),
  (error: Error) => ({ open: null, missing: error.message }),
);

/** Its translation is interpreted. */
const SLOWER = 50;

if (opened.open) engineContract('unicorn.js', opened.open, SLOWER);
else {
  describe('unicorn.js', () => {
    test.skip(`is not here: ${opened.missing}`, () => {});
  });
}

describe('finding unicorn.js', () => {
  test('a path that leads nowhere, and a file that is something else, are errors that say what to do', async () => {
    await expect(openUnicornJs('/nowhere/unicorn.js')).rejects.toThrow(/UNICORN_JS/);
    await expect(openUnicornJs(new URL(import.meta.url).pathname.replace(/[^/]*$/, 'no-module.json'))).rejects.toThrow(
      /unicorn\.js/,
    );
  });

  test('a factory of another module is refused', async () => {
    await expect(openUnicornJs(async () => ({}) as never)).rejects.toThrow(/raw exports/);
    await expect(
      openUnicornJs(async () => {
        throw new Error('no memory');
      }),
    ).rejects.toThrow(/no memory/);
  });
});

/** Without an emulator: none of this says that the engine works. */
describe('the calling convention of unicorn.js, by a stub', () => {
  const spec = { arch: 'X86', mode: ['64'] } as const;
  const kernel = 0xffff_ffff_8100_0000n;
  const TLB_TYPE = 12;

  const openedOn = async (stub: Stub, mmu?: boolean) => {
    const open = await openUnicornJs(async () => stub.module);
    return open(mmu === undefined ? spec : { ...spec, mmu });
  };

  test('addresses go by what was mapped, unless the guest has page tables that are to be followed', async () => {
    const stub = stubModule();
    await openedOn(stub);
    expect(stub.controls()).toEqual([{ type: TLB_TYPE, count: 1, write: true, value: 1 }]);
    const followed = stubModule();
    await openedOn(followed, true);
    expect(followed.controls()).toEqual([]);
  });

  test('addresses and registers of 64 bits cross as bigints, signed on the way in and unsigned on the way out', async () => {
    const stub = stubModule();
    const engine = await openedOn(stub);
    engine.map(kernel, 0x1000n, 'rx');
    const [, address, size, permissions] = stub.of('_uc_mem_map')[0]!;
    expect([address, size, permissions]).toEqual([kernel - (1n << 64n), 0x1000n, 5]);
    engine.writeRegister('rax', 0xffff_8880_0123_4567n);
    expect(engine.readRegister('rax')).toBe(0xffff_8880_0123_4567n);

    const faults: unknown[] = [];
    engine.hookMemoryFault((fault) => faults.push(fault) === 0);
    stub.onStart = (hooks) => {
      for (const [type, fire] of hooks) if ((type & 0x3f0) !== 0) fire(4096, 19, kernel - (1n << 64n), 8, 0n, 0);
    };
    engine.runSync({ start: kernel, until: kernel + 8n });
    expect(faults).toEqual([{ kind: 'read', protection: false, address: kernel, size: 8 }]);
  });

  test('memory that is mapped is zeroed, all of it', async () => {
    const stub = stubModule();
    const engine = await openedOn(stub);
    const size = 0x28_0000n;
    engine.map(kernel, size, 'rw');
    let next = kernel;
    for (const [, address, pointer, length] of stub.of('_uc_mem_write')) {
      expect(BigInt.asUintN(64, address as bigint)).toBe(next);
      for (let at = 0; at < Number(length); at += 4096) {
        expect(stub.module.getValue((pointer as number) + at, 'i8')).toBe(0);
      }
      next += length as bigint;
    }
    expect(next).toBe(kernel + size);
  });

  test('a build that does not export all calls, or takes 64-bit values as two numbers, is refused in one sentence', async () => {
    const lacking = stubModule();
    Reflect.deleteProperty(lacking.module, '_uc_ctl');
    await expect(openUnicornJs(async () => lacking.module)).rejects.toMatchObject({
      kind: 'unsupported',
      message: expect.stringMatching(/^unicorn\.js: expected a build .* without _uc_ctl: CPU models/),
    });
    const pairs = stubModule();
    pairs.module._uc_mem_read = (_engine, address) => Math.trunc(+(address as unknown as number));
    await expect(openedOn(pairs)).rejects.toMatchObject({
      kind: 'unsupported',
      message: expect.stringMatching(/two numbers: expected one that was linked with WASM_BIGINT/),
    });
  });
});
