/**
 * The page: one HTML file with everything in it, which works from any file server and from a disk. Its policy names the program
 * and the styles by their digests and forbids every connection.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import { build } from 'vite';
import { LICENCES, licencesOf } from './lib/bundled-licences.mjs';
import { isCompiled } from './lib/compiled.mjs';
import { fingerprint, isFresh, root, SetupError, setStamp, withLock } from './lib/step.mjs';

/** What `npm run atlas` made. */
const ATLAS = 'docs/overhead.json';
const OUTPUT = 'build/page/index.html';
const OUTPUT_LICENCES = `build/page/${LICENCES}`;
/** For the package, which must have all of it: fails where there is no emulator to read the built-in guests' facts with. */
const mustBeWhole = process.argv.includes('--whole');

const inRoot = (path) => join(root, path);
const text = (path) => readFileSync(inRoot(path), 'utf8');

/**
 * A program as it may stand in an HTML element: no end tag and no comment begins in it, and nothing that a browser reads as
 * something else, which would change its digest: a NUL becomes U+FFFD, a carriage return a new line (HTML Living Standard,
 * 13.2.3.5 and 13.2.5.4).
 */
const inElement = (program) =>
  program
    .replace(/<(?=\/script|!--)/gi, '\\x3c')
    .replaceAll('\0', '\\x00')
    .replace(/\r\n?/g, '\n');
const digest = (content) => `'sha256-${createHash('sha256').update(content).digest('base64')}'`;

/** Guests that run in a user's emulator without another file; more of them would make the page too large. */
const GUESTS = ['x86_64'];

/** Modules that need Node.js, or that only other scenarios than the page's need, and what stands in their place. */
const INSTEAD = {
  'src/engine/built-check.ts': 'page/run/instead/built-check.ts',
  'src/engine/unicorn-native.ts': 'page/run/instead/unicorn-native.ts',
  'src/cycles/open.ts': 'page/run/instead/cycles-open.ts',
  'src/cycles/check-costs.ts': 'page/run/instead/check-costs.ts',
  'src/guest/call-observer.ts': 'page/run/instead/call-observer.ts',
  'src/guest/hidden-variables.ts': 'page/run/instead/hidden-variables.ts',
  'src/scenario/differential.ts': 'page/run/instead/differential.ts',
  'src/scenario/own-world.ts': 'page/run/instead/own-world.ts',
};

function insteadOfNode(applied) {
  return {
    name: 'instead-of-node',
    enforce: 'pre',
    resolveId(source, importer) {
      if (!source.startsWith('.') || importer === undefined) return null;
      const path = relative(root, resolve(dirname(importer), source)).replace(/\.js$/, '.ts');
      const other = INSTEAD[path];
      if (other === undefined) return null;
      applied.add(path);
      return inRoot(other);
    },
  };
}

/** Vite would put an empty module where one of Node.js is asked for. */
const withoutNode = {
  name: 'without-node',
  enforce: 'pre',
  resolveId(source, importer) {
    if (!/^node:/.test(source) || importer?.includes('node_modules')) return null;
    throw new SetupError(`page: ${importer} asks for ${source}, which a browser has not got`);
  },
};

/** What stands before the text of a library that counts on something a page has not got. */
const PRELUDES = {
  // Its program lies in a data: address, which the policy lets nobody fetch.
  zstddec:
    "const fetch = async (url) => new Response(Uint8Array.from(atob(url.slice(url.indexOf(',') + 1)), (letter) => letter.charCodeAt(0)));",
  // Its tables of numbers are Node.js's Buffers; the one text that it makes of them is hexadecimal.
  'seek-bzip':
    "const Buffer = class extends Uint8Array { toString() { return Array.from(this, (byte) => byte.toString(16).padStart(2, '0')).join(''); } };",
};

function withPreludes(applied) {
  return {
    name: 'with-preludes',
    transform(code, id) {
      const library = Object.keys(PRELUDES).find((name) => id.includes(`/node_modules/${name}/`));
      if (library === undefined) return null;
      applied.add(library);
      return { code: `${PRELUDES[library]}\n${code}`, map: null };
    },
  };
}

async function program() {
  const applied = new Set();
  const built = await build({
    configFile: false,
    plugins: [insteadOfNode(applied), withoutNode, withPreludes(applied)],
    root: inRoot('page'),
    logLevel: 'error',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      write: false,
      target: 'es2022',
      modulePreload: false,
      lib: { entry: inRoot('page/entry.ts'), formats: ['iife'], name: 'page' },
    },
  });
  const outputs = [built].flat().flatMap((result) => result.output);
  const other = outputs.filter(({ type }) => type !== 'chunk');
  if (outputs.length !== 1 || other.length > 0)
    throw new SetupError(`page: expected one script, found ${outputs.length} files`);
  const missed = [...Object.keys(PRELUDES), ...Object.keys(INSTEAD)].filter((name) => !applied.has(name));
  if (missed.length > 0) throw new SetupError(`page: expected ${missed.join(', ')} in the program, found none of it`);
  const { code } = outputs[0];
  return { script: inElement(code), licences: licencesOf(outputs) };
}

/** Numbers of the built-in guests that scenarios depend on, read off them; null where there is no emulator. */
async function guestFacts() {
  const { guestFacts: factsOf } = await import(inRoot('build/js/src/repro/play-report.js'));
  const { ownVariants } = await import(inRoot('build/js/src/scenario/own.js'));
  const facts = {};
  try {
    for (const variant of ownVariants()) facts[variant] = await factsOf(variant, true);
  } catch (error) {
    if (error?.name !== 'UsercopyError' || error.kind !== 'missing-dependency') throw error;
    if (mustBeWhole) throw new SetupError(`page: its scenarios need an emulator: ${error.message}`);
    console.log(`page: no scenarios in it, since the built-in guests do not run here: ${error.message}`);
    return null;
  }
  return JSON.stringify(facts, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
}

/** A file within the page: packed before it becomes letters, since letters pack badly. */
function packedFile(id, path) {
  const packed = deflateSync(readFileSync(inRoot(path)), { level: 9 });
  return `<script type="text/plain" id="${id}">${packed.toString('base64')}</script>`;
}

/** What the page shows of the atlas: of shares six decimals, since the other digits would not pack, and no digests of models. */
function shownAtlas() {
  const DIGITS = 6;
  const shown = (key, value) => {
    if (key === 'cycleModel') return undefined;
    return key.startsWith('share') && value !== null ? Number(value.toFixed(DIGITS)) : value;
  };
  return JSON.stringify(JSON.parse(text(ATLAS)), shown).replaceAll('<', '\\u003c');
}

/** The page, and whether nothing is missing in it. */
async function buildPage() {
  if (!isCompiled()) throw new SetupError('page: build/js is older than its sources: npm run build compiles them');
  const { DRAWING_STYLE } = await import(inRoot('build/js/src/diagnosis/drawing.js'));
  const style = `${DRAWING_STYLE}\n${text('page/style.css')}`;
  const { script, licences } = await program();
  const facts = await guestFacts();
  const data = [
    packedFile('check-wasm', 'build/check.wasm'),
    `<script type="application/json" id="guest-facts">${facts ?? '{}'}</script>`,
    ...GUESTS.map((variant) => packedFile(`guest-${variant}`, `guests/elf/${variant}.elf`)),
    `<script type="application/json" id="overhead-atlas">${shownAtlas()}</script>`,
  ];
  const policy = [
    "default-src 'none'",
    `script-src ${digest(script)} 'wasm-unsafe-eval'`,
    `style-src ${digest(style)}`,
    "connect-src 'none'",
    // The worker of a user's emulator, made in the page; it falls under this policy, too.
    'worker-src blob:',
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
  writeFileSync(inRoot(OUTPUT_LICENCES), licences);
  // Whole or not at all: somebody may be reading it.
  writeFileSync(inRoot(`${OUTPUT}.new`), page);
  renameSync(inRoot(`${OUTPUT}.new`), inRoot(OUTPUT));
  return { page, isWhole: facts !== null };
}

async function update() {
  const print = fingerprint([
    'page',
    'src',
    'arch',
    'build/check.wasm',
    'guests/elf',
    ATLAS,
    'scripts/build-page.mjs',
    'package-lock.json',
  ]);
  if (isFresh('page', print, [OUTPUT, OUTPUT_LICENCES])) return;
  const { page, isWhole } = await buildPage();
  // What is missing may be there the next time.
  if (isWhole) setStamp('page', print);
  console.log(`page: ${OUTPUT}, ${page.length} bytes, ${gzipSync(page, { level: 9 }).length} packed by gzip`);
}

try {
  await withLock(update);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
