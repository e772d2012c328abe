#!/usr/bin/env node
/**
 * Makes docs/overhead.json, docs/overhead.svg and the tables of docs/overhead.md, of the kernels that `usercopy kernel fetch`
 * brought and of the built-in guests:
 *
 *   npm run atlas
 *   npm run atlas -- RELEASE…     these kernels of the cache anew, and the rest as docs/overhead.json has it
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { atlasPicture, atlasText, makeAtlas, remeasured } from '../build/js/bench/atlas.js';

const [START, END] = ['<!-- made by npm run atlas -->', '<!-- end -->'];
const file = (name) => fileURLToPath(new URL(`../docs/${name}`, import.meta.url));

const releases = process.argv.slice(2);
const onProgress = (name) => process.stderr.write(`${name}\n`);
const atlas =
  releases.length === 0
    ? await makeAtlas(onProgress)
    : await remeasured(JSON.parse(readFileSync(file('overhead.json'), 'utf8')), releases, onProgress);
if (atlas.kernels.length === 0) {
  process.stderr.write('no kernel was measured: usercopy kernel fetch x86_64 gets one\n');
  process.exit(2);
}
const text = readFileSync(file('overhead.md'), 'utf8');
const [start, end] = [text.indexOf(START), text.indexOf(END)];
if (start < 0 || end < start) throw new Error(`docs/overhead.md: expected ${START} and ${END}`);
const tables = `${START}\n\n${atlasText(atlas)}\n\n`;
writeFileSync(file('overhead.md'), text.slice(0, start) + tables + text.slice(end));
writeFileSync(file('overhead.json'), `${JSON.stringify(atlas)}\n`);
writeFileSync(file('overhead.svg'), `${await atlasPicture(atlas)}\n`);
for (const { source, error } of atlas.unmeasured) process.stderr.write(`not measured: ${source}: ${error}\n`);
