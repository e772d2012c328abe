#!/usr/bin/env node
/**
 * Random copies over every pair of a built-in guest and a profile that its own check knows; says the rate and the seed
 * of each. `node scripts/random-copies.mjs [--copies N] [--seed N] [--variant NAME …] [--profile NAME …]`. Exit status 1
 * with a mismatch.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { OWN_PROFILES, ownVariants } from '../build/js/src/scenario/own.js';

const { values } = parseArgs({
  options: {
    copies: { type: 'string', default: '50000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
    variant: { type: 'string', multiple: true, default: ownVariants() },
    profile: { type: 'string', multiple: true, default: Object.keys(OWN_PROFILES) },
  },
});
const cli = fileURLToPath(new URL('../build/cli/main.js', import.meta.url));

let failed = 0;
for (const profile of values.profile) {
  for (const variant of values.variant) {
    const args = ['run', 'random', '--variant', variant, '--profile', profile, '--json'];
    const began = performance.now();
    const child = spawnSync(process.execPath, [cli, ...args, '--copies', values.copies, '--seed', values.seed], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const seconds = (performance.now() - began) / 1000;
    const run = child.stdout === '' ? null : JSON.parse(child.stdout)[0];
    const told =
      run === null
        ? `no result, exit status ${child.status}`
        : `${run.copies} copies, ${run.refused} refused, ${run.mismatchCount} mismatches, ${Math.round(run.copies / seconds)} copies/s`;
    if (child.status !== 0) failed++;
    console.log(`${variant.padEnd(8)} ${profile.padEnd(7)} seed ${values.seed}  ${told}`);
  }
}
process.exitCode = failed === 0 ? 0 : 1;
