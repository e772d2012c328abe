/**
 * `npm run bench:instructions [-- --json]`: instructions of this machine that a verdict takes, path by path, beside the C twin. The
 * same figures in every run: for telling whether a change of the check pays.
 */
import { parseArgs } from 'node:util';
import { countInstructions } from '../build/js/bench/instructions.js';

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
try {
  const counts = await countInstructions();
  if (values.json) {
    console.log(JSON.stringify(counts, null, 2));
  } else {
    const row = (...cells) => console.log(cells.map((cell, i) => (i ? cell.padStart(10) : cell.padEnd(26))).join(''));
    row('instructions a verdict', 'native', 'in a batch', 'C twin', 'batch/twin');
    for (const { path, native, batch, twin } of counts) {
      const ratio = twin === null ? '' : `${(batch / twin).toFixed(2)} ×`;
      row(path, native.toFixed(1), batch.toFixed(1), twin === null ? '' : twin.toFixed(1), ratio);
    }
  }
} catch (error) {
  if (error?.kind === undefined) throw error;
  console.error(`bench:instructions: ${error.message}`);
  process.exitCode = 2;
}
