/** `npm run bench:silicon`: the model's cycles against the host's core. */
import { variantOf } from '../../arch/index.js';
import { table } from '../../src/cli/table.js';
import { openCycleModel } from '../../src/cycles/open.js';
import { messageOf, UsercopyError } from '../../src/errors.js';
import { present } from '../present.js';
import { hostCore } from './host.js';
import { predicted, SILICON_PATHS, Silicon, settled } from './silicon.js';

const USAGE = `Usage: npm run bench:silicon -- [--core NAME] [--json]
       npm run bench:silicon -- --cc COMPILER --runner PROGRAM

Compiles the built-in guest's check for this machine and times each passing path in core cycles: a chain of additions is the clock,
an empty call is taken off, and runs are repeated until two agree within 5 %. Beside it stands what the model says of the same
instructions, with the table of this machine's core or of --core. With --runner (qemu-aarch64) the check is only built and asked.`;

/** Samples of a run, and runs before it is too noisy. */
const SAMPLES = 400;
const RUNS = 8;
/** Shorter paths are shown, and are not in the sums: a cycle of them is several percent. */
const SHORTEST = 40;

async function main(words: string[]): Promise<void> {
  const option = (name: string): string | undefined => {
    const at = words.indexOf(name);
    return at < 0 ? undefined : words.splice(at, 2)[1];
  };
  const flag = (name: string): boolean => {
    const at = words.indexOf(name);
    return at >= 0 && words.splice(at, 1).length > 0;
  };
  if (flag('--help')) return console.log(USAGE);
  const [compiler, runner, asked, json] = [option('--cc'), option('--runner'), option('--core'), flag('--json')];
  if (words.length > 0)
    throw new UsercopyError('bad-input', `expected an option of those in --help, found ${words[0]}`);
  const silicon = new Silicon(compiler, runner === undefined ? [] : [runner]);
  try {
    const passing = silicon.answers();
    const missing = SILICON_PATHS.filter((path) => !passing.includes(path));
    if (missing.length > 0)
      throw new UsercopyError('guest', `expected every path to pass, found ${missing.join(', ')} not`);
    if (runner !== undefined || process.arch !== 'x64') {
      console.log(
        `All ${passing.length} paths pass. Not measured: ${runner === undefined ? `${process.arch} has no clock of ours` : 'an emulator has no core'}.`,
      );
      return;
    }
    await measure(silicon, asked, json);
  } finally {
    silicon.close();
  }
}

async function measure(silicon: Silicon, asked: string | undefined, json: boolean): Promise<void> {
  const host = hostCore();
  const core = asked ?? host.nearest;
  const variant = present(variantOf('x86_64'));
  // Skylake's is the usual table.
  const model = await openCycleModel(variant, core === null || core === 'skylake' ? undefined : core);
  try {
    const traces = silicon.trace(model);
    const times = settled(() => silicon.samples(SAMPLES), RUNS);
    const rows = SILICON_PATHS.map((path) => {
      const trace = present(traces.get(path));
      const measured = times.get(path) ?? null;
      const says = predicted(model, trace);
      return {
        path,
        instructions: trace.length,
        predicted: says,
        measured: measured?.cycles ?? null,
        spread: measured?.spread ?? null,
      };
    });
    const judged = rows.flatMap(({ instructions, predicted: says, measured }) =>
      instructions < SHORTEST || measured === null
        ? []
        : [{ off: says / measured - 1, cycles: Math.abs(says - measured), measured }],
    );
    const mean = (of: (one: (typeof judged)[number]) => number) =>
      judged.length === 0 ? null : judged.reduce((sum, one) => sum + of(one), 0) / judged.length;
    const sums = {
      mape: mean(({ off }) => Math.abs(off)),
      bias: mean(({ off }) => off),
      within: judged.filter(({ cycles, measured }) => cycles <= Math.max(3, 0.15 * measured)).length,
      of: judged.length,
    };
    const nearest = asked === undefined && core !== host.llvm;
    if (json) return console.log(JSON.stringify({ host, table: model.table.core, rows, ...sums }, null, 2));
    console.log(
      table(
        ['path', 'instructions', 'predicted', 'measured', 'spread', 'off'],
        rows.map((row) => [
          ...[row.path, String(row.instructions), String(row.predicted)],
          ...(row.measured === null || row.spread === null
            ? ['too noisy', '', '']
            : [
                row.measured.toFixed(1),
                row.spread.toFixed(1),
                `${((row.predicted / row.measured - 1) * 100).toFixed(0)} %`,
              ]),
        ]),
      ),
    );
    console.log(
      `This machine: ${host.identity} (${host.llvm ?? 'a core that is not known here'}). Table: ${model.table.core}${nearest ? ', since there is none of this core' : ''}.`,
    );
    if (sums.mape === null || sums.bias === null) console.log('No path of 40 instructions or more was quiet enough.');
    else
      console.log(
        `Paths of ${SHORTEST} instructions and more: MAPE ${(100 * sums.mape).toFixed(0)} %, bias ${(100 * sums.bias).toFixed(0)} %; ${sums.within} of ${sums.of} within 15 % or 3 cycles.`,
      );
  } finally {
    model.close();
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsercopyError)) throw error;
  console.error(messageOf(error));
  process.exitCode = 2;
}
