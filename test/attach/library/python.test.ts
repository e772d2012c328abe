import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../../src/paths.js';
import { python, unicornEnvironment, unicornsHere } from '../../places.js';
import { prepareFirmware, runProgram } from './machine.js';

const folder = mkdtempSync(join(tmpdir(), 'python-'));
let prepared = '';
beforeAll(() => {
  prepared = prepareFirmware(folder, 'attach.json', '_copy_to_user=0x100000');
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The environment of a build of Unicorn with another place of Python modules before it. */
const withModules = (build: (typeof unicornsHere)[number], place: string): NodeJS.ProcessEnv => {
  const environment = unicornEnvironment(build);
  return { ...environment, PYTHONPATH: `${place}:${environment['PYTHONPATH']}` };
};

describe.each(unicornsHere)('the Python module with libunicorn $version', (build) => {
  it('does what its docstrings say', () => {
    const script = packageFile('test/attach/library/check.py');
    const { stdout, stderr, status } = runProgram(
      python(),
      [script, prepared],
      '',
      withModules(build, packageFile('python')),
    );
    expect(stderr).toBe('');
    const claims = stdout.trim().split('\n');
    expect(claims.filter((claim) => !claim.endsWith(': yes'))).toEqual([]);
    expect(claims.length).toBeGreaterThan(25);
    expect(status).toBe(0);
  });
});

describe('pip install ./python', () => {
  const program = ['python3', python()].find(
    (candidate) => runProgram(candidate, ['-m', 'pip', '--version']).status === 0,
  );

  it.skipIf(program === undefined)('works without a network, and brings the library along', () => {
    const target = join(folder, 'installed');
    // A copy: pip leaves its traces in the folder that it installs from.
    const { status, stderr } = runProgram(program!, [
      ...['-m', 'pip', 'install', '--no-index', '--no-cache-dir', '--quiet', '--disable-pip-version-check'],
      ...['--target', target, packageFile('python')],
    ]);
    expect([status, stderr]).toEqual([0, expect.not.stringContaining('ERROR')]);
    const script = packageFile('examples/harness/harness.py');
    const { stdout, stderr: said } = runProgram(
      python(),
      [script, prepared],
      '',
      withModules(unicornsHere[0]!, target),
    );
    expect(said).toBe('');
    expect(stdout.split('\n')[3]).toBe('going on all the same: ended at 0x100ff0');
  });
});
