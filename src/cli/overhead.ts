/** `usercopy overhead`: what the check costs in several kernels, in one table, without a clock. */
import { Option } from 'commander';
import { painter } from '../../bench/drawing.js';
import { type Cost, measureAll, type Overhead, PASSING, REFUSING } from '../../bench/overhead.js';
import { COLD_ADDS, overheadHtml, overheadNotes, overheadTables } from '../../bench/overhead-page.js';
import type { Source } from '../../bench/world.js';
import { PATH_IGNORES } from '../cycles/open.js';
import { badInput, shellWord } from '../errors.js';
import { writeWhole } from '../image/files.js';
import { NEWEST_OWN_PROFILE, OWN_PROFILES, ownVariants } from '../scenario/own.js';
import { progress, warn } from '../terminal.js';
import { type AnswerTable, type Forms, printAnswer } from './answer.js';
import { BAD_INPUT, CLEAN, toJson } from './output.js';
import { Verb } from './verb.js';

interface OverheadOptions extends Forms {
  readonly kernel?: string[];
  readonly variant?: string[];
  readonly profile?: string;
  readonly html?: string;
  readonly core?: string;
}

export function overheadCommand(): Verb {
  return new Verb('overhead')
    .description("Measure what a kernel's own check costs on each path, in guest instructions and estimated cycles.")
    .option('--kernel <image...>', 'Measure these kernel images.')
    .addOption(
      new Option('--variant <name...>', 'Measure the built-in guests of these architectures.').choices(ownVariants()),
    )
    .addOption(
      new Option(
        '--profile <name>',
        `Measure the built-in guests with these rules. The default is ${NEWEST_OWN_PROFILE}.`,
      ).choices(Object.keys(OWN_PROFILES)),
    )
    .option(
      '--core <name>',
      "Estimate the cycles of another core, by LLVM's name for it, such as znver4 for x86_64. It needs a table of that core.",
    )
    .option('--html <file>', 'Write an HTML page with charts too. It needs the package echarts.')
    .tables()
    .ends({
      notes: `Each path is run once, in the kernel's own code, and priced as a whole for one named core: from an idle pipeline to the
last instruction. "226 (177 / 328)" means 226 instructions, 177 cycles with everything cached and all branches predicted, and 328 cycles with the
object's struct page in no cache and with the branches that refuse mispredicted. Every run gives the same figures. docs/cycles.md says what the cycles are.`,
      status: '0 if all were measured, 2 if one could not be, or for bad input.',
      examples: [
        'usercopy overhead --kernel vmlinuz-6.1 vmlinuz-6.12',
        'usercopy overhead --variant x86_64 arm64 sparc64 --csv',
        'usercopy overhead --kernel vmlinuz --markdown >> notes.md',
        'usercopy overhead --kernel vmlinuz-6.1 vmlinuz-6.12 --html overhead.html',
      ],
    })
    .action(async (options: OverheadOptions) => {
      process.exitCode = await overhead(options);
    });
}

async function overhead(options: OverheadOptions): Promise<number> {
  const { profile = NEWEST_OWN_PROFILE } = options;
  if (options.variant === undefined && options.profile !== undefined)
    throw badInput('overhead --profile', '--variant NAME beside it: a kernel is measured by its own rules', 'none');
  const sources: Source[] = [
    ...(options.kernel ?? []).map((path): Source => ({ kind: 'kernel', path, profile: undefined })),
    ...(options.variant ?? []).map((variant): Source => ({ kind: 'own', variant, profile })),
  ];
  if (sources.length === 0) throw badInput('overhead', '--kernel IMAGE or --variant NAME', 'neither');
  // Said before anything is measured: ECharts may be missing.
  if (options.html !== undefined) await painter();
  const { results, unmeasured } = await measureAll(
    sources.map((source) => ({ name: source.kind === 'own' ? source.variant : source.path, source })),
    { cycles: { model: 'memory', core: options.core } },
    (name) => progress.show(`measuring ${name} …`),
  );
  progress.clear();
  if (options.html !== undefined) writeWhole(options.html, await overheadHtml(results, unmeasured));
  printAnswer(options, {
    json: () => toJson({ ignored: PATH_IGNORES, cold: COLD_ADDS, results, unmeasured }),
    parts: () => [...(options.csv ? [longTable(results)] : overheadTables(results)), ...overheadNotes(results)],
    next: nextOf(options),
  });
  for (const { source, error } of unmeasured) warn(`${source} was not measured: ${error}`);
  return unmeasured.length === 0 ? CLEAN : BAD_INPUT;
}

/** Two kernels are held against each other; else the same figures are to be had as charts, and then those of an attached check. */
function nextOf({ kernel = [], variant = [], core, html }: OverheadOptions): string {
  const [one, other] = kernel;
  if (one !== undefined && other !== undefined && kernel.length === 2 && variant.length === 0)
    return `usercopy bench --compare ${shellWord(one)} ${shellWord(other)}  # how much more or less the second costs`;
  const names = (flag: string, words: readonly string[]) => (words.length === 0 ? [] : [flag, ...words.map(shellWord)]);
  // It takes one kernel.
  const measured = [...names('--kernel', kernel.slice(0, 1)), ...names('--variant', variant)].join(' ');
  if (html !== undefined) return `usercopy bench ${measured}  # what an attached check costs, beside the guest's own`;
  const words = [
    ...names('--kernel', kernel),
    ...names('--variant', variant),
    ...names('--core', core === undefined ? [] : [core]),
  ].join(' ');
  return `usercopy overhead ${words} --html overhead.html  # the same as a page with charts`;
}

/** One row a figure: what spreadsheets and scripts take. */
function longTable(results: readonly Overhead[]): AnswerTable {
  const number = (value: number | null) => (value === null ? '' : String(value));
  const rows = results.flatMap((result) => {
    const { variant, kernel, profile, core } = result;
    const row = (what: string, name: string, cost: Cost | null) => [
      ...[variant, kernel, profile ?? '', core ?? '', what, name],
      ...[number(cost?.instructions ?? null), number(cost?.cycles ?? null), number(cost?.cold ?? null)],
    ];
    return [
      ...PASSING.map((path) => row('passing', path, result.paths[path])),
      ...REFUSING.map((path) => row('refusing', path, result.paths[path])),
      ...result.workloads.flatMap(({ name, check, copy }) => [row('check', name, check), row('copy', name, copy)]),
    ];
  });
  return { head: ['variant', 'kernel', 'profile', 'core', 'what', 'path', 'instructions', 'cycles', 'cold'], rows };
}
