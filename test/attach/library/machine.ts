/** The C harness of `steps.c`, built against one of Debian's Unicorns, and what it says. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageFile } from '../../../src/paths.js';
import { type HereBuild, unicornEnvironment } from '../../places.js';

export const LIBRARY = packageFile('build/Release/libusercopy.so');
const SOURCE = packageFile('test/attach/library/steps.c');

/** The code of `_copy_to_user(to, from, n)`: mov rcx, rdx; rep movsb; xor eax, eax; ret. */
export const COPY_TO_USER = '4889d1f3a431c0c3';

export function runProgram(program: string, args: readonly string[], input = '', env = process.env) {
  const { status, signal, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 600_000,
    input,
    env,
  });
  return { status: status ?? signal, stdout, stderr };
}

export function compile(program: string, args: readonly string[], folder: string): string {
  const { status, stderr } = runProgram(program, args, '', { ...process.env, TMPDIR: folder });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  return warningsOf(stderr);
}

/** What a compiler said, but for what the linker says of the sanitizers that `npm run test:asan` brings in. */
export const warningsOf = (stderr: string): string => stderr.replace(/^.*\blib\w+san\.so\S*: warning: .*\n/gm, '');

/**
 * What the harness has of libunicorn: `exported` is linked statically, too, and the program shows its symbols; `plugin` is a shared
 * object, for `host.c` to open, so that libunicorn is of no search that begins at the program.
 */
export type Linkage = 'shared' | 'static' | 'exported' | 'plugin';

/** Builds the harness into `folder`; gives its path. */
export function buildSteps(build: HereBuild, folder: string, linkage: Linkage = 'shared'): string {
  const program = join(folder, `steps-${build.version}-${linkage}`);
  const shared = [`-L${build.lib}`, '-lunicorn'];
  const archive = [join(build.lib, 'libunicorn.a'), '-lm', '-lpthread'];
  const unicorn = {
    shared,
    plugin: ['-shared', '-fPIC', ...shared],
    static: ['-DLINKED_STATICALLY', ...archive],
    exported: ['-DLINKED_STATICALLY', '-rdynamic', ...archive],
  }[linkage];
  const library = [LIBRARY, `-Wl,-rpath,${packageFile('build/Release')}`];
  const warnings = compile(
    'cc',
    [
      '-Wall',
      '-Wextra',
      '-g',
      `-I${packageFile('native')}`,
      `-I${build.include}`,
      SOURCE,
      '-o',
      program,
      ...library,
      ...unicorn,
      '-ldl',
    ],
    folder,
  );
  if (warnings !== '') throw new Error(warnings);
  return program;
}

/** Builds the program that opens a harness as a wheel's Python does its modules; gives its path. */
export function buildHost(folder: string): string {
  const program = join(folder, 'host');
  const source = packageFile('test/attach/library/host.c');
  compile('cc', ['-Wall', '-Wextra', '-Werror', source, '-o', program, '-ldl'], folder);
  return program;
}

/** What the harness says to these steps, a line each. A signal or an exit status that is not 0 is the last line. */
export function play(program: string, build: HereBuild, steps: readonly string[], ...args: string[]): string[] {
  const { status, stdout, stderr } = runProgram(program, args, `${steps.join('\n')}\n`, unicornEnvironment(build));
  const lines = `${stdout}${stderr}`.split('\n').filter((line) => line !== '');
  return status === 0 ? lines : [...lines, `status ${status}`];
}

/** Prepares firmware.yaml (a slab of 64-byte objects at 0x200000) for functions at these addresses; gives the file. */
export function prepareFirmware(folder: string, name: string, ...symbols: string[]): string {
  const file = join(folder, name);
  const { status, stderr } = runProgram(process.execPath, [
    ...[packageFile('build/cli/main.js'), 'prepare', packageFile('examples/harness/firmware.yaml'), '-o', file],
    ...symbols.flatMap((symbol) => ['--symbol', symbol]),
  ]);
  if (status !== 0) throw new Error(stderr);
  return file;
}
