/** `usercopy doctor`: what is here, what is missing, and how to get it. */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type ExecutorName, executors } from '../check/executors.js';
import { builtCheck } from '../engine/built-check.js';
import { loadAddon } from '../engine/unicorn-addon.js';
import { openLibrary } from '../engine/unicorn-library.js';
import { places } from '../engine/unicorn-places.js';
import { UsercopyError } from '../errors.js';
import { cachedKernels, defaultCacheDirectory } from '../image/fetch.js';
import { buildCommand, nativeFile, packageFile } from '../paths.js';
import { ownVariants } from '../scenario/own.js';
import { colours } from '../terminal.js';
import { type Forms, type Part, printAnswer } from './answer.js';
import { BAD_INPUT, CLEAN, toJson } from './output.js';
import { Verb } from './verb.js';

interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** Nothing runs without it. */
  readonly essential: boolean;
  readonly found: string | null;
  /** What it is for, and how to get it; null when it is there. */
  readonly advice: string | null;
  /** More to know of what is there: what it lacks, what goes unused beside it. */
  readonly notes: readonly string[];
}

const OLDEST_NODE = [20, 17] as const;
const SET_UP = `run \`${buildCommand()}\``;

const EXECUTOR_USES: Readonly<Record<ExecutorName, string>> = {
  native: 'check.wasm compiled into the addon; used where it is there',
  v8: 'check.wasm in V8; used otherwise',
  js: 'check.wasm as JavaScript',
};

/** Programs that single verbs or the build call; the rest is in the package. */
const PROGRAMS: readonly {
  readonly names: readonly [string, ...string[]];
  readonly use: string;
  readonly packages: string;
}[] = [
  { names: ['g++', 'c++'], use: 'building the addon', packages: 'g++' },
  { names: ['make'], use: 'building the addon', packages: 'make' },
  { names: ['python3'], use: 'building the addon', packages: 'python3' },
  { names: ['wasm2c'], use: 'the native executor (1.0.32 or later)', packages: 'wabt' },
  { names: ['llvm-mca', 'llvm-mca-14'], use: 'making cycle tables anew', packages: 'llvm-14' },
  { names: ['apt-get'], use: 'usercopy kernel fetch', packages: 'apt' },
  { names: ['dpkg-deb'], use: 'usercopy kernel fetch', packages: 'dpkg' },
];

function programPath(name: string): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return null;
}

/** What the set-up unpacked for itself, where the machine has none. */
function unpackedProgram(name: string): string | null {
  const { wabt } = places();
  return name === 'wasm2c' && wabt && existsSync(wabt.program) ? `${wabt.program} (${wabt.version})` : null;
}

/** What only compiles, and is not missed where the package brought what it would compile. */
const COMPILERS = ['g++', 'make', 'python3'];

/** What made something that is there is not missed: an install throws it away. */
function doneWith(name: string): string | null {
  const addon = nativeFile('unicorn_engine.node');
  if (COMPILERS.includes(name) && existsSync(addon) && addon !== packageFile('build/Release/unicorn_engine.node'))
    return 'not needed: the addon came compiled';
  const isBuilt = executors(builtCheck).some((executor) => executor.name === 'native' && executor.available);
  return name === 'wasm2c' && isBuilt ? 'not needed any more: the native executor is built' : null;
}

function finding(
  name: string,
  essential: boolean,
  found: string | null,
  advice: string,
  notes: readonly string[] = [],
): Finding {
  return { name, essential, ok: found !== null, found, advice: found === null ? advice : null, notes };
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isRecent = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  const advice = `Node.js ${OLDEST_NODE.join('.')} or newer; this is ${process.versions.node}`;
  return finding('Node.js', true, isRecent ? process.versions.node : null, advice);
}

/** What a question answers, or the sentence of the error that it ends in. */
function attempt<Answer>(question: () => Answer): { readonly answer: Answer } | { readonly problem: string } {
  try {
    return { answer: question() };
  } catch (error) {
    if (!(error instanceof UsercopyError)) throw error;
    return { problem: error.message };
  }
}

/** The addon, the libunicorn that it opens, and why it is not a better one. */
function emulator(): Finding[] {
  const addon = attempt(loadAddon);
  if ('problem' in addon) return [finding('addon', true, null, addon.problem)];
  const here = finding('addon', true, nativeFile('unicorn_engine.node'), '');
  const library = attempt(() => openLibrary(addon.answer));
  if ('problem' in library) return [here, finding('libunicorn', true, null, library.problem)];
  const version = addon.answer.version().join('.');
  const { unicorn, unicorns = [] } = places();
  const chosen = unicorn?.library === library.answer ? unicorn : null;
  const known = chosen ?? unicorns.find((build) => build.absence === null && build.library === library.answer);
  const lacks = known && 'lacks' in known ? known.lacks : null;
  const source = process.env['UNICORN_PREFIX']
    ? 'UNICORN_PREFIX'
    : (chosen?.source ?? (unicorn === undefined ? 'installed on this machine' : 'not the one that the set-up chose'));
  const notes = [
    ...(lacks ?? []).map((lack) => `it lacks ${lack}`),
    ...(chosen?.passedOver ?? []).map((other) => `not used: ${other.version}, ${other.source}: ${other.reason}`),
  ];
  return [here, finding('libunicorn', true, `${version}, ${library.answer} (${source})`, '', notes)];
}

function check(): Finding[] {
  const module = packageFile('build/check.wasm');
  return [
    finding('check.wasm', true, existsSync(module) ? module : null, SET_UP),
    ...executors(builtCheck).map(({ name, available, why }) =>
      finding(`executor ${name}`, false, available ? EXECUTOR_USES[name] : null, why ?? SET_UP),
    ),
  ];
}

async function cache(): Promise<Finding> {
  const directory = await defaultCacheDirectory();
  const kernels = await cachedKernels();
  const found = kernels.length === 0 ? null : `${kernels.length} in ${directory}`;
  return finding('kernels', false, found, `none in ${directory}; usercopy kernel fetch x86_64 gets one`);
}

async function findings(): Promise<Finding[]> {
  return [
    node(),
    ...emulator(),
    ...check(),
    finding('built-in guests', true, ownVariants().join(', ') || null, 'guests/elf of the package is empty'),
    ...PROGRAMS.map(({ names, use, packages }) => {
      const [name] = names;
      const found = names.map(programPath).find((path) => path !== null) ?? unpackedProgram(name) ?? doneWith(name);
      return finding(name, false, found, `for ${use}; Debian, Ubuntu: apt-get install ${packages}`);
    }),
    await cache(),
  ];
}

export function doctorCommand(): Verb {
  return new Verb('doctor')
    .description('Say what this machine has, what it lacks, and how to get it.')
    .tables()
    .ends({
      status: '0 if copies can be judged on this machine, 2 if something essential is missing.',
      examples: ['usercopy doctor', "usercopy doctor --json | jq '.findings[] | select(.ok | not)'"],
    })
    .action(async (forms: Forms) => {
      const list = await findings();
      // One executor is enough.
      const runs = list.some(({ name, ok }) => ok && name.startsWith('executor '));
      const ok = runs && list.every((entry) => entry.ok || !entry.essential);
      printAnswer(forms, {
        json: () => toJson({ ok, findings: list }),
        parts: () => describe(list, ok),
        next: ok ? "usercopy run own  # the built-in guests' own check, and ours" : undefined,
      });
      process.exitCode = ok ? CLEAN : BAD_INPUT;
    });
}

function describe(list: readonly Finding[], ok: boolean): Part[] {
  const rows = list.map((entry) => [
    entry.name,
    entry.ok ? colours.green('yes') : entry.essential ? colours.red('NO') : colours.yellow('no'),
    [entry.found ?? entry.advice ?? '', ...entry.notes].join('\n'),
  ]);
  const summary = ok ? 'copies can be judged here' : colours.red('something essential is missing');
  return [{ head: ['what', 'there', 'where, or what to do'], rows, widths: [null, null, 90] }, summary];
}
