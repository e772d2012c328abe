#!/usr/bin/env node
/**
 * Makes arch/<arch>/check-costs.json, what the kernel's own check costs by verdict, by running the built-in guests:
 *
 *   node scripts/make-check-costs.mjs
 *
 * To be run again when a guest, a cycle table or the cycle model has changed.
 */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { drivers } from '../build/js/arch/index.js';
import { learnCheckCosts } from '../build/js/src/scenario/check-costs.js';
import { ownVariants } from '../build/js/src/scenario/own.js';

const built = ownVariants();
for (const { linuxArch, variants } of drivers) {
  const costs = {};
  for (const { name, cycles } of variants)
    if (cycles && built.includes(name)) costs[name] = await learnCheckCosts(name);
  if (Object.keys(costs).length === 0) continue;
  const target = fileURLToPath(new URL(`../arch/${linuxArch}/check-costs.json`, import.meta.url));
  await writeFile(target, `${JSON.stringify(costs, null, 2)}\n`);
  spawnSync('npx', ['biome', 'format', '--write', target]);
  process.stdout.write(`arch/${linuxArch}/check-costs.json: ${Object.keys(costs).join(', ')}\n`);
}
