import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { places } from '../../../src/engine/unicorn-places.js';
import { packageFile } from '../../../src/paths.js';
import { unicornBuild, unicornEnvironment, unicornInUse } from '../../places.js';
import { prepareFirmware, runProgram } from './machine.js';

const execute = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'mutations-'));
afterAll(() => rmSync(folder, { recursive: true }));

const MUTATIONS = Number(process.env['USERCOPY_MUTATIONS'] ?? 1000);
const sources = readdirSync(packageFile('native/library'))
  .filter((name) => name.endsWith('.cc'))
  .map((name) => packageFile(`native/library/${name}`));

describe('a prepared file with damage in it', () => {
  const program = join(folder, 'mutate');
  let prepared = '';
  beforeAll(async () => {
    prepared = prepareFirmware(folder, 'attach.json', '_copy_to_user=0x100000');
    const { json, wabt } = places();
    const unicorn = unicornInUse();
    const includes = [
      ...[packageFile('native'), packageFile('build/generated'), unicorn.include],
      ...[json!.include, wabt!.include, wabt!.source],
    ].map((path) => `-I${path}`);
    const sanitized = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-g1', '-O1', ...includes];
    const check = packageFile('native/native_check.c');
    const objects = await Promise.all(
      [packageFile('test/attach/library/mutate.cc'), check, ...sources].map(async (source) => {
        const object = join(folder, `${basename(source)}.o`);
        const [compiler, options] = source === check ? ['cc', ['-w']] : ['c++', ['-std=c++17']];
        await execute(compiler, [...options, ...sanitized, '-c', source, '-o', object]);
        return object;
      }),
    );
    await execute('c++', [...sanitized, ...objects, unicorn.library, '-ldl', '-o', program]);
  }, 600_000);

  it('is refused in a sentence or attached to, and never more than that (ASan, UBSan)', { timeout: 3_600_000 }, () => {
    const environment = unicornEnvironment(unicornBuild(unicornInUse().version));
    const { status, stdout, stderr } = runProgram(program, [prepared, '0', String(MUTATIONS)], '', environment);
    expect([status, stderr]).toEqual([0, '']);
    const [, attached] = /^\d+ mutations, (\d+) attached$/m.exec(stdout) ?? [];
    // Damage that every check refuses would test no more than the checks.
    expect(Number(attached)).toBeGreaterThan(MUTATIONS / 50);
  });
});
