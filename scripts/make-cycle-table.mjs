#!/usr/bin/env node
/**
 * Makes arch/<arch>/cycles*.json, what the instructions of one core cost, from what llvm-mca says of those that occur in code:
 *
 *   node scripts/make-cycle-table.mjs [--core NAME] <kernel image or ELF file>…
 *
 * --core makes the table of another core, by LLVM's name of it (bench/cycles/cores.ts): cycles-x86_64-znver4.json. LLVM=19 before
 * the command takes llvm-mca-19.
 *
 * All files must be of variants that share a table; `usercopy kernel fetch` gets kernels, guests/elf/ has small ones. Only
 * the half of their blocks that does not judge (bench/cycles/) is looked at. Needs LLVM's tools (Debian: llvm-14).
 */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { drivers } from '../build/js/arch/index.js';
import { CORES, OTHER_CORES } from '../build/js/bench/cycles/cores.js';
import { blocksOf } from '../build/js/bench/cycles/corpus.js';
import { makeTable } from '../build/js/bench/cycles/make-table.js';
import { tableOf } from '../build/js/src/cycles/table.js';
import { loadKernel } from '../build/js/src/image/load.js';

/** Functions looked at in a large kernel: one of so many. */
const STRIDE = 16;
const LARGE = 5000;

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

const USAGE = 'usage: make-cycle-table.mjs [--core NAME] <kernel image or ELF file>…';

function wordsOf() {
  try {
    const { values, positionals } = parseArgs({ options: { core: { type: 'string' } }, allowPositionals: true });
    return { cpu: values.core, paths: positionals };
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

const { cpu, paths } = wordsOf();
if (paths.length === 0) fail(USAGE);
const sources = [];
let file;
for (const path of paths) {
  const kernel = await loadKernel({ path }, { drivers });
  const driver = drivers.find(({ variants }) => variants.some(({ name }) => name === kernel.variant));
  const traits = driver.variants.find(({ name }) => name === kernel.variant).cycles;
  if (!traits?.llvm)
    fail(`${path}: expected an architecture that LLVM has a scheduling model for, found ${kernel.variant}`);
  const others = OTHER_CORES[driver.linuxArch] ?? {};
  if (cpu !== undefined && others[cpu] === undefined)
    fail(`--core: expected one of ${Object.keys(others).join(', ') || 'none'} for ${kernel.variant}, found ${cpu}`);
  const table = `${driver.linuxArch}/${tableOf(traits.table, cpu)}`;
  if (file !== undefined && file !== table)
    fail(`${path}: expected code priced by arch/${file}, found ${kernel.variant}`);
  file = table;
  const llvm = cpu === undefined ? traits.llvm : { ...traits.llvm, cpu: others[cpu].cpu ?? cpu };
  sources.push({
    traits: { ...traits, llvm },
    blocks: await blocksOf(kernel, traits, kernel.symbols.count > LARGE ? STRIDE : 1),
  });
}
const {
  extra,
  cpu: _,
  ...facts
} = (cpu === undefined ? CORES[file] : OTHER_CORES[file.split('/')[0]][cpu]) ??
fail(`arch/${file}: expected it in bench/cycles/cores.ts, where each table's core is named`);
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
