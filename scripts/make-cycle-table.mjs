#!/usr/bin/env node
/**
 * Makes arch/<arch>/cycles*.json, what the instructions of one core cost, from what llvm-mca says of those that occur in code:
 *
 *   node scripts/make-cycle-table.mjs <kernel image or ELF file>…
 *
 * All files must be of variants that share a table; `usercopy kernel fetch` gets kernels, guests/elf/ has small ones. Only
 * the half of their blocks that does not judge (bench/cycles/) is looked at. Needs LLVM's tools (Debian: llvm).
 */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { drivers } from '../build/js/arch/index.js';
import { CORES } from '../build/js/bench/cycles/cores.js';
import { blocksOf } from '../build/js/bench/cycles/corpus.js';
import { makeTable } from '../build/js/bench/cycles/make-table.js';
import { loadKernel } from '../build/js/src/image/load.js';

/** Functions looked at in a large kernel: one of so many. */
const STRIDE = 16;
const LARGE = 5000;

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

const paths = process.argv.slice(2);
if (paths.length === 0) fail('usage: make-cycle-table.mjs <kernel image or ELF file>…');
const sources = [];
let file;
for (const path of paths) {
  const kernel = await loadKernel({ path }, { drivers });
  const driver = drivers.find(({ variants }) => variants.some(({ name }) => name === kernel.variant));
  const traits = driver.variants.find(({ name }) => name === kernel.variant).cycles;
  if (!traits?.llvm)
    fail(`${path}: expected an architecture that LLVM has a scheduling model for, found ${kernel.variant}`);
  const table = `${driver.linuxArch}/${traits.table}`;
  if (file !== undefined && file !== table)
    fail(`${path}: expected code priced by arch/${file}, found ${kernel.variant}`);
  file = table;
  sources.push({ traits, blocks: await blocksOf(kernel, traits, kernel.symbols.count > LARGE ? STRIDE : 1) });
}
const { extra, ...facts } =
  CORES[file] ?? fail(`arch/${file}: expected it in bench/cycles/cores.ts, where each table's core is named`);
const { groups, units, costs, classes, ...head } = makeTable(sources, facts, extra);
const lines = [
  ...Object.entries(head).map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)},`),
  `  "units": ${JSON.stringify(units)},`,
  `  "groups": {\n${Object.entries(groups)
    .map((entry) => `    ${JSON.stringify(entry[0])}: ${JSON.stringify(entry[1])}`)
    .join(',\n')}\n  },`,
  `  "costs": [\n${costs.map((cost) => `    ${JSON.stringify(cost)}`).join(',\n')}\n  ],`,
  `  "classes": {\n${Object.entries(classes)
    .map(([key, number]) => `    ${JSON.stringify(key)}: ${number}`)
    .join(',\n')}\n  }`,
];
const target = fileURLToPath(new URL(`../arch/${file}`, import.meta.url));
await writeFile(target, `{\n${lines.join('\n')}\n}\n`);
spawnSync('npx', ['biome', 'format', '--write', target]);
process.stdout.write(`arch/${file}: ${Object.keys(classes).length} classes, ${costs.length} costs\n`);
