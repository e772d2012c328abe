/** check.wasm as C for the addon: wasm2c and its runtime out of one Debian package, of the version that native/ is written for. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { unpackDebianPackages } from './debian-packages.mjs';
import { cache, root, runLogged } from './step.mjs';

/** wasm2c's names and the runtime's structures change from release to release: the C here fits this one. */
const VERSION = '1.0.32';

function lookIn(prefix) {
  const tools = {
    program: join(prefix, 'bin', 'wasm2c'),
    include: join(prefix, 'include'),
    runtime: join(prefix, 'share', 'wabt', 'wasm2c'),
  };
  const files = [tools.program, join(tools.include, 'wasm-rt.h'), join(tools.runtime, 'wasm-rt-impl.c')];
  if (!files.every((file) => existsSync(file))) return null;
  const { status, stdout } = spawnSync(tools.program, ['--version'], { encoding: 'utf8' });
  return status === 0 && stdout.trim() === VERSION ? tools : null;
}

const folder = join(cache, 'wabt');

/** Installed, or unpacked before. */
const prefixes = ['/usr', join(folder, 'usr')];

function findWabt() {
  for (const prefix of prefixes) {
    const found = lookIn(prefix);
    if (found) return found;
  }
  console.log('setup: downloading wabt (a Debian package, unpacked into .cache, nothing is installed)');
  const { reason } = unpackDebianPackages('bookworm', [{ names: ['wabt'], version: VERSION }], folder);
  return reason ? { reason } : (lookIn(join(folder, 'usr')) ?? { reason: 'what was unpacked does not run here' });
}

/** Where a wasm2c is, of whatever version: when this changes the addon is built again. */
export function wabtPlaces() {
  return prefixes.filter((prefix) => existsSync(join(prefix, 'bin', 'wasm2c')));
}

/** Where the generated files are; a folder for `include_dirs`. */
export const generated = join(root, 'build', 'generated');

/** The header that native_check.c includes. `absence`: why there is no native check; null when there is one. */
export function writeConfig(absence) {
  const digest = createHash('sha256')
    .update(readFileSync(join(root, 'build', 'check.wasm')))
    .digest('hex');
  const lines = absence
    ? [`#define NATIVE_CHECK_BUILT 0`, `#define NATIVE_CHECK_ABSENCE ${JSON.stringify(absence)}`]
    : [`#define NATIVE_CHECK_BUILT 1`, `#define NATIVE_CHECK_DIGEST "${digest}"`];
  mkdirSync(generated, { recursive: true });
  writeFileSync(join(generated, 'native_check_config.h'), `${lines.join('\n')}\n`);
}

/** Translates build/check.wasm. Answers the folders that the C compiler needs, or why there can be no native check. */
export function translateCheck() {
  if (endianness() !== 'LE') return { absence: 'this machine is big-endian: wasm2c and V8 lay memory out differently' };
  const tools = findWabt();
  if (tools.reason) return { absence: `wasm2c ${VERSION} was not found: ${tools.reason}` };
  mkdirSync(generated, { recursive: true });
  const output = join(generated, 'check_module.c');
  const translated = runLogged('native-check', [
    [tools.program, join(root, 'build', 'check.wasm'), '-n', 'check', '-o', output],
  ]);
  if (!translated) return { absence: 'wasm2c failed: see .cache/setup/native-check.log' };
  return { absence: null, include: tools.include, runtime: tools.runtime };
}
