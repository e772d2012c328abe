/** `npm run bench`: what the check costs, as a table or (`-- --json`) as JSON. Takes less than two minutes. */
import { cpus } from 'node:os';
import { UsercopyError } from '../src/errors.js';
import { checksGroup } from './checks.js';
import { copiesGroup } from './copies.js';
import { countingGroup } from './counting.js';
import { declaredGuest, introspectedGuest } from './guest.js';
import { noisy, toText } from './report.js';
import { variantsGroup } from './variants.js';

const USAGE = `Usage: npm run bench -- [--json]

Measures check.wasm against a C twin and the BigInt oracle, what one checked copy costs a guest, on every variant, and
what counting does.`;

async function main(parameters: readonly string[]): Promise<void> {
  if (parameters.includes('--help')) {
    console.log(USAGE);
    return;
  }
  const unknown = parameters.find((parameter) => parameter !== '--json');
  if (unknown !== undefined) throw new UsercopyError('bad-input', `expected --json or --help, found ${unknown}`);

  const groups = [];
  const steps = [
    () => checksGroup("Batch of 65 536 copies, a kernel's structures", 'introspected', introspectedGuest()),
    () => checksGroup('Batch of 65 536 copies, declared memory', 'declared', declaredGuest()),
    () => copiesGroup(),
    () => variantsGroup(),
    () => countingGroup(),
  ];
  for (const [i, step] of steps.entries()) {
    if (process.stderr.isTTY) process.stderr.write(`measuring ${i + 1} of ${steps.length} …\r`);
    groups.push(await step());
  }
  if (parameters.includes('--json')) {
    const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length };
    console.log(JSON.stringify({ machine, noisy: noisy(groups), groups }, null, 2));
  } else {
    console.log(toText(groups));
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsercopyError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
