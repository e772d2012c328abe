/**
 * Puts the command line into few files: Node.js takes longer to find, read and link some two hundred small modules than most
 * verbs take to run. `build/js` stays what programs import.
 */
import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { LICENCES, licencesOf } from './bundled-licences.mjs';
import { ENTRIES } from './programs.mjs';
import { root } from './step.mjs';

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
    const whole = /import\s*(?:\*\s*as\s+)?([\w$]+)\s*from\s*["'](node:[\w/]+)["'];?/g;
    return code
      .replace(named, (_, names, name) => {
        const bindings = names.replace(/([\w$]+)\s+as\s+([\w$]+)/g, '$1:$2');
        return `const{${bindings}}=process.getBuiltinModule("${name}");`;
      })
      .replace(whole, 'const $1=process.getBuiltinModule("$2");');
  },
};

const compiled = join(root, 'build', 'js');
const outDir = join(root, 'build', 'cli');
const fresh = `${outDir}.new`;
const built = await build({
  configFile: false,
  root: compiled,
  logLevel: 'error',
  plugins: [builtinsByName],
  ssr: { noExternal: true, external: EXTERNAL },
  build: {
    ssr: true,
    target: 'node20',
    outDir: fresh,
    emptyOutDir: true,
    minify: true,
    rolldownOptions: {
      input: Object.fromEntries(Object.entries(ENTRIES).map(([name, file]) => [name, join(compiled, file)])),
      output: { format: 'es', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
    },
  },
});
writeFileSync(join(fresh, LICENCES), licencesOf(built.output));
chmodSync(join(fresh, 'main.js'), 0o755);
// Whole or not at all: somebody may be running it.
rmSync(outDir, { recursive: true, force: true });
renameSync(fresh, outDir);
