/** Native code, V8 and JavaScript run the same check; verdicts on random copies are compared in differential.test.ts. */
import { spawnSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Check, executors } from '../../src/check/check.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { UsercopyError } from '../../src/errors.js';
import { packageFile } from '../../src/paths.js';
import { Guest, line } from './guest.js';

const SHAPE = { bits: 64, endian: 'little', pageShift: 12 } as const;
const available = executors(builtCheck)
  .filter((executor) => executor.available)
  .map(({ name }) => name);

/** For programs in other threads and processes: a check that knows of no memory. */
const NOTHING_KNOWN = `
  const at = ${JSON.stringify(packageFile('build/js/src/'))};
  const { Check, executors } = await import(at + 'check/check.js');
  const { builtCheck } = await import(at + 'engine/built-check.js');
  const { parseProfile } = await import(at + 'check/profiles.js');
  const make = async (executor) => {
    const check = await Check.create({ source: builtCheck, guestBytes: 1 << 16, executor });
    check.configure({
      bits: 64, endian: 'little', pageShift: 12, switches: parseProfile('6.1').switches, taskSize: 1n << 47n,
      text: null, linearText: null, rodata: null, data: null, bss: null, introspection: null,
      stack: { threadSize: 16384n, current: { kind: 'declared' }, depthOfCheck: 0n, depthOfPrint: 0n, frames: null },
    });
    return check;
  };`;

describe('executors', () => {
  it('are three, and one that is not available says why', () => {
    expect(executors(builtCheck).map(({ name }) => name)).toEqual(['native', 'v8', 'js']);
    for (const executor of executors(builtCheck)) {
      if (executor.available) expect(executor.why).toBeNull();
      else expect(executor.why).toMatch(/npm run build|built|found/);
    }
    expect(available).toEqual(expect.arrayContaining(['v8', 'js']));
  });

  it('are the fastest there is when nobody asks for one, and the one that was asked for', async () => {
    expect((await Check.create({ source: builtCheck, guestBytes: 0 })).executor).toBe(available[0]);
    for (const executor of available) {
      expect((await Check.create({ source: builtCheck, guestBytes: 0, executor })).executor).toBe(executor);
    }
    await expect(Check.create({ source: builtCheck, guestBytes: 0, executor: 'jit' as 'js' })).rejects.toThrow(
      /executor: expected one of 'auto', 'native', 'v8', 'js', found 'jit'/,
    );
  });

  it('are native code only for the very module that was compiled', async () => {
    const built = builtCheck.module();
    // The same module with an empty custom section named "x" (WebAssembly core specification, 5.5.3).
    const other = new Uint8Array([...built, 0, 2, 1, 0x78]);
    expect((await Check.create({ source: builtCheck, guestBytes: 0, wasm: other })).executor).toBe('v8');
    await expect(Check.create({ source: builtCheck, guestBytes: 0, wasm: other, executor: 'native' })).rejects.toThrow(
      /executor native: no native check/,
    );
  });

  it('refuse a memory that JavaScript could not index', async () => {
    await expect(Check.create({ source: builtCheck, guestBytes: 2 ** 31, executor: 'js' })).rejects.toThrow(
      /at most 2147483648 bytes/,
    );
  });
});

describe.each(available)('the check in %s', (executor) => {
  async function guestWithObject() {
    const guest = await Guest.create(SHAPE, executor);
    guest.slab(4, 0, guest.cache({ name: 'c', size: 64, objectSize: 64, useroffset: 0, usersize: 64 }));
    guest.configure('6.1');
    return { guest, object: guest.LINEAR + 0x4000n };
  }

  it('judges one request, a batch, and tells the arrivals of one copy once', async () => {
    const { guest, object } = await guestWithObject();
    const { check } = guest;
    expect(line(guest.judge(object, 64n))).toBe('good: slab object');
    expect(line(guest.judge(object + 1n, 64n))).toBe('bad: slab object (offset 1, size 64)');
    const first = check.createRequests({ direction: 'to_user' }, 3);
    const write = (request: number, size: bigint) => {
      const fields = new BigUint64Array(check.memory.buffer, request, 7);
      const { stackPointer, framePointer, currentBase } = guest.at;
      fields.set([object, size, 0x1000n, 0n, stackPointer, framePointer, currentBase]);
    };
    for (const [index, size] of [64n, 65n, 66n].entries()) write(first + index * check.requestBytes, size);
    expect(check.judgeBatchExport(check.contextOffset, first, 3)).toBe(2);
    check.resetStatistics();
    // A function at 0x8000 that copies by another, which returns into it.
    const entryOf = (start: bigint) =>
      check.createRequest({
        direction: 'to_user',
        function: { role: 'COPY', returnPlace: 'FIELD', start, end: start + 0x100n },
      });
    const outer = entryOf(0x8000n);
    const inner = entryOf(0x9000n);
    const arrive = (request: number, size: bigint, returnAddress: bigint) => {
      write(request, size);
      new BigUint64Array(check.memory.buffer, request, 8)[7] = returnAddress;
      return check.judgeOutermostExport(check.contextOffset, request);
    };
    expect(arrive(outer, 64n, 0x4000n)).toBe(0);
    expect(arrive(inner, 32n, 0x8010n)).toBe(0);
    expect(check.statistics().checks).toBe(1);
    // It has been called anew; what is called from elsewhere is a copy of its own.
    expect(arrive(outer, 64n, 0x4000n)).toBe(0);
    expect(check.statistics().checks).toBe(2);
    expect(arrive(inner, 32n, 0x4010n)).toBe(0);
    expect(check.statistics().checks).toBe(3);
    expect(arrive(outer, 65n, 0x4000n)).not.toBe(0);
    expect(arrive(inner, 65n, 0x8010n)).toBe(0);
    expect(check.statistics()).toMatchObject({ checks: 4, bad: 1 });
    check.endCopy();
    expect(arrive(inner, 65n, 0x8010n)).not.toBe(0);
    expect(check.statistics()).toMatchObject({ checks: 5, bad: 2 });
  });

  it('reads foreign memory through the reader, and says which byte it lacks', async () => {
    const { guest, object } = await guestWithObject();
    const { check } = guest;
    const bytes = check.regions.map((region) => ({ ...region }));
    const seen: bigint[] = [];
    for (const { address } of bytes) check.unmapRegion(address);
    check.foreignReader = (address, length) => {
      seen.push(address);
      const region = bytes.find((one) => address >= one.address && address < one.address + one.size);
      if (!region) return undefined;
      const start = region.offset + Number(address - region.address);
      return new Uint8Array(check.memory.buffer).slice(start, start + length);
    };
    expect(line(guest.judge(object, 65n))).toBe('bad: slab object (offset 0, size 65)');
    expect(seen.length).toBeGreaterThan(3);
    const task = guest.at.currentBase + 0x20n;
    const reader = check.foreignReader;
    check.foreignReader = (address, length) =>
      address <= task + 5n && task + 5n < address + BigInt(length) ? undefined : reader(address, length);
    expect(line(guest.judge(object, 65n))).toBe(`unreadable: ${(task + 5n).toString(16)}`);
  });

  it('hands on what the reader throws, and judges on after that', async () => {
    const { guest, object } = await guestWithObject();
    const { check } = guest;
    check.unmapRegion(guest.PAGES);
    check.foreignReader = () => {
      throw new RangeError('thrown by the reader');
    };
    expect(() => guest.judge(object, 64n)).toThrow(RangeError);
    check.foreignReader = () => undefined;
    // compound_head() is what the kernel reads of a struct page first.
    expect(line(guest.judge(object, 64n))).toBe(`unreadable: ${(guest.page(4) + 8n).toString(16)}`);
  });

  it('may be asked again by its own reader', async () => {
    const { guest, object } = await guestWithObject();
    const { check } = guest;
    const region = check.regions.find(({ address }) => address === guest.PAGES)!;
    const inner = check.createRequest({ direction: 'to_user' });
    let asked = 0;
    check.unmapRegion(guest.PAGES);
    check.foreignReader = (address, length) => {
      // A null pointer with one byte: judged without reading anything.
      new BigUint64Array(check.memory.buffer, inner, 2).set([0n, 1n]);
      if (check.judgeExport(check.contextOffset, inner) !== 0) asked++;
      const start = region.offset + Number(address - region.address);
      return new Uint8Array(check.memory.buffer).slice(start, start + length);
    };
    expect(line(guest.judge(object, 64n))).toBe('good: slab object');
    expect(asked).toBeGreaterThan(0);
  });
});

describe.runIf(available.includes('native'))('native code', () => {
  it('ends in a typed error, not in a crash, where the module would trap', async () => {
    const guest = await Guest.create(SHAPE, 'native');
    guest.slab(4, 0, guest.cache({ name: 'c', size: 64, objectSize: 64, useroffset: 0, usersize: 64 }));
    guest.configure('6.1');
    const { check } = guest;
    const object = guest.LINEAR + 0x4000n;
    const judgeAt = (context: number, request: number) => () => check.judgeExport(context, request);
    for (const far of [check.memory.buffer.byteLength - 8, 0xffff_fff0]) {
      expect(judgeAt(far, check.requestOffset)).toThrow(UsercopyError);
      expect(judgeAt(check.contextOffset, far)).toThrow(/out-of-bounds access/i);
      expect(() => check.judgeBatchExport(check.contextOffset, far, 10)).toThrow(/out-of-bounds access/i);
    }
    for (let i = 0; i < 1000; i++) expect(judgeAt(0xffff_fff0, 0)).toThrow(UsercopyError);
    expect(line(guest.judge(object, 65n))).toBe('bad: slab object (offset 0, size 65)');
  });

  it('ends in a typed error where who brings memory closes the check meanwhile', async () => {
    const guest = await Guest.create(SHAPE, 'native');
    guest.slab(4, 0, guest.cache({ name: 'c', size: 64, objectSize: 64, useroffset: 0, usersize: 64 }));
    guest.configure('6.1');
    const { check } = guest;
    check.unmapRegion(guest.PAGES);
    let asked = 0;
    check.missing = () => {
      asked++;
      check.close();
      return true;
    };
    expect(() => check.lookAt(guest.LINEAR + 0x4000n)).toThrow(/closed/);
    expect(asked).toBe(1);
  });

  it('refuses arguments that are no offsets', async () => {
    const check = await Check.create({ source: builtCheck, guestBytes: 0, executor: 'native' });
    expect(() => check.judgeExport(-1, 0)).toThrow(UsercopyError);
    expect(() => check.judgeExport('x' as unknown as number, 0)).toThrow(UsercopyError);
  });

  it('judges in several threads at once', async () => {
    const program = `
      const { parentPort } = require('node:worker_threads');
      (async () => {
        ${NOTHING_KNOWN}
        const check = await make('native');
        const first = check.createRequests({ direction: 'to_user' }, 1000);
        let noteworthy = 0;
        for (let i = 0; i < 300; i++) {
          for (let at = 0; at < 1000; at++) {
            new BigUint64Array(check.memory.buffer, first + at * check.requestBytes, 2).set([at % 2 ? 0x100n : 1n, 1n]);
          }
          noteworthy += check.judgeBatchExport(check.contextOffset, first, 1000);
        }
        parentPort.postMessage(noteworthy);
      })().catch((error) => parentPort.postMessage(String(error)));`;
    const judged = [0, 1, 2].map(
      () =>
        new Promise((resolve, reject) => {
          new Worker(program, { eval: true }).on('message', resolve).on('error', reject);
        }),
    );
    // Addresses up to ZERO_SIZE_PTR (16) are refused as null addresses whatever else is configured.
    expect(await Promise.all(judged)).toEqual([150_000, 150_000, 150_000]);
  });
});

it('runs where there is no WebAssembly at all', () => {
  const program = `
    ${NOTHING_KNOWN}
    const check = await make('js');
    const first = check.createRequests({ direction: 'to_user' }, 2);
    new BigUint64Array(check.memory.buffer, first, 2).set([8n, 1n]);
    const code = check.judgeExport(check.contextOffset, first);
    const { by, offset, size } = check.verdictOf(first);
    console.log(typeof WebAssembly, executors(builtCheck).find(({ name }) => name === 'v8').why, by, offset, size, code > 0);`;
  const { stdout, status } = spawnSync(process.execPath, ['--jitless', '--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  expect({ stdout, status }).toEqual({
    stdout: 'undefined this JavaScript engine has no WebAssembly null address 8n 1n true\n',
    status: 0,
  });
});
