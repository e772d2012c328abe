/** The house as docs/architecture.md draws it: rooms from top to bottom, and arrows that go down only. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packageFile } from '../src/paths.js';
import { COMPUTED, type House, readHouse } from './house/modules.js';

/** From top to bottom. Rooms of src/, and arch/ where it stands among them. */
const ROOMS = [
  'cli',
  'triage',
  'repro',
  'diagnosis',
  'scenario',
  'dump',
  'guest',
  'attach',
  'introspect',
  'report',
  'cycles',
  'image',
  'stack',
  'check',
  'arch',
  'kernel',
  'engine',
];

/** All that lies at the top of src/ itself. Below every room, but for index.ts, which is above them. */
const TOP_FILES = ['index.ts', 'errors.ts', 'paths.ts', 'terminal.ts', 'child.ts', 'options.ts'];

/** Rooms that also run in a browser, and the readers of dumps' formats, which take their bytes from a `ByteSource`. */
const BROWSER_ROOMS = ['diagnosis', 'report', 'check', 'introspect', 'kernel', 'arch'];
const DUMP_FORMATS = [
  ...['dump-file', 'elf-core', 'kdump', 'flattened', 'page-codecs', 'physical', 'virtual'],
  ...['vmcoreinfo', 'registers', 'shrunk-note', 'search'],
  ...['judge', 'open-shrunk'],
].map((name) => `src/dump/${name}.ts`);
/** Of other rooms: what the page shows of a shrunk dump, and the scenario that it hands out. */
const ALSO_IN_BROWSERS = [
  ...['explain-dump', 'struct-fields', 'outcome-of'].map((name) => `src/repro/${name}.ts`),
  ...['plain', 'write'].map((name) => `src/scenario/${name}.ts`),
];

/** Packages that such a room may load: none of them needs Node.js, but for the one that is named below. */
const BROWSER_PACKAGES = [
  ...['fastest-levenshtein', 'lzma1', 'pako', 'seek-bzip', 'snappyjs', 'xz-decompress', 'yaml'],
  'zstddec/stream',
];

/** Globals that only Node.js has. */
const NODE_GLOBALS = ['Buffer', 'process', 'require', 'global', 'setImmediate', '__dirname', '__filename'];

/** Where one of them is asked for all the same, and why. */
const ASKS_FOR_GLOBAL: Readonly<Record<string, { readonly globals: readonly string[]; readonly why: string }>> = {
  'src/kernel/bytes.ts': {
    globals: ['Buffer'],
    why: 'asks whether there is one, and does without where there is none',
  },
  'src/attach/attach.ts': { globals: ['process'], why: 'warns where nobody hears of blind spots; scenarios do' },
  'src/engine/turn.ts': { globals: ['setImmediate'], why: 'as above' },
};

/** Where numbers are taken out of bytes; linear memory of another module is not guest memory. */
const READS_NUMBERS: Readonly<Record<string, string>> = {
  'src/kernel/words.ts': 'the one place',
  'src/engine/unicorn-js/machine.ts': 'writes registers into linear memory on every copy',
};

/** Rooms that start processes; src/child.ts does it for them. */
const PROCESS_ROOMS = ['cli', 'triage', 'scenario', 'repro'];
const ALSO_STARTS_PROCESSES: Readonly<Record<string, string>> = {
  'src/child.ts': 'how a child is started',
  'src/image/apt.ts': 'fetching a kernel is asking apt',
  'src/image/debug-types.ts': 'pahole makes types of debug symbols',
};

/**
 * Names of architectures, as Linux, distributions, compilers and Unicorn spell them, between anything but letters and
 * digits. Thumb is not among them: it is a state that a block of code is in, which engines tell the cycle model.
 */
const ARCHITECTURE =
  /(?<![a-z0-9])(x86|x86_?(32|64)|x64|i[3-6]86|ia32|amd64|arm|arm32|arm64|aarch64|arm(hf|el|v\d\w*)|powerpc(64)?(le|el)?|ppc(32|64)?(le|el)?|sparc|sparc(32|64)|s390x?|ia64|itanium|risc_?v(32|64)?|loongarch(32|64)?|mips(64)?(el)?|m68k|alpha|parisc|csky|xtensa)(?![a-z0-9])/i;

/** Files that say one all the same, which words, and why. */
const SAYS_ARCHITECTURE: Readonly<Record<string, { readonly words: RegExp; readonly why: string }>> = {
  'src/diagnosis/causes-found.ts': { words: /./, why: 'causes that one machine had, as its people spell it' },
  'src/engine/unicorn-js/machine.ts': { words: /^(X86|ARM)$/, why: "Unicorn's names of its machines (UC_ARCH_*)" },
  'src/engine/unicorn-js/names.ts': { words: /^(X86|ARM|ARM64)$/, why: "Unicorn's names of its machines (UC_ARCH_*)" },
  'src/image/offset-tables.ts': {
    words: /^(cpuinfo_(x86|mips)|x86_phys_bits)$/,
    why: "the kernel's names of structures",
  },
  'src/kernel/payload/bcj.ts': { words: /x86|powerpc|arm|sparc/, why: "xz's names of its filters" },
  'src/repro/debug-file.ts': { words: /^EM_ARM$/, why: "ELF's name of a machine, whose symbols mark Thumb code" },
};
/** What a person reads may show one as an example: a text of several words. */
const SHOWS_EXAMPLES = /^src\/(cli\/|image\/fetch\.ts$)/;

const filesIn = (folder: string, ending: RegExp): string[] =>
  readdirSync(packageFile(folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name) && !name.includes('node_modules'))
    .map((name) => `${folder}/${name}`);

const text = (path: string): string => readFileSync(packageFile(path), 'utf8');

/** The C++ folder is not among them: its includes are read below, and its order is the compiler's affair. */
const house = readHouse(
  new Map(
    ['src', 'arch', 'bench', 'assembly', 'scripts', 'page']
      .flatMap((folder) => filesIn(folder, /(?<!\.d)\.m?tsx?$|\.mjs$/))
      .map((path) => [path, text(path)]),
  ),
);

/** `cli`, `arch`, `bench`, …; the name of the file for those at the top of src/. */
function roomOf(path: string): string {
  const [first = '', second = '', ...rest] = path.split('/');
  return first === 'src' && (rest.length > 0 || second !== '') ? second : first;
}

type Edge = { readonly from: string; readonly to: string; readonly kind: 'value' | 'type' };

const edges = (modules: House): Edge[] =>
  [...modules.values()].flatMap(({ path, imports }) => imports.map(({ to, kind }) => ({ from: path, to, kind })));

const inside = (modules: House): Edge[] =>
  edges(modules).filter(({ to }) => /^(src|arch|bench|test|assembly)\//.test(to));

const shown = ({ from, to }: Edge): string => `${from} -> ${to}`;

function upwardArrows(modules: House): string[] {
  const height = (path: string): number => {
    const room = roomOf(path);
    if (room === 'index.ts') return -1;
    return TOP_FILES.includes(room) ? ROOMS.length : ROOMS.indexOf(room);
  };
  return inside(modules)
    .filter(({ from, to }) => /^(src|arch)\//.test(from) && /^(src|arch)\//.test(to) && height(to) < height(from))
    .map(shown);
}

/** Groups that reach each other. */
function cycles(arrows: readonly { readonly from: string; readonly to: string }[]): string[] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of arrows) if (from !== to) next.set(from, (next.get(from) ?? new Set()).add(to));
  const reach = (start: string): Set<string> => {
    const seen = new Set<string>();
    const waiting = [start];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop())
      for (const to of next.get(at) ?? []) if (!seen.has(to)) waiting.push(to) && seen.add(to);
    return seen;
  };
  const reached = new Map([...next.keys()].map((name) => [name, reach(name)]));
  const groups = [...reached]
    .filter(([name, all]) => all.has(name))
    .map(([name, all]) =>
      [...all]
        .filter((other) => reached.get(other)?.has(name))
        .sort()
        .join(' <-> '),
    );
  return [...new Set(groups)];
}

/** What a module loads when it runs, itself included, each with the way that leads there. */
function loads(modules: House, start: string): Map<string, string> {
  const ways = new Map([[start, start]]);
  for (const [path, way] of ways)
    for (const { to, kind } of modules.get(path)?.imports ?? [])
      if (kind === 'value' && !ways.has(to)) ways.set(to, `${way} -> ${to}`);
  return ways;
}

function notForBrowsers(modules: House): string[] {
  const starts = [...modules.keys()].filter(
    (path) =>
      (BROWSER_ROOMS.includes(roomOf(path)) && /^(src|arch)\//.test(path)) ||
      [...DUMP_FORMATS, ...ALSO_IN_BROWSERS].includes(path),
  );
  const found = starts.flatMap((start) =>
    [...loads(modules, start)].flatMap(([path, way]) => {
      if (!modules.has(path)) {
        const isData = path.endsWith('.json');
        return BROWSER_PACKAGES.includes(path) || isData ? [] : [way];
      }
      const wanted = NODE_GLOBALS.filter((name) => modules.get(path)?.values.has(name));
      const unexplained = wanted.filter((name) => !ASKS_FOR_GLOBAL[path]?.globals.includes(name));
      return [...(roomOf(path) === 'engine' ? [way] : []), ...unexplained.map((name) => `${way}: ${name}`)];
    }),
  );
  return [...new Set(found)];
}

/** Globals of Node.js in what the page's program loads; the build looks at its modules, not at those. */
function nodeInThePage(modules: House): string[] {
  const replaced = new Set(
    filesIn('page/run/instead', /\.ts$/).flatMap((path) => /In the place of (\S+\.ts):/.exec(text(path))?.[1] ?? []),
  );
  const kept = new Map([...modules].filter(([path]) => !replaced.has(path)));
  return [...loads(kept, 'page/entry.ts')].flatMap(([path, way]) =>
    NODE_GLOBALS.filter((name) => kept.get(path)?.values.has(name))
      .filter((name) => !ASKS_FOR_GLOBAL[path]?.globals.includes(name))
      .map((name) => `${way}: ${name}`),
  );
}

function saidArchitectures(modules: House): string[] {
  return [...modules.values()]
    .filter(({ path }) => path.startsWith('src/'))
    .flatMap(({ path, words }) =>
      words
        .filter(({ text: word }) => ARCHITECTURE.test(word.replace(/([a-z0-9])([A-Z])/g, '$1_$2')))
        .filter(({ text: word }) => !SAYS_ARCHITECTURE[path]?.words.test(word))
        .filter(({ text: word, isString }) => !(isString && word.includes(' ') && SHOWS_EXAMPLES.test(path)))
        .map(({ line, text: word }) => `${path}:${line}: ${word}`),
    );
}

function startsProcesses(modules: House): string[] {
  return edges(modules)
    .filter(({ from, to }) => from.startsWith('src/') && /^node:(child_process|cluster)$/.test(to))
    .filter(({ from }) => !PROCESS_ROOMS.includes(roomOf(from)) && ALSO_STARTS_PROCESSES[from] === undefined)
    .map(shown);
}

function readsNumbers(modules: House): string[] {
  return [...modules.values()]
    .filter(({ path }) => /^(src|arch)\//.test(path) && READS_NUMBERS[path] === undefined)
    .flatMap(({ path, words }) =>
      words
        .filter(({ text: word }) => /^(DataView|get(Big)?U?[Ii]nt\d+|(read|write)(Big)?U?Int\d*[BL]E)$/.test(word))
        .map(({ line, text: word }) => `${path}:${line}: ${word}`),
    );
}

/** `as` and `!` without a reason, outside of tests; `as const` needs none. */
function bareAssertions(modules: House): string[] {
  return [...modules.values()]
    .filter(({ path }) => /^(src|arch|bench|page)\//.test(path))
    .flatMap(({ path, bareAssertions: lines }) => lines.map((line) => `${path}:${line}`));
}

/** Arrows between the folders beside src/ that may not be. */
function strayArrows(modules: House): string[] {
  return edges(modules)
    .filter(({ from, to }) => {
      const [folder] = from.split('/');
      if (folder === 'assembly') return !to.startsWith('assembly/');
      if (to.startsWith('test/')) return true;
      // Two verbs measure, and the page shows what one of them measured.
      if (to.startsWith('bench/'))
        return folder !== 'bench' && !/^(?:src\/cli\/(?:bench|overhead)|page\/(?:data|overhead-tab))\.tsx?$/.test(from);
      // A folder of an architecture knows no other.
      const [own, other] = [from, to].map((path) => /^arch\/([^/]+)\/./.exec(path)?.[1]);
      return own !== undefined && other !== undefined && own !== other;
    })
    .map(shown);
}

describe('the house', () => {
  it('has rooms with a name and a place, and five files beside them', () => {
    const entries = readdirSync(packageFile('src'), { withFileTypes: true });
    const rooms = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(rooms.sort()).toEqual(ROOMS.filter((name) => name !== 'arch').sort());
    const files = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
    expect(files.filter((name) => !TOP_FILES.includes(name))).toEqual([]);
  });

  it('is drawn in docs/architecture.md as it is', () => {
    const picture = /^```\nassembly\/.*?^```/ms.exec(text('docs/architecture.md'))?.[0] ?? '';
    const drawn = [...picture.matchAll(/^ {2}(?:([a-z]+)\/|── (arch)\/)/gm)].map((match) => match[1] ?? match[2]);
    expect(drawn).toEqual(ROOMS);
    const folders = [...picture.matchAll(/^([a-z]+)\//gm)].map((match) => match[1]);
    expect(folders.filter((name) => !existsSync(packageFile(name!)))).toEqual([]);
    expect(TOP_FILES.filter((name) => !picture.includes(name))).toEqual([]);
  });

  it('has arrows that go down only', () => {
    expect(upwardArrows(house)).toEqual([]);
  });

  it('has no cycle between rooms', () => {
    expect(cycles(inside(house).map(({ from, to }) => ({ from: roomOf(from), to: roomOf(to) })))).toEqual(
      // The verb that runs the benchmark, and the benchmark that prints as the verbs do.
      ['bench <-> cli'],
    );
  });

  it('has no cycle between files', () => {
    expect(cycles(inside(house))).toEqual([]);
  });

  it('has rooms that need neither Node.js nor an emulator', () => {
    expect([...DUMP_FORMATS, ...ALSO_IN_BROWSERS].filter((path) => !house.has(path))).toEqual([]);
    expect(notForBrowsers(house)).toEqual([]);
  });

  it('has a page whose program asks for nothing of Node.js', () => {
    expect(nodeInThePage(house)).toEqual([]);
  });

  it('starts processes where verbs need them, and nowhere else', () => {
    expect(startsProcesses(house)).toEqual([]);
  });

  it('takes numbers out of bytes in one place', () => {
    expect(readsNumbers(house)).toEqual([]);
  });

  it('says why where it knows a type better than the compiler', () => {
    expect(bareAssertions(house)).toEqual([]);
  });

  it('says no name of an architecture outside of arch/', () => {
    expect(saidArchitectures(house)).toEqual([]);
    expect(Object.keys(SAYS_ARCHITECTURE).filter((path) => !house.has(path))).toEqual([]);
  });

  it('keeps tests, benchmarks and architectures to themselves, and the check knows nothing else', () => {
    expect(strayArrows(house)).toEqual([]);
  });

  it('has an engine room whose sources include nothing of the rest', () => {
    const includes = filesIn('native', /\.(cc|c|h)$/).flatMap((path) =>
      [...text(path).matchAll(/^\s*#\s*include\s*"([^"]+)"/gm)].map((match) => ({ path, name: match[1]! })),
    );
    expect(includes.length).toBeGreaterThan(20);
    expect(includes.filter(({ name }) => /(^|\/)(src|arch|assembly|bench|test)\//.test(name))).toEqual([]);
  });
});

describe('the guard sees', () => {
  const made = (sources: Readonly<Record<string, string>>): House => readHouse(new Map(Object.entries(sources)));

  it.each([
    ['a value', "import { attach } from '../attach/attach.js';"],
    ['a type', "import type { Attachment } from '../attach/attach.js';"],
    ['a type in passing', "export const a = (b: import('../attach/attach.js').Attachment) => b;"],
    ['what is handed on', "export * from '../attach/attach.js';"],
    ['what is loaded late', "export const a = () => import('../attach/attach.js');"],
  ])('an arrow that goes up for %s', (_, source) => {
    expect(upwardArrows(made({ 'src/check/a.ts': source, 'src/attach/attach.ts': '' }))).toEqual([
      'src/check/a.ts -> src/attach/attach.ts',
    ]);
  });

  it('that errors.ts knows no room, and that no room knows index.ts', () => {
    const modules = made({
      'src/errors.ts': "import './check/a.js';",
      'src/check/a.ts': "import '../index.js';",
      'src/index.ts': "export * from './check/a.js';",
    });
    expect(upwardArrows(modules)).toEqual(['src/errors.ts -> src/check/a.ts', 'src/check/a.ts -> src/index.ts']);
  });

  it('a cycle of three files, one of its arrows a type', () => {
    const modules = made({
      'src/check/a.ts': "import './b.js';",
      'src/check/b.ts': "import type { C } from './c.js';",
      'src/check/c.ts': "export { a } from './a.js';",
      'src/check/d.ts': "import './a.js';",
    });
    expect(cycles(inside(modules))).toEqual(['src/check/a.ts <-> src/check/b.ts <-> src/check/c.ts']);
  });

  it.each([
    ['a module of Node.js two files away', "import '../stack/b.js';", "import 'node:fs';"],
    ['an engine', "import '../engine/b.js';", ''],
    ['a global of Node.js', "export const a = Buffer.from('');", ''],
    ['a package that is not known to run there', "import 'commander';", ''],
    ['an import whose name is computed', "const name = 'node:fs'; await import(name);", ''],
  ])('in a room of the browser %s', (_, source, other) => {
    const modules = made({ 'src/report/a.ts': source, 'src/stack/b.ts': other, 'src/engine/b.ts': other });
    expect(notForBrowsers(modules)).toHaveLength(1);
  });

  it('nothing wrong with types, members and data of the same names', () => {
    const modules = made({
      'src/report/a.ts':
        "import type { Engine } from '../engine/b.js'; export const a = (b: Buffer, c: Engine) => [b.process, { global: c }];",
      'src/engine/b.ts': "import 'node:fs';",
    });
    expect(notForBrowsers(modules)).toEqual([]);
  });

  it.each(['const arm64Only = 1;', "const a = 'ppc64le';", 'const a = `for s390x`;', 'const a = /^i386$/;'])(
    'the name of an architecture in %s',
    (source) => {
      expect(saidArchitectures(made({ 'src/guest/a.ts': `// x86\n${source}` }))).toHaveLength(1);
    },
  );

  it.each(['const alarm = armed;', "const a = 'charms';", 'const pharmacy = 1;'])('none in %s', (source) => {
    expect(saidArchitectures(made({ 'src/guest/a.ts': source }))).toEqual([]);
  });

  it('arrows to tests, to the benchmark, between architectures, and out of the check', () => {
    const modules = made({
      'bench/a.ts': "import '../test/b.js';",
      'src/guest/a.ts': "import '../../bench/a.js';",
      'src/cli/bench.ts': "import '../../bench/a.js';",
      'arch/arm/index.ts': "import '../x86/index.js'; import '../common.js';",
      'assembly/check.ts': "import '../src/errors'; import './memory';",
      'assembly/memory.ts': '',
    });
    expect(strayArrows(modules)).toHaveLength(4);
  });

  it.each(['new DataView(b).byteLength;', 'v.getBigUint64(0);', 'buffer.readUInt16LE(4);'])(
    'numbers read by %s',
    (source) => {
      expect(readsNumbers(made({ 'src/dump/a.ts': source }))).toHaveLength(1);
    },
  );

  it('a type that is asserted without a reason', () => {
    const source = `
const a = b as C;
const d = e!;
// Looked at before.
const f = g! as H;
const i = j as const; // not this
const k = l! + (m as N); // both are explained
const o = p
  .q!
  .r;
`;
    expect(bareAssertions(made({ 'src/dump/a.ts': source }))).toEqual(
      ['2', '3', '9'].map((line) => `src/dump/a.ts:${line}`),
    );
    expect(bareAssertions(made({ 'bench/a.ts': source }))).toHaveLength(3);
    expect(bareAssertions(made({ 'test/a.ts': source }))).toEqual([]);
  });

  it('a process that another room starts', () => {
    const modules = made({
      'src/dump/a.ts': "import 'node:child_process';",
      'src/repro/a.ts': "import 'node:child_process';",
    });
    expect(startsProcesses(modules)).toEqual(['src/dump/a.ts -> node:child_process']);
  });

  it('the imports of the check, in which decorators stand where TypeScript has none', () => {
    expect(house.get('assembly/check.ts')?.imports.map(({ to }) => to)).toContain('assembly/stack.ts');
    expect(house.get('assembly/index.ts')?.imports.map(({ to }) => to)).not.toContain(COMPUTED);
  });
});
