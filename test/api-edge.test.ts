/** What a caller in JavaScript can give, whatever the types say: each public function refuses it in a sentence. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chdir, cwd } from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as arch from '../arch/index.js';
import * as engine from '../src/engine/index.js';
import { UsercopyError } from '../src/errors.js';
import * as main from '../src/index.js';
import * as report from '../src/report/index.js';
import * as dump from '../src/repro/index.js';

type Callable = (...values: readonly unknown[]) => unknown;

/** Classes whose constructors are private, and the error, which takes whatever it is given. */
const MADE_OTHERWISE = ['Guest', 'Check', 'UsercopyError'];

const isFunction = (value: unknown): value is Callable => typeof value === 'function';

/** Every function that the package exports: as such, as a constructor, or as a static method of a class. */
function exported(): [string, Callable][] {
  const modules: Record<string, object> = { main, arch, dump, engine, report };
  return Object.entries(modules).flatMap(([entry, module]) =>
    Object.entries(module).flatMap(([name, value]): [string, Callable][] => {
      if (!isFunction(value)) return [];
      const isClass = /^class\b/.test(Function.prototype.toString.call(value));
      const made: Callable = isClass ? (...values) => Reflect.construct(value, values) : value;
      const statics = Object.getOwnPropertyNames(value).flatMap((key): [string, Callable][] => {
        const method: unknown = Reflect.get(value, key);
        return key !== 'prototype' && isFunction(method)
          ? [[`${entry}: ${name}.${key}`, (...values) => Reflect.apply(method, value, values)]]
          : [];
      });
      return [
        ...statics,
        ...(MADE_OTHERWISE.includes(name) ? [] : [[`${entry}: ${name}`, made] as [string, Callable]]),
      ];
    }),
  );
}

/** Lists of arguments: too few, and of the wrong kind. */
const WRONG: readonly (readonly unknown[])[] = [
  [],
  ...[null, 42, 7n, true, 'no such thing', [], {}, () => undefined, new Uint8Array(3)].flatMap((value) => [
    [value],
    [value, value, value],
  ]),
];

const shown = (values: readonly unknown[]): string =>
  values
    .map((value) =>
      typeof value === 'bigint' ? `${value}n` : typeof value === 'function' ? 'f' : JSON.stringify(value),
    )
    .join(', ');

describe('each public function, given what it does not take', () => {
  const home = cwd();
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'usercopy-edge-'));
    chdir(folder);
  });
  afterAll(() => {
    chdir(home);
    rmSync(folder, { recursive: true });
  });

  it.each(exported())('%s answers, or says in a sentence what it expects', async (name, call) => {
    const raw: string[] = [];
    for (const values of WRONG) {
      try {
        const answer = await call(...values);
        if (typeof answer === 'object' && answer !== null && 'close' in answer && isFunction(answer.close))
          answer.close();
      } catch (error) {
        const isSentence =
          error instanceof UsercopyError &&
          / /.test(error.message) &&
          !/^undefined\b|\bundefined:\d/.test(error.message);
        if (!isSentence)
          raw.push(
            `${name}(${shown(values)}): ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`,
          );
      }
    }
    expect(raw).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('what an emulator and the reader of images refuse', () => {
  it('is told with what is in the way', () => {
    const { variants } = arch;
    const spec = variants.find(({ name }) => name === 'x86_64')?.engine;
    if (spec === undefined || 'unsupported' in spec) return expect.unreachable('x86_64 runs');
    const emulator = engine.openUnicorn(spec);
    try {
      emulator.map(0x10_0000n, 0x3000n, 'rw');
      expect(() => emulator.map(0x10_2000n, 0x2000n, 'rw')).toThrow(
        /UC_ERR_MAP.*: expected nothing there, found memory mapped at \[0x100000, 0x103000\): unmap it first/,
      );
    } finally {
      emulator.close();
    }
  });

  it.each([
    ['root:x:0:0:root:/root:/bin/bash\n', /found a text that begins with 'root:x:0:0:/],
    ['\u0001\u0002\u0003\u0004', /found bytes that begin with 01 02 03 04$/],
    ['', /found an empty file$/],
  ])('is told of %j as a person would recognize it', async (text, sentence) => {
    await expect(main.loadKernel({ name: 'image', bytes: Buffer.from(text) })).rejects.toThrow(sentence);
  });

  it('is a file without a name for suppressions that have none', () => {
    expect(() => main.parseSuppressions('no such thing')).toThrow(/^suppressions:1: expected words like caller=NAME/);
  });
});
