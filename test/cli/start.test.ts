/** The command line starts with code that V8 compiled before, and as well without it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { usercopy } from './usercopy.js';

/** The command line in a folder of its own, whose code can be spoilt. */
const folder = mkdtempSync(join(tmpdir(), 'usercopy-start-'));
const code = join(folder, 'build/cli/programs.code');
beforeAll(() => {
  for (const path of ['package.json', 'build/cli']) cpSync(packageFile(path), join(folder, path), { recursive: true });
  symlinkSync(packageFile('node_modules'), join(folder, 'node_modules'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const REPORT = packageFile('test/report/logs/x86_64.log');
const explain = ['repro', '--report', REPORT, '--all', '--json'];

/** What V8 says of the code that lies beside the programs. */
const isRejected = (): string => {
  const start = pathToFileURL(join(folder, 'build/cli/start.js')).href;
  const program = `console.log((await import('${start}')).compilePrograms().script.cachedDataRejected)`;
  return execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }).trim();
};

const answer = () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, 'build/cli/main.js'), ...explain], {
    encoding: 'utf8',
  });
  return { status, out: stdout, err: stderr };
};

describe('the code that was compiled ahead', () => {
  it('is what this Node.js takes', () => {
    expect(isRejected()).toBe('false');
    expect(answer()).toEqual(usercopy(explain));
  });

  it('is passed over where another V8 made it, and where there is none', () => {
    const bytes = readFileSync(code);
    // V8's number of the format and its version's hash stand first (src/snapshot/code-serializer.h).
    writeFileSync(
      code,
      bytes.map((byte, index) => (index < 8 ? byte ^ 0xff : byte)),
    );
    expect(isRejected()).toBe('true');
    expect(answer()).toEqual(usercopy(explain));
    rmSync(code);
    expect(isRejected()).toBe('undefined');
    expect(answer()).toEqual(usercopy(explain));
  });
});
