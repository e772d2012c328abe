/**
 * Starts programs out of the one file that holds them all (`scripts/lib/bundle.mjs`), with the code that V8 made of it when this package
 * was set up (`scripts/lib/compile-ahead.mjs`): finding, reading and compiling its modules would take longer than most of them run.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';

/** By name, what loads a program's module. */
type Programs = Readonly<Record<string, () => Promise<Record<string, unknown>>>>;

const fileOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const PROGRAMS = fileOf('programs.cjs');
/** Belongs to one build of `PROGRAMS` and one version of V8; another V8 passes it over. */
export const CODE_AHEAD = fileOf('programs.code');

/** Modules of Node.js that are large, and that most verbs use nothing of. */
const LARGE = [
  'child_process',
  'crypto',
  'http',
  'readline/promises',
  'stream',
  'timers/promises',
  'worker_threads',
  'zlib',
];
const LATER: ReadonlySet<string> = new Set(LARGE.map((name) => `node:${name}`));

/** `require` as the programs have it: large modules are loaded when something of them is asked for. */
function requireLater(from: string): (name: string) => unknown {
  const require = createRequire(from);
  return (name) => {
    if (!LATER.has(name)) return require(name);
    return new Proxy({}, { get: (_, key): unknown => Reflect.get(require(name), key) });
  };
}

/** All programs, compiled as far as `CODE_AHEAD` has them. */
export function compilePrograms(): { readonly script: Script; readonly programs: Programs } {
  // It is ASCII.
  const source = readFileSync(PROGRAMS, 'latin1');
  const script = new Script(
    `(function (exports, require, importModule, __filename, __dirname) { 'use strict'; ${source}\n})`,
    {
      filename: PROGRAMS,
      ...(existsSync(CODE_AHEAD) ? { cachedData: readFileSync(CODE_AHEAD) } : {}),
    },
  );
  // What the bundler's entry exports.
  const made = {} as { readonly programs: Programs };
  const importModule = (name: string): Promise<unknown> => import(name);
  script.runInThisContext()(made, requireLater(PROGRAMS), importModule, PROGRAMS, dirname(PROGRAMS));
  return { script, programs: made.programs };
}

/** Runs one of them; what comes back is what its module exports. */
export function start(name: string): Promise<Record<string, unknown>> {
  // Starters are made out of the same table.
  return compilePrograms().programs[name]!();
}
