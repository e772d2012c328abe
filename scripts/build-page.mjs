/**
 * The page: one HTML file with everything in it, which works from any file server and from a disk. Its policy names the program
 * and the styles by their digests and forbids every connection.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { fingerprint, isFresh, root, SetupError, setStamp } from './lib/step.mjs';

const OUTPUT = 'build/page/index.html';

const inRoot = (path) => join(root, path);
const text = (path) => readFileSync(inRoot(path), 'utf8');

/** What stands in an HTML element as it is: no end tag and no comment may begin in it. */
const inElement = (content) => content.replace(/<(?=\/script|!--)/gi, '\\x3c');
const digest = (content) => `'sha256-${createHash('sha256').update(content).digest('base64')}'`;

/** Vite would put an empty module where one of Node.js is asked for. */
const withoutNode = {
  name: 'without-node',
  enforce: 'pre',
  resolveId(source, importer) {
    if (!/^node:/.test(source) || importer?.includes('node_modules')) return null;
    throw new SetupError(`page: ${importer} asks for ${source}, which a browser has not got`);
  },
};

async function program() {
  const built = await build({
    configFile: false,
    plugins: [withoutNode],
    root: inRoot('page'),
    logLevel: 'error',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      write: false,
      target: 'es2022',
      modulePreload: false,
      lib: { entry: inRoot('page/main.tsx'), formats: ['iife'], name: 'page' },
    },
  });
  const outputs = [built].flat().flatMap((result) => result.output);
  const other = outputs.filter(({ type }) => type !== 'chunk');
  if (outputs.length !== 1 || other.length > 0)
    throw new SetupError(`page: expected one script, found ${outputs.length} files`);
  const { code } = outputs[0];
  return inElement(code);
}

/** Numbers of the built-in guests that scenarios depend on, read off them; none where there is no emulator. */
async function guestFacts() {
  const { guestFacts: factsOf } = await import(inRoot('build/js/src/repro/play-report.js'));
  const { ownVariants } = await import(inRoot('build/js/src/scenario/own.js'));
  const facts = {};
  try {
    for (const variant of ownVariants()) facts[variant] = await factsOf(variant, true);
  } catch (error) {
    console.log(`page: no scenarios in it, since the built-in guests do not run here: ${error.message}`);
    return '{}';
  }
  return JSON.stringify(facts, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
}

async function buildPage() {
  const { DRAWING_STYLE } = await import(inRoot('build/js/src/diagnosis/drawing.js'));
  const style = `${DRAWING_STYLE}\n${text('page/style.css')}`;
  const script = await program();
  const data = [
    `<script type="text/plain" id="check-wasm">${readFileSync(inRoot('build/check.wasm')).toString('base64')}</script>`,
    `<script type="application/json" id="guest-facts">${await guestFacts()}</script>`,
  ];
  const policy = [
    "default-src 'none'",
    `script-src ${digest(script)} 'wasm-unsafe-eval' blob:`,
    `style-src ${digest(style)}`,
    "connect-src 'none'",
    "form-action 'none'",
    "base-uri 'none'",
  ].join('; ');
  const parts = {
    policy: `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    style: `<style>${style}</style>`,
    data: data.join('\n    '),
    program: `<script>${script}</script>`,
  };
  const page = text('page/index.html').replace(/<!-- (\w+) -->/g, (_, name) => parts[name]);
  mkdirSync(inRoot('build/page'), { recursive: true });
  // Whole or not at all: somebody may be reading it.
  writeFileSync(inRoot(`${OUTPUT}.new`), page);
  renameSync(inRoot(`${OUTPUT}.new`), inRoot(OUTPUT));
  return page;
}

const print = fingerprint([
  'page',
  'src',
  'arch',
  'build/check.wasm',
  'guests/elf',
  'scripts/build-page.mjs',
  'package-lock.json',
]);
try {
  if (!isFresh('page', print, [OUTPUT])) {
    const page = await buildPage();
    setStamp('page', print);
    console.log(`page: ${OUTPUT}, ${page.length} bytes, ${gzipSync(page, { level: 9 }).length} packed by gzip`);
  }
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
