/** `npm run bench:silicon`: the model's cycles against the host's core. */
import { parseArgs } from 'node:util';
import { driverOf, variantOf } from '../../arch/index.js';
import { table } from '../../src/cli/table.js';
import { openCycleModel } from '../../src/cycles/open.js';
import type { CycleModel } from '../../src/cycles/price.js';
import { otherCores } from '../../src/cycles/table.js';
import { messageOf, UsercopyError } from '../../src/errors.js';
import { present } from '../present.js';
import { type HostCore, hostCore, nearestCore, noOpsOf } from './host.js';
import { PIECES, predicted, SILICON_PATHS, Silicon, settled } from './silicon.js';

const USAGE = `Usage: npm run bench:silicon -- [--core NAME] [--optimize LEVEL] [--pieces] [--json]
       npm run bench:silicon -- --cc COMPILER --runner PROGRAM

Compiles the built-in guest's check for this machine and times each passing path in core cycles: a chain of additions is the clock,
what the loop around a call adds is taken off, samples during which another thread used the core do not count, and runs are
repeated until two agree within 5 %. Beside it stands what the model says of the same
instructions, with the table of this machine's core or of --core; without a table of it, or of one like it, nothing.

--optimize 1, 3 or s: the check as the compiler makes it with -O1, -O3 or -Os, other code than the guests have (-O2).
--pieces: pieces of code, each of which shows one rule of the core, in the place of the paths. With --runner (qemu-aarch64) the check is only built and asked.`;

/** Of the compiler's -O. */
const LEVELS = ['1', '2', '3', 's'];
/** Samples of a run, and runs before it is too noisy. */
const SAMPLES = 400;
const RUNS = 24;
/** Shorter paths are shown, and are not in the sums: a cycle of them is several percent. */
const SHORTEST = 40;

interface Words {
  readonly core?: string;
  readonly cc?: string;
  readonly runner?: string;
  readonly optimize?: string;
  readonly pieces?: boolean;
  readonly json?: boolean;
  readonly help?: boolean;
}

/** @throws UsercopyError `bad-input` for an option that is none, or lacks its value. */
function optionsOf(words: string[]): Words {
  const value = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: words,
      options: {
        ...{ core: value, cc: value, runner: value, optimize: value },
        ...{ pieces: flag, json: flag, help: flag },
      },
    }).values;
  } catch (error) {
    throw new UsercopyError('bad-input', `bench:silicon: ${messageOf(error)} (--help lists the options)`);
  }
}

async function main(words: string[]): Promise<void> {
  const { core, cc, runner, optimize, pieces = false, json = false, help } = optionsOf(words);
  if (help) return console.log(USAGE);
  if (optimize !== undefined && !LEVELS.includes(optimize))
    throw new UsercopyError('bad-input', `--optimize: expected one of ${LEVELS.join(', ')}, found ${optimize}`);
  const host = hostCore();
  const isTimed = runner === undefined && process.arch === 'x64';
  const chosen = isTimed ? await chooseModel(host, core) : null;
  try {
    const silicon = new Silicon({
      ...(cc === undefined ? {} : { compiler: cc }),
      ...(runner === undefined ? {} : { runner: [runner] }),
      ...(optimize === undefined ? {} : { optimize }),
      isInPieces: pieces,
    });
    try {
      const passing = silicon.answers();
      const missing = SILICON_PATHS.filter((path) => !passing.includes(path));
      if (missing.length > 0)
        throw new UsercopyError('guest', `expected every path to pass, found ${missing.join(', ')} not`);
      if (chosen !== null) return measure(silicon, host, chosen, json);
      const why = runner === undefined ? `${process.arch} has no clock of ours` : 'an emulator has no core';
      console.log(
        json
          ? JSON.stringify({ passing, measured: false, why }, null, 2)
          : `All ${passing.length} paths pass. Not measured: ${why}.`,
      );
    } finally {
      silicon.close();
    }
  } finally {
    chosen?.model.close();
  }
}

/** `model` follows the instructions in any case; `table` says what it is to this machine's core, null: nothing, so that it predicts nothing. */
interface Chosen {
  readonly model: CycleModel;
  readonly table: 'of this core' | 'of the nearest core' | 'asked for' | null;
}

/** @throws UsercopyError `unsupported` for a core that there is no table of. */
async function chooseModel(host: HostCore, asked: string | undefined): Promise<Chosen> {
  const variant = present(variantOf('x86_64'));
  const { table, llvm } = present(variant.cycles);
  if (asked !== undefined) return { model: await openCycleModel(variant, asked), table: 'asked for' };
  const tables = [present(llvm).cpu, ...(await otherCores(present(driverOf(variant)).linuxArch, table))];
  const core = nearestCore(host.llvm, tables);
  const model = await openCycleModel(variant, core ?? undefined);
  return { model, table: core === null ? null : core === host.llvm ? 'of this core' : 'of the nearest core' };
}

function measure(silicon: Silicon, host: HostCore, { model, table: kind }: Chosen, json: boolean): void {
  const traces = silicon.trace(model);
  const known = noOpsOf(host.llvm);
  const { figures, noOps, counted } = settled(silicon.names, () => silicon.samples(SAMPLES), {
    ...{ most: RUNS, known },
  });
  const rows = silicon.names.map((path) => {
    const trace = present(traces.get(path));
    const measured = figures.get(path) ?? null;
    const says = kind === null ? null : predicted(model, trace);
    return {
      path,
      instructions: trace.length,
      predicted: says,
      measured: measured?.cycles ?? null,
      spread: measured?.spread ?? null,
    };
  });
  const judged = rows.flatMap(({ instructions, predicted: says, measured }) =>
    instructions < SHORTEST || measured === null || says === null
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
  const core = kind === null ? null : model.table.core;
  if (json) {
    console.log(JSON.stringify({ host, table: core, tableIs: kind, noOps, counted, rows, ...sums }, null, 2));
    return;
  }
  console.log(
    table(
      ['path', 'instructions', 'predicted', 'measured', 'spread', 'off'],
      rows.map((row) => [
        ...[row.path, String(row.instructions), row.predicted === null ? 'no table' : String(row.predicted)],
        ...(row.measured === null || row.spread === null
          ? ['too noisy', '', '']
          : [
              row.measured.toFixed(1),
              row.spread.toFixed(1),
              row.predicted === null ? '' : `${((row.predicted / row.measured - 1) * 100).toFixed(0)} %`,
            ]),
      ]),
    ),
  );
  console.log(
    `This machine: ${host.identity} (${host.llvm ?? 'a core that is not known here'}). ${core === null ? 'There is no table of it or of one like it, so that nothing is predicted; --core NAME takes another' : `Table: ${core}, ${kind}`}.`,
  );
  console.log(
    `${Math.round(100 * counted)} % of the samples had ${noOps.toFixed(1)} no-ops a cycle beside them, ${known > 0 ? 'as many as this core takes' : 'as many as most of the best had'}, so that no other thread used the core; only they count.`,
  );
  if (kind === null || silicon.names === PIECES) return;
  if (sums.mape === null || sums.bias === null) console.log('No path of 40 instructions or more was quiet enough.');
  else
    console.log(
      `Paths of ${SHORTEST} instructions and more: MAPE ${(100 * sums.mape).toFixed(0)} %, bias ${(100 * sums.bias).toFixed(0)} %; ${sums.within} of ${sums.of} within 15 % or 3 cycles.`,
    );
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsercopyError)) throw error;
  console.error(messageOf(error));
  process.exitCode = 2;
}
