/** The tutorials do what they say: their programs are written, their commands run, and what comes out is what stands there. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { cachedKernels } from '../../src/image/fetch.js';
import { packageFile } from '../../src/paths.js';
import { python, unicornEnvironment, unicornsHere } from '../places.js';

interface Block {
  /** `console`: commands and what they print; else the language of a program, which goes into `file`. */
  readonly language: string;
  readonly file: string | null;
  readonly text: string;
}

const FOLDER = packageFile('docs/tutorials');
const text = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

const blocksOf = (name: string): Block[] =>
  [...text(name).matchAll(/^```(\w+)(?: (\S+))?\n(.*?)^```$/gms)].map(([, language = '', file, body = '']) => ({
    language,
    file: file ?? null,
    text: body,
  }));

/** Commands, each with the lines that stand below it. */
const commandsOf = ({ text: body }: Block): { command: string; lines: string[] }[] =>
  body
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = '', ...lines] = part.trimEnd().split('\n');
      return { command, lines };
    });

/** Numbers of one kernel's layout; another release of the same series has others. */
const NUMBERS = /0x[0-9a-f]+|\+\d+|\d+\.\d+\.\d+-\d+\S*/g;

/** What stands in a tutorial as an expression: `…` is anything, a whole line or the beginning of one. */
function pattern(lines: readonly string[], exact: boolean): RegExp {
  const quoted = (line: string): string => line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const numbers = (line: string): string =>
    exact ? quoted(line) : line.split(NUMBERS).map(quoted).join(`(?:${NUMBERS.source})`);
  const parts = lines.map((line) =>
    line === '…' ? '(?:.*\\n)*?' : `${line.startsWith('…') ? `.*${numbers(line.slice(1))}` : numbers(line)}\\n`,
  );
  return new RegExp(`^${parts.join('')}$`);
}

const KERNEL_OF_TUTORIALS = '6.1.0-56-cloud-amd64';
const kernels = (await cachedKernels()).filter(
  ({ variant, release }) => variant === 'x86_64' && release.startsWith('6.1.'),
);
const kernel = kernels.find(({ release }) => release === KERNEL_OF_TUTORIALS) ?? kernels[0];

/** A folder as the reader has one: the command, the package, a kernel, a dump. */
function readersFolder(): { folder: string; env: NodeJS.ProcessEnv } {
  const folder = mkdtempSync(join(tmpdir(), 'usercopy-tutorial-'));
  for (const name of ['bin', 'node_modules/.bin']) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(
    join(folder, 'node_modules/.bin/usercopy'),
    `#!/bin/sh\nexec '${process.execPath}' '${packageFile('build/cli/main.js')}' "$@"\n`,
  );
  chmodSync(join(folder, 'node_modules/.bin/usercopy'), 0o755);
  symlinkSync(python(), join(folder, 'bin/python3'));
  symlinkSync(packageFile('.'), join(folder, 'node_modules/unicorn-usercopy'));
  if (kernel !== undefined) symlinkSync(kernel.path, join(folder, 'vmlinuz'));
  const dump = packageFile('test/fixtures/dumps/x86_64-6.1.UCX_STACK_OVER.vmcore.gz');
  writeFileSync(join(folder, 'vmcore'), gunzipSync(readFileSync(dump)));
  const newest = unicornsHere.at(-1);
  const env = newest === undefined ? process.env : unicornEnvironment(newest);
  return {
    folder,
    env: {
      ...env,
      COLUMNS: '100',
      PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
      PYTHONPATH: `${env['PYTHONPATH'] ?? ''}:${packageFile('python')}`,
    },
  };
}

describe('the tutorials', () => {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.md'));

  it('are those that the README names', () => {
    const named = [...readFileSync(packageFile('README.md'), 'utf8').matchAll(/docs\/tutorials\/(\S+\.md)/g)];
    expect(named.map(([, name]) => name).sort()).toEqual(names.sort());
    expect(names.length).toBe(4);
  });

  it.for(names)('%s', (name, context) => {
    const blocks = blocksOf(name);
    if (
      kernel === undefined &&
      /\bvmlinuz\b/.test(
        blocks
          .filter(({ language }) => language !== 'sh')
          .map((block) => block.text)
          .join(),
      )
    ) {
      return context.skip('no kernel of 6.1 for x86_64 is in the cache');
    }
    const { folder, env } = readersFolder();
    try {
      let ran = 0;
      for (const block of blocks) {
        if (block.file !== null) writeFileSync(join(folder, block.file), block.text);
        if (block.language !== 'console') continue;
        for (const { command, lines } of commandsOf(block)) {
          const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { cwd: folder, env, encoding: 'utf8' });
          const exact =
            kernel === undefined || kernel.release === KERNEL_OF_TUTORIALS || !/vmlinuz|python|node/.test(command);
          // Estimates change with the model of a core: the last two columns of such a table, cycles and cold.
          const estimated = /\boverhead\b/.test(command);
          const plain = (line: string): string => (estimated ? line.replace(/,\d*,\d*$/, ',N,N') : line);
          const printed = stdout.split('\n').map(plain).join('\n');
          // 1: the dump's copy was refused.
          expect(status, `${command}\n${stderr}`).toBe(/\brepro\b/.test(command) ? 1 : 0);
          expect(printed, `${command}\n${stderr}`).toMatch(pattern(lines.map(plain), exact));
          ran++;
        }
      }
      expect(ran).toBeGreaterThan(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
