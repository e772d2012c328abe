/** `npm run fuzz -- --seconds N [--target NAME…] [--seed N]`: mutated inputs to every reader of files; faults are kept as files. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { packageFile } from '../../src/paths.js';
import { fuzz } from './fuzz.js';
import { targets } from './targets.js';

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number from 1 on');
  return value;
}

const program = new Command('fuzz')
  .description('mutated inputs to the readers of files; what is wrong is kept in .cache/fuzz')
  .option('--seconds <n>', 'time in all, shared among the targets', positive, 60)
  .addOption(new Option('--target <name...>', 'these only').choices(targets.map(({ name }) => name)))
  .option('--seed <n>', 'where the mutations begin', positive, 1)
  .parse();
const { seconds, target: names, seed } = program.opts<{ seconds: number; target?: string[]; seed: number }>();
const chosen = targets.filter(({ name }) => names === undefined || names.includes(name));

let failed = false;
for (const { name } of chosen) {
  const result = await fuzz({ target: name, seed, seconds: seconds / chosen.length, coverage: true });
  console.log(`${name}: ${result.inputs} inputs, ${result.kept} kept, ${result.faults.length} faults (seed ${seed})`);
  for (const { input, reason } of result.faults) {
    failed = true;
    const folder = packageFile(join('.cache', 'fuzz', name.replaceAll(' ', '-')));
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `${createHash('sha256').update(input).digest('hex').slice(0, 16)}.bin`);
    writeFileSync(file, input);
    console.log(`  ${reason.split('\n').slice(0, 6).join('\n  ')}\n  input: ${file}`);
  }
}
process.exitCode = failed ? 1 : 0;
