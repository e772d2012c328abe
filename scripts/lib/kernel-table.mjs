/** What runs have found of kernels, kept in docs/kernels.json by variant and release, and docs/kernels.md, which is made of it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { drivers } from '../../build/js/arch/index.js';
import { defaultCacheDirectory } from '../../build/js/src/image/fetch.js';
import { parseConfig } from '../../build/js/src/kernel/config.js';
import { oddConfigurations } from './odd-configurations.mjs';
import { unjudged } from './unjudged.mjs';

const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
const cacheDirectory = await defaultCacheDirectory();

/** `6.12` of 6.12.95+deb13-amd64. */
export const seriesOf = (release) => /^\d+\.\d+/.exec(release)?.[0];

export const today = () => new Date().toISOString().slice(0, 10);

/** Options of a configuration that no name of a profile tells. */
const NOTED_OPTIONS = [
  ...['SLAB', 'FRAME_POINTER', 'KFENCE', 'PREEMPT_RT', 'CC_IS_CLANG', 'THUMB2_KERNEL', 'ARM_LPAE'],
  ...['ARM64_16K_PAGES', 'ARM64_64K_PAGES', 'PPC_64K_PAGES', 'KASAN_SW_TAGS', 'KASAN_HW_TAGS'],
];

/** Those of them that a configuration has. */
export const notedOptions = (config) => NOTED_OPTIONS.filter((name) => config.get(name) === 'y');

/** The same as a row keeps it; that a kernel is built without KFENCE is something else than that it is not known. */
export function optionsText(config) {
  const noted = notedOptions(config);
  return [...noted, ...(noted.includes('KFENCE') ? [] : ['!KFENCE'])].join(' ');
}

/** Notes them of a kernel whose configuration is in the cache. */
function noteOptions(row) {
  const file = join(cacheDirectory, row.release, `config-${row.release}`);
  if (!existsSync(file)) return;
  const own = optionsText(parseConfig(readFileSync(file, 'latin1')));
  row.options = row.kfence ? `${own} KFENCE-judged` : own;
}

/** A newer source makes another release of the same judge. */
const keyOf = ({ variant, release, judge }) =>
  judge === undefined ? `${variant} ${release}` : `${variant} ${seriesOf(release) ?? release} ${judge}`;

/**
 * Adds what a run found to what earlier ones did, and makes the table of both. A row is `{ variant, release, judge, found }`: `judge` where it is no
 * kernel of Debian's, `found` the members that are new, or a function that makes them of the row as it was. With `wanted`, the row
 * of a kernel that could not be built goes; with `skipped`, what is known of the kernel stays.
 */
export function keepRows(rows) {
  const file = join(docs, 'kernels.json');
  const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
  const known = new Map(before.map((row) => [keyOf(row), row]));
  for (const { variant, release, judge, wanted, skipped = false, found } of rows) {
    const key = keyOf({ variant, release, judge });
    if (skipped && known.has(key)) continue;
    const old = known.get(key) ?? { variant, release };
    // A build that failed stands under what was asked for, since it has no release.
    if (judge !== undefined && wanted !== undefined) known.delete(keyOf({ variant, release: wanted, judge }));
    const members = typeof found === 'function' ? found(old) : found;
    known.set(key, { ...old, release, ...(judge === undefined ? {} : { judge }), ...members });
  }
  const order = drivers.flatMap((driver) => driver.variants).map(({ name }) => name);
  const all = [...known.values()].sort(
    (left, right) =>
      order.indexOf(left.variant) - order.indexOf(right.variant) ||
      left.release.localeCompare(right.release, 'en', { numeric: true }),
  );
  for (const row of all) noteOptions(row);
  writeFileSync(file, `${JSON.stringify(all, null, 2)}\n`);
  writeFileSync(join(docs, 'kernels.md'), page(all));
}

const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

function kernelCells(row) {
  const { variant, release, note, judge, profile = '', lkdtm = '', random = '', off = '', dumps = '' } = row;
  const { error = null } = row;
  // A note is written by hand, and stays while the row does: what a kernel was given to be judged.
  const name = note === undefined ? release : `${release}, ${note}`;
  const judged = error === null ? [profile, lkdtm, random, off, dumps] : ['', '', error, '', dumps];
  return [variant, name, judge ?? "Debian's image", ...judged];
}

const KERNEL_HEAD = [
  ...['variant', 'kernel', 'what judged', 'profile', 'LKDTM, identical'],
  ...['random copies', 'switched off', 'dumps, identical'],
];

const BOOTED_COLUMNS = {
  passes: 'passes',
  refused: 'refused, as the console says',
  noImage: 'without image',
  panicked: 'in panic()',
  off: 'off',
  at: '`--at`, ours and the replay alike',
};

function bootedTable(all) {
  const rows = all.flatMap(({ variant, release, booted = {} }) =>
    Object.entries(booted).map(([machine, found]) => [
      ...[variant, release, machine],
      ...Object.keys(BOOTED_COLUMNS).map((column) => found[column] ?? ''),
    ]),
  );
  return table(['variant', 'kernel', 'machine', ...Object.values(BOOTED_COLUMNS)], rows);
}

/** Whether more is known of a kernel than what its machines have shown. */
const isKernelRow = ({ lkdtm, dumps, error = null }) => Boolean(lkdtm || dumps || error);

function unjudgedTable(all) {
  const { profiles, switches } = unjudged(all);
  return table(
    ['what', 'why'],
    [
      ...profiles.map(({ name, kernels, reason }) => [`profile \`${name}\` (${kernels})`, reason]),
      ...switches.map(({ profile, name, reason }) => [`\`${profile},${name}\``, reason]),
    ],
  );
}

function page(all) {
  const days = new Set(
    all.flatMap(({ judged, dumpsJudged, booted = {} }) =>
      [judged, dumpsJudged, ...Object.values(booted).map((one) => one.judged)].filter(Boolean),
    ),
  );
  const copies = new Set(all.filter((row) => row.copies).map((row) => `${row.copies} with seed ${row.seed}`));
  return `# Kernels

Which kernel judged what, as \`npm run test:kernels\` and \`npm run test:built-kernels\` found it (${[...days].sort().join(', ')}). Made by that script of \`docs/kernels.json\`: a run
replaces the rows that it judged.

- LKDTM: LKDTM's copies and their neighbours. The kernel's own \`__check_object_size\`, run in the guest, is the judge; how many are identical to
  the last byte of the message.
- Random copies: the same judge; ${[...copies].join(', ')}.
- What judged: Debian's image, or a kernel that \`usercopy kernel build\` built of Debian's source; then what it was built with besides the
  smallest configuration. A kernel built with \`-mflat\` judges what the C says, not frames of register windows, which no Unicorn from 2.0.1 to 2.1.4 can spill.
- Switched off: LKDTM's copies again, with the kernel's key as \`hardened_usercopy=off\` leaves it: its check lets all of them pass. From 6.15 on the
  callers ask the key, not the check; such kernels show it in dumps.
- A kernel built without HARDENED_USERCOPY has no check to ask. The same copies in another kernel of its series are its judge; where the line shows something of the kernel itself, and for random
  copies \`bench/baseline/oracle.ts\` is. \`judge: 'kernel'\` must refuse to attach.
- Dumps: machines of QEMU, stopped in the kernel's own check. What that kernel printed is the judge, a copy that it let pass included.

An empty place was not judged. A kernel that cannot be judged shows why.

${table(KERNEL_HEAD, all.filter(isKernelRow).map(kernelCells))}

## Machines that were booted

\`node scripts/boot-dumps.mjs RELEASE…\` boots kernels of the cache under QEMU with busybox, stops them at the check and elsewhere, dumps them, and judges
the dumps by \`check --dump\` and \`repro --dump\`; with \`--machine NAME\` another machine than the plain one (one processor, 256 MiB). The copies are:

- one that passes, and one that is made too large in the machine's registers, whose line is read from the console; that one without the image, too;
- the same one after that, in panic(): the log inside the dump must lead to it, and what BUG() left on the stack alone, too;
- one in a kernel booted with \`hardened_usercopy=off\`, whose check is not called while it copies (before 6.15 it is, and returns at once);
- copies given by \`--at\` in a dump stopped anywhere: on the stack and around it, in text, at the edges of the machine's memory, and where the refused copy
  was; ours and the replay must say the same of them.

${bootedTable(all)}

## Configurations that users have

${table(['what', 'judged by'], oddConfigurations(all))}

## What no kernel has judged

${unjudgedTable(all)}

\`bench/baseline/oracle.ts\` judges all of them, and so do cases worked out by hand in \`test/check/\`; \`usercopy profiles\` says what each switch does.
`;
}
