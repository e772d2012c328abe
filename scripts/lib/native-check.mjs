/** check.wasm as C for the addon: wasm2c and its runtime out of one package, of any release that keeps what is asked here. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { ownSuite, unpackDebianPackages } from './debian-packages.mjs';
import { compareVersions } from './shared-library.mjs';
import { cache, root, runLogged, sha256Of } from './step.mjs';

/** The first release whose C takes an instance: several checks live in one process. */
const OLDEST = '1.0.32';

/** Debian's, best first: the machine's own, then bookworm's, which runs wherever any of them does. */
const SUITES = ['bookworm', 'trixie', 'forky'];
const suites = () => [...SUITES].sort((one, other) => Number(other === ownSuite()) - Number(one === ownSuite()));

/** The runtime's C files: complete in one of two places (Debian's 1.0.36 leaves one of them out of the first). */
function runtimeIn(prefix) {
  const isComplete = (folder) => {
    const main = join(folder, 'wasm-rt-impl.c');
    if (!existsSync(main)) return false;
    const parts = [...readFileSync(main, 'utf8').matchAll(/^#include "([^"]+)"/gm)].map((match) => match[1]);
    return parts.every((part) => existsSync(join(folder, part)));
  };
  return ['share/wabt/wasm2c', 'src/wasm2c'].map((place) => join(prefix, place)).find(isComplete);
}

function lookIn(prefix) {
  const program = join(prefix, 'bin', 'wasm2c');
  const include = join(prefix, 'include');
  const runtime = runtimeIn(prefix);
  if (!existsSync(program) || !existsSync(join(include, 'wasm-rt.h')) || !runtime) return null;
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  const version = stdout?.trim();
  if (status !== 0 || !/^\d+(\.\d+)+/.test(version)) return null;
  return compareVersions(version, OLDEST) < 0 ? null : { program, include, runtime, version };
}

const folder = join(cache, 'wabt');

/** Installed, or unpacked before. */
const given = process.env.WABT_PREFIX;
const prefixes = given ? [given] : ['/usr', '/usr/local', '/opt/homebrew', '/opt/local', join(folder, 'usr')];

function findWabt() {
  for (const prefix of prefixes) {
    const found = lookIn(prefix);
    if (found) return found;
  }
  if (given) return { reason: `WABT_PREFIX=${given} has no wasm2c ${OLDEST} or later with its runtime that runs here` };
  console.log('setup: downloading wabt (a Debian package, unpacked into .cache, nothing is installed)');
  const reasons = [];
  for (const suite of suites()) {
    const { reason } = unpackDebianPackages(suite, [{ names: ['wabt'] }], folder);
    const found = reason ? null : lookIn(join(folder, 'usr'));
    if (found) return found;
    reasons.push(reason ?? `wasm2c of Debian's ${suite} does not run here`);
  }
  return { reason: reasons.join('; ') };
}

/** Where a wasm2c is, of whatever version: when this changes the addon is built again. */
export function wabtPlaces() {
  return prefixes.filter((prefix) => existsSync(join(prefix, 'bin', 'wasm2c')));
}

/**
 * The macros of native_check.c for the names in a header that wasm2c wrote; null where it has another shape than every
 * release from 1.0.32 to 1.0.42.
 */
export function namesIn(header) {
  const find = (pattern) => pattern.exec(header)?.slice(1);
  const memory = find(/wasm_rt_memory_t\* (\w+)\(struct (\w+)\*\);/);
  const read = find(/^u32 (\w+)\(struct (\w+)\*, u32, u32, u32, u32\);/m);
  const instance = find(/^typedef struct (\w+) \{/m);
  const field = read && find(new RegExp(`^  struct ${read[1]}\\* ?(\\w+);`, 'm'));
  const exported = EXPORTS.map((name) => find(new RegExp(`export: '${name}' \\*/\\nu32 (\\w+)\\(`)));
  if (!memory || !field || !instance || !exported.every(Boolean)) return null;
  return {
    INSTANCE: instance[0],
    ENV: memory[1],
    HOST: read[1],
    HOST_FIELD: field[0],
    MEMORY: memory[0],
    READ: read[0],
    ...Object.fromEntries(EXPORTS.map((name, i) => [`EXPORT_${name}`, exported[i][0]])),
  };
}

const EXPORTS = ['check', 'checkOutermost', 'checkBatch', 'checkOutermostBatch', 'look'];

/**
 * What wasm2c wrote, but for how it compares an access with the memory's size: native_check.c has its own way, where it is asked for in
 * the way that is known here.
 */
export const withOwnRangeCheck = (text) =>
  text.replace(/^#define RANGE_CHECK\(mem, offset, len\)(?:.*\\\n)+.*\n/gm, '#ifndef RANGE_CHECK\n$&#endif\n');

/**
 * What wasm2c wrote, with a line behind its last #include that has native_check.c's own header read: no header is read after that, so
 * that what it defines meets the module's code alone.
 */
export function withOwnHeader(text) {
  const lines = text.split('\n');
  let depth = 0;
  // Behind the conditions that the last one lies in, too.
  const depths = lines.map((line) => {
    if (/^#\s*if/.test(line)) depth++;
    if (/^#\s*endif/.test(line)) depth--;
    return depth;
  });
  const last = lines.findLastIndex((line) => /^#\s*include\b/.test(line));
  const end = depths.findIndex((open, index) => index >= last && open === 0);
  return [...lines.slice(0, end + 1), '#include "native_check_code.h"', ...lines.slice(end + 1)].join('\n');
}

/**
 * What wasm2c wrote, with what describes linear memory copied into each function: it does not change during a judgement, but a compiler
 * cannot know that of the original, and would ask for place and size anew behind each store. `memory`: the instance's field that leads to it.
 */
export function withMemoryAtHand(text, memory) {
  const begin = 'FUNC_PROLOGUE;';
  const [head, ...functions] = text.split(begin);
  const copied = functions.map((body) => {
    const own = body.replaceAll(`(instance->${memory},`, '(&memory_at_hand,');
    return `${begin}\n  wasm_rt_memory_t memory_at_hand = *instance->${memory};${own}`;
  });
  return [head, ...copied].join('');
}

/** Where the generated files are; a folder for `include_dirs`. */
export const generated = join(root, 'build', 'generated');

/** The header that native_check.c includes. `absence`: why there is no native check; `names`: of what wasm2c wrote. */
export function writeConfig({ absence, names = {} }) {
  const lines = absence
    ? [`#define NATIVE_CHECK_BUILT 0`, `#define NATIVE_CHECK_ABSENCE ${JSON.stringify(absence)}`]
    : [
        `#define NATIVE_CHECK_BUILT 1`,
        `#define NATIVE_CHECK_DIGEST "${sha256Of(join(root, 'build', 'check.wasm'))}"`,
        ...Object.entries(names).map(([macro, name]) => `#define NATIVE_CHECK_${macro} ${name}`),
      ];
  mkdirSync(generated, { recursive: true });
  writeFileSync(join(generated, 'native_check_config.h'), `${lines.join('\n')}\n`);
}

/**
 * Translates build/check.wasm. Answers `{ absence: null, names, program, version, include, runtime }`, the last two the folders that
 * the C compiler needs, or `{ absence }`: why there can be no native check.
 */
export function translateCheck() {
  if (endianness() !== 'LE') return { absence: 'this machine is big-endian: wasm2c and V8 lay memory out differently' };
  const tools = findWabt();
  if (tools.reason) return { absence: `wasm2c ${OLDEST} or later was not found: ${tools.reason}` };
  mkdirSync(generated, { recursive: true });
  const output = join(generated, 'check_module.c');
  const translated = runLogged('native-check', [
    [tools.program, join(root, 'build', 'check.wasm'), '-n', 'check', '-o', output],
  ]);
  if (!translated) return { absence: 'wasm2c failed: see .cache/setup/native-check.log' };
  const names = namesIn(readFileSync(join(generated, 'check_module.h'), 'utf8'));
  if (!names) return { absence: `wasm2c ${tools.version} writes C of a shape that is not known here` };
  const written = readFileSync(output, 'utf8');
  writeFileSync(output, withMemoryAtHand(withOwnHeader(withOwnRangeCheck(written)), names.MEMORY));
  return { absence: null, names, ...tools };
}
