/** `usercopy overhead`: what the check costs in several kernels, in one table, without a clock. */
import { Command, Option } from 'commander';
import { type Cost, type Overhead, type OverheadPath, overheadOf, PASSING, REFUSING } from '../../bench/overhead.js';
import type { Source } from '../../bench/world.js';
import { PATH_IGNORES } from '../cycles/open.js';
import { badInput, UsercopyError } from '../errors.js';
import { NEWEST_OWN_PROFILE, OWN_PROFILES, ownVariants } from '../scenario/own.js';
import { colours, print, progress, warn } from '../terminal.js';
import { addTableFormats, formattedTable, type TableFormatOptions } from './formats.js';
import { BAD_INPUT, CLEAN, toJson } from './output.js';

interface OverheadOptions extends TableFormatOptions {
  readonly kernel?: string[];
  readonly variant?: string[];
  readonly profile: string;
}

/** A kernel that could not be measured, and why. */
export interface Unmeasured {
  readonly source: string;
  readonly error: string;
}

export function overheadCommand(): Command {
  return addTableFormats(
    new Command('overhead')
      .description("what a kernel's own check costs on each path: guest instructions and estimated cycles")
      .option('--kernel <image...>', 'real kernels')
      .addOption(new Option('--variant <name...>', 'built-in guests').choices(ownVariants()))
      .addOption(
        new Option('--profile <name>', 'rules of the built-in guests')
          .choices(Object.keys(OWN_PROFILES))
          .default(NEWEST_OWN_PROFILE),
      ),
  )
    .addHelpText(
      'after',
      `
Each path is run once, in the kernel's own code, and priced as a whole for one named core: from an idle pipeline to the
last instruction, caches warm. Every run gives the same figures. docs/cycles.md says what the cycles are.

Examples:
  $ usercopy overhead --kernel vmlinuz-6.1 vmlinuz-6.12
  $ usercopy overhead --variant x86_64 arm64 sparc64 --csv
  $ usercopy overhead --kernel vmlinuz --markdown >> notes.md

Exit status: 0 when all were measured, 2 when one could not be, or for bad input.`,
    )
    .action(async (options: OverheadOptions) => {
      process.exitCode = await overhead(options);
    });
}

async function overhead(options: OverheadOptions): Promise<number> {
  const sources: Source[] = [
    ...(options.kernel ?? []).map((path): Source => ({ kind: 'kernel', path, profile: undefined })),
    ...(options.variant ?? []).map((variant): Source => ({ kind: 'own', variant, profile: options.profile })),
  ];
  if (sources.length === 0) throw badInput('overhead', '--kernel IMAGE or --variant NAME', 'neither');
  const results: Overhead[] = [];
  const unmeasured: Unmeasured[] = [];
  for (const source of sources) {
    const name = source.kind === 'own' ? source.variant : source.path;
    progress.show(`measuring ${name} …`);
    try {
      results.push(await overheadOf(source));
    } catch (error) {
      if (!(error instanceof UsercopyError)) throw error;
      unmeasured.push({ source: name, error: error.message });
    }
  }
  progress.clear();
  if (options.json) print(toJson({ ignored: PATH_IGNORES, results, unmeasured }));
  else print(overheadText(results, options));
  for (const { source, error } of unmeasured) warn(`${source} was not measured: ${error}`);
  return unmeasured.length === 0 ? CLEAN : BAD_INPUT;
}

const titleOf = ({ variant, kernel, profile }: Overhead): string =>
  profile === null ? `${variant} ${kernel}` : `${variant}, built-in guest, rules of ${profile}`;

const cell = (cost: Cost | null): string =>
  cost === null ? '–' : cost.cycles === null ? String(cost.instructions) : `${cost.instructions} (${cost.cycles})`;

function overheadText(results: readonly Overhead[], options: TableFormatOptions): string {
  if (options.csv) return csvText(results, options);
  if (results.length === 0) return '';
  const title = (text: string) => (options.markdown ? `**${text}**\n` : colours.bold(text));
  const pathTable = (paths: readonly OverheadPath[]) =>
    formattedTable(
      ['', ...paths],
      results.map((result) => [titleOf(result), ...paths.map((path) => cell(result.paths[path]))]),
      options,
    );
  const workloads = results.flatMap((result) =>
    result.workloads.map(({ name, check, copy, share }) => [
      ...[titleOf(result), name, cell(check), cell(copy)],
      share === null ? '–' : `${(100 * share).toFixed(0)} %`,
    ]),
  );
  const cores = new Map(results.map(({ variant, core }) => [variant, core]));
  const notes = [
    `Cycles are estimates of one pass from an idle pipeline; ${PATH_IGNORES}.`,
    ...[...cores].map(([variant, core]) => `${variant}: ${core ?? 'no table of cycles'}`),
    ...results.flatMap((result) => result.notes.map((note) => `${titleOf(result)}: ${note}`)),
  ];
  const parts = [
    [title('Passing: instructions (cycles)'), pathTable(PASSING)],
    [title('Refusing, message included: instructions (cycles)'), pathTable(REFUSING)],
    ...(workloads.length === 0
      ? []
      : [
          [
            title('Copies beside their check: instructions (cycles)'),
            formattedTable(['', 'copy of', 'check', 'copy', 'check ÷ copy, cycles'], workloads, options),
          ],
        ]),
    notes.map((note) => (options.markdown ? `- ${note}` : `  ${note}`)),
  ];
  return parts.map((lines) => lines.join('\n')).join('\n\n');
}

/** One row a figure: what spreadsheets and scripts take. */
function csvText(results: readonly Overhead[], options: TableFormatOptions): string {
  const number = (value: number | null) => (value === null ? '' : String(value));
  const rows = results.flatMap((result) => {
    const { variant, kernel, profile, core } = result;
    const row = (what: string, name: string, cost: Cost | null) => [
      ...[variant, kernel, profile ?? '', core ?? '', what, name],
      ...[number(cost?.instructions ?? null), number(cost?.cycles ?? null)],
    ];
    return [
      ...PASSING.map((path) => row('passing', path, result.paths[path])),
      ...REFUSING.map((path) => row('refusing', path, result.paths[path])),
      ...result.workloads.flatMap(({ name, check, copy }) => [row('check', name, check), row('copy', name, copy)]),
    ];
  });
  return formattedTable(
    ['variant', 'kernel', 'profile', 'core', 'what', 'path', 'instructions', 'cycles'],
    rows,
    options,
  );
}
