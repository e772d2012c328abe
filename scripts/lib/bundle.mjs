/**
 * Puts the command line into one file, `build/cli/programs.cjs`, and writes what starts it: Node.js takes longer to find, read and link some
 * two hundred small modules than most verbs take to run. `build/js` stays what programs import.
 */
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, parseAst } from 'vite';
import { LICENCES, licencesOf } from './bundled-licences.mjs';
import { ENTRIES, PROGRAM } from './programs.mjs';
import { root, SetupError } from './step.mjs';

/** Has its WebAssembly beside it; optional; calls Buffer(), of which Node.js warns outside of node_modules. */
const EXTERNAL = ['@alexaltea/capstone-js', 'echarts', 'seek-bzip'];

/**
 * An import of a module of Node.js asks for every name that it exports, the lazy ones too: `node:fs` then loads all streams.
 * What is asked for by name is taken from the module itself.
 */
const builtinsByName = {
  name: 'builtins-by-name',
  renderChunk(code) {
    const named = /import\s*\{([^}]*)\}\s*from\s*["'](node:[\w/]+)["'];?/g;
    return code.replace(named, (_, names, name) => {
      const bindings = names.replace(/([\w$]+)\s+as\s+([\w$]+)/g, '$1:$2');
      return `const{${bindings}}=process.getBuiltinModule("${name}");`;
    });
  },
};

const compiled = join(root, 'build', 'js');
const outDir = join(root, 'build', 'cli');
const fresh = `${outDir}.new`;

const bundle = (input, output, plugins, external = []) =>
  build({
    configFile: false,
    root: compiled,
    logLevel: 'error',
    plugins,
    ssr: { noExternal: true, external: EXTERNAL },
    build: {
      ssr: true,
      target: 'node20',
      outDir: fresh,
      emptyOutDir: false,
      minify: true,
      rolldownOptions: { input, output, external },
    },
  });

/** Where `import()` is called, as places in the text. */
function* importsIn(node) {
  if (node === null || typeof node !== 'object') return;
  if (node.type === 'ImportExpression') yield node.start;
  for (const part of Object.values(node)) yield* importsIn(part);
}

/** Code that V8 compiled before has no `import()` of its own on every Node.js: what starts it hands it one. */
function withGivenImport(code) {
  const places = [...importsIn(parseAst(code))].sort((left, right) => right - left);
  return places.reduce((text, at) => `${text.slice(0, at)}importModule${text.slice(at + 'import'.length)}`, code);
}

/** The same program in ASCII, which V8 takes as it lies there: else each start decodes more than a million characters. */
function inAscii(code) {
  // Escapes mean nothing there.
  const raw = /String\.raw`[^`]*[^\0-\x7f][^`]*`/.exec(code);
  if (raw !== null) throw new SetupError(`expected ASCII in a raw string of the command line, found ${raw[0]}`);
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const { main, ...children } = ENTRIES;
const programs = { program: PROGRAM, ...children };

/** The module that all programs are loaded by, each when it is wanted. */
const ALL = 'virtual:programs';
const allPrograms = {
  name: 'all-programs',
  resolveId: (id) => (id === ALL ? id : null),
  load(id) {
    if (id !== ALL) return null;
    const loads = Object.entries(programs).map(([name, file]) => `'${name}': () => import('${join(compiled, file)}')`);
    return `export const programs = { ${loads.join(', ')} };`;
  },
};

rmSync(fresh, { recursive: true, force: true });
const whole = await bundle({ programs: ALL }, { format: 'cjs', codeSplitting: false, entryFileNames: '[name].cjs' }, [
  allPrograms,
]);
const file = join(fresh, 'programs.cjs');
writeFileSync(file, inAscii(withGivenImport(readFileSync(file, 'utf8'))), 'latin1');
const starters = await bundle(
  { main: join(compiled, main), start: join(compiled, 'src/cli/start.js') },
  { format: 'es', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
  [builtinsByName],
  [/\/program\.js$/],
);
for (const name of Object.keys(programs)) {
  const run = name === 'program' ? `export const { runProgram } = await start('${name}')` : `await start('${name}')`;
  writeFileSync(join(fresh, `${name}.js`), `import { start } from './start.js';\n${run};\n`);
}
writeFileSync(join(fresh, LICENCES), licencesOf([...whole.output, ...starters.output]));
chmodSync(join(fresh, 'main.js'), 0o755);
// Whole or not at all: somebody may be running it.
rmSync(outDir, { recursive: true, force: true });
renameSync(fresh, outDir);
