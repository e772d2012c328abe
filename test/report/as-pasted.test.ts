import { describe, expect, it } from 'vitest';
import { parseReports } from '../../src/report/parse.js';
import type { UsercopyReport } from '../../src/report/report.js';
import { callerOf } from '../../src/report/trace.js';
import { SeededRandom } from '../../src/scenario/random.js';
import { reportFiles } from './files.js';

/** A log without what stands before its lines: what people's tools do to it is done here. */
interface Original {
  readonly name: string;
  readonly lines: readonly { readonly time: number; readonly said: string }[];
  readonly report: UsercopyReport;
}

const NAMES = ['x86_64', 'arm64', 'arm', 'ppc64le', 'riscv64-6.12', 'i386', 'loongarch64', 'old-format-x86_64', 'mips'];
const stamped = ({ time, said }: { readonly time: number; readonly said: string }): string =>
  `[${time.toFixed(6).padStart(12)}] ${said}`;

function originalOf(name: string): Original {
  const { log } = reportFiles('logs').find((file) => file.name === name)!;
  const lines = log
    .trimEnd()
    .split('\n')
    .map((line, index) => ({ time: 100 + index / 1e6, said: line.replace(/^(?:<\d+>)?\[ *\d+\.\d{6}\] ?/, '') }));
  return { name, lines, report: parseReports(`${lines.map(stamped).join('\n')}\n`)[0]! };
}

const ORIGINALS = NAMES.map(originalOf);
const FIELDS = ['arch', 'bits', 'kernelVersion', 'cpu', 'pid', 'comm', 'taint', 'hardware', 'bugLine'] as const;
/** Flags stand in columns of blanks, which many tools take away. */
const plain = <Value>(value: Value): Value | string => (typeof value === 'string' ? value.replace(/\s+/g, ' ') : value);

/** What a report tells that the original does not; where it tells less, it has a note. */
function wrongIn(read: UsercopyReport, { report: whole }: Original): string[] {
  const wrong: string[] = [];
  const compare = (what: string, told: unknown, is: unknown): void => {
    if (told !== is && (told !== null || read.notes.length === 0)) wrong.push(`${what}: ${told} for ${is}`);
  };
  for (const field of FIELDS) compare(field, plain(read[field]), plain(whole[field]));
  if (read.code !== null && !whole.code!.startsWith(read.code)) wrong.push(`code: ${read.code}`);
  for (const field of ['canonical', 'cache', 'address', 'offset', 'size'] as const)
    compare(field, read.message?.[field] ?? null, whole.message![field]);
  const caller = (report: UsercopyReport) => callerOf(report.trace, report.pc)?.symbol ?? null;
  compare('caller', caller(read), caller(whole));
  for (const [register, value] of read.registers) compare(register, value, whole.registers.get(register));
  for (const module of read.modules ?? [])
    if (!whole.modules!.includes(module)) wrong.push(`a module that is not there: ${module}`);
  const symbols = whole.trace.map(({ symbol }) => symbol);
  for (const { symbol } of read.trace) if (!symbols.includes(symbol)) wrong.push(`no frame: ${symbol}`);
  return wrong;
}

type Mangle = (original: Original) => string;
const each =
  (shown: (line: Original['lines'][number]) => string): Mangle =>
  ({ lines }) =>
    `${lines.map(shown).join('\n')}\n`;
const all =
  (shown: (log: string) => string): Mangle =>
  ({ lines }) =>
    shown(`${lines.map(stamped).join('\n')}\n`);
const csv = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const python = (text: string): string =>
  text.includes("'") && !text.includes('"') ? `"${text}"` : `'${text.replaceAll("'", "\\'")}'`;
/** RFC 2045, without the header that says so. */
const quotedPrintable = (log: string): string =>
  log
    .replaceAll('=', '=3D')
    .split('\n')
    .map((line) => line.replace(/.{75}(?=.)/g, '$&=\n'))
    .join('\n');

/** Everything is still there: all must be told. */
const WHOLE: readonly (readonly [string, Mangle])[] = [
  ['colours as carets', each(({ said }) => `^[[32m[  100.000000] ^[[0m^[[33m${said}^[[0m`)],
  ['colours without their escape', each(({ said }) => `[32m[  100.000000] [0m[33m${said}[0m`)],
  ['soft hyphens', all((log) => log.replace(/([a-z]{4})(?=[a-z]{4})/g, '$1\u00ad'))],
  ['joiners and direction marks', all((log) => log.replace(/([_.])/g, '\u2060$1').replace(/ /g, '\u200c \u202c'))],
  ['hyphens that do not break', all((log) => log.replaceAll('-', '\u2011'))],
  ['full-width signs', all((log) => log.replaceAll('+', '\uff0b').replaceAll(':', '\uff1a'))],
  ['ligatures', all((log) => log.replaceAll('ff', '\ufb00').replaceAll('fi', '\ufb01').replaceAll('fl', '\ufb02'))],
  ['tabs for blanks', all((log) => log.replace(/ {2,}/g, '\t'))],
  ['escapes of Markdown', all((log) => log.replace(/([_*[\]<>#])/g, '\\$1'))],
  ['links of Markdown', all((log) => log.replace(/([\w/]+\.c:\d+)/g, '[$1](https://example.org/tree/$1)'))],
  ['links of Slack', all((log) => log.replace(/([\w/]+\.c:\d+)/g, '<https://example.org/$1|$1>'))],
  [
    'Loki',
    ({ lines }) =>
      JSON.stringify({
        data: {
          result: [{ values: lines.map((line) => [String(1_700_000_000 + line.time).padEnd(19, '0'), stamped(line)]) }],
        },
      }),
  ],
  ['a list of strings', ({ lines }) => JSON.stringify(lines.map(stamped))],
  ['a list of Python', ({ lines }) => `[${lines.map((line) => python(stamped(line))).join(', ')}]\n`],
  ['strings of Python', each((line) => python(`${stamped(line)}\n`).replaceAll('\n', '\\n'))],
  ['bytes of Python', each((line) => `b'${stamped(line).replaceAll("'", "\\'")}'`)],
  [
    'CSV that quotes where it must',
    each((line) => `a,b,${/[",]/.test(stamped(line)) ? csv(stamped(line)) : stamped(line)}`),
  ],
  ['logfmt', each((line) => `ts=2024-01-02T03:04:05Z level=error msg=${JSON.stringify(stamped(line))} host=a`)],
  ['quoted-printable without its header', all(quotedPrintable)],
  [
    'parts of a container (Docker)',
    ({ lines }) =>
      lines
        .map(stamped)
        .flatMap((line) => [line.slice(0, 40), `${line.slice(40)}\n`])
        .map((log) => JSON.stringify({ log, stream: 'stdout' }))
        .join('\n'),
  ],
  [
    'parts of a container (CRI)',
    ({ lines }) =>
      lines
        .map(stamped)
        .flatMap((line) => [`P ${line.slice(0, 40)}`, `F ${line.slice(40)}`])
        .map((part) => `2024-01-02T03:04:05.123456789Z stdout ${part}\n`)
        .join(''),
  ],
  [
    'records with their device',
    each(({ time, said }) => `4,7,${Math.round(time * 1e6)},-;${said}\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:14.0`),
  ],
  [
    'newest first, to the second',
    ({ lines }) =>
      lines
        .map(({ said }) => `2024-01-02T03:04:05Z host kernel: ${said}\n`)
        .reverse()
        .join(''),
  ],
  ['lines that are filled up', ({ lines }) => `${lines.map((line) => stamped(line).padEnd(120)).join('\n')}\n`],
  ['a table', ({ lines }) => lines.map((line) => `| ${stamped(line).padEnd(130)} |\n`).join('')],
];

/** Something is gone: what is told is whole, and that something is gone is said. */
const CUT: readonly (readonly [string, Mangle])[] = [
  ...[72, 80, 100].map((columns): readonly [string, Mangle] => [
    `a screen of ${columns} columns`,
    all((log) => log.replace(new RegExp(`^(.{${columns}}).+$`, 'gm'), '$1')),
  ]),
  ['a pager with a mark', all((log) => log.replace(/^(.{79}).+$/gm, '$1>'))],
  ['a logger that leaves the middle out', all((log) => log.replace(/^(.{45}).{4,}(.{30})$/gm, '$1\u2026$2'))],
  ['numbers in groups', all((log) => log.replace(/(?<=offset \d+)(?=, size)/, ',123'))],
];

describe.each(ORIGINALS.map((original) => [original.name, original] as const))(
  'a log of %s as tools show it',
  (_, original) => {
    it.each(WHOLE)('is read whole: %s', (_kind, mangle) => {
      const reports = parseReports(mangle(original));
      expect(reports).toHaveLength(1);
      expect(wrongIn(reports[0]!, original)).toEqual([]);
      const { message, comm, kernelVersion, trace } = reports[0]!;
      expect(message?.canonical).toBe(original.report.message!.canonical);
      expect({ comm, kernelVersion, frames: trace.length }).toEqual({
        comm: original.report.comm,
        kernelVersion: original.report.kernelVersion,
        frames: original.report.trace.length,
      });
    });

    it.each(CUT)('tells nothing that is not whole: %s', (_kind, mangle) => {
      for (const read of parseReports(mangle(original))) expect(wrongIn(read, original)).toEqual([]);
    });
  },
);

describe('two CPUs that crash at once', () => {
  /** The same crash again: other task, other values. */
  const other = (original: Original): Original => {
    const lines = original.lines.map(({ time, said }) => ({
      time,
      said: said
        .replace(/PID: \d+ Comm: \S+/, 'PID: 4711 Comm: other')
        .replace(/\b(?=[0-9a-f]{16}\b)(.{12})..../g, '$1beef')
        .replace(/size (\d+)\)!/, 'size 4$1)!'),
    }));
    return { name: original.name, lines, report: parseReports(`${lines.map(({ said }) => said).join('\n')}\n`)[0]! };
  };
  const originals = ['x86_64', 'arm64', 'ppc64le', 'riscv64-6.12'].map(originalOf);

  it.each(originals.map((original) => [original.name, original] as const))(
    'of %s, with nothing that tells whose line is whose: each tells its own, or that it is mixed',
    (_, first) => {
      const second = other(first);
      const random = new SeededRandom(7);
      for (let round = 0; round < 60; round++) {
        const queues = [first.lines.map(({ said }) => said), second.lines.map(({ said }) => said)];
        const woven = queues[0]!.splice(0, Number(random.below(12)));
        while (queues.some(({ length }) => length > 0)) {
          const [one, two] = random.below(2) === 0 ? queues : [queues[1]!, queues[0]!];
          woven.push(...(one!.length > 0 ? one! : two!).splice(0, 1 + Number(random.below(4))));
        }
        for (const read of parseReports(`${woven.join('\n')}\n`)) {
          if (read.mixed) continue;
          const [own] = [first, second]
            .map((original) => wrongIn({ ...read, notes: ['less is told'] }, original))
            .sort((a, b) => a.length - b.length);
          expect(own, woven.join('\n')).toEqual([]);
        }
      }
    },
  );
});
