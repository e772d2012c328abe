/** One page about a copy: the verdict first, then what says so, memory around it to scale, causes, task, callers, bytes. */
import { GENERATOR } from '../report/own-output.js';
import { DRAWING_STYLE, drawing, escaped } from './drawing.js';
import { hexdump, type ReadBytes } from './hexdump.js';
import type { Outcome, Reproduction } from './outcome.js';
import { isWarning, saidBy } from './refused.js';
import { sceneOf } from './scene.js';
import { summaryOf } from './summary.js';

/** The page's text: HTML with its styles, no scripts, nothing from elsewhere. */
export function memoryPage(reproduction: Reproduction, read: ReadBytes): string {
  const { explanation } = reproduction;
  const { title, text, refused } = summaryOf(reproduction);
  const badge = badgeOf(reproduction, refused);
  const members = explanation.field?.members ?? [];
  const scene = sceneOf(
    reproduction,
    members.map(({ name, offset, size }) => ({ name, offset: BigInt(offset), size: BigInt(size) })),
  );
  const items = (lines: readonly string[]): string =>
    `<ul>${lines.map((line) => `<li>${escaped(line)}</li>`).join('')}</ul>`;
  const causes = explanation.causes.map(({ cause, because }) => `${cause}: ${because}`);
  const section = (heading: string, content: string): string =>
    content === '' ? '' : `<h2>${heading}</h2>\n${content}\n`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">${GENERATOR}<meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style></head><body>
<h1><span class="badge ${badge}">${badge}</span> ${escaped(title)}</h1>
<p class="verdict">${escaped(text)}</p>
${section('Who says so', saidTable(reproduction))}
${section('Memory around the copy', typeof scene === 'string' ? `<p>${escaped(scene)}</p>` : drawing(scene))}
${section('Likely causes', causes.length === 0 ? '' : items(causes))}
${section('Where and when', factsTable(reproduction))}
${section('Callers, innermost first', callersTable(explanation.surroundings?.calls ?? []))}
${section('Bytes', hexdump(reproduction, read))}
${section('Details', items(explanation.lines))}
</body></html>
`;
}

/** The state of the copy: what the kernel did with it. */
function badgeOf({ report }: Reproduction, refused: boolean | null): 'refused' | 'allowed' | 'warned' | 'unknown' {
  if (refused === null) return 'unknown';
  if (refused) return 'refused';
  return report !== null && isWarning(report) ? 'warned' : 'allowed';
}

const AGREEMENT: Readonly<Record<Outcome, string>> = {
  identical: 'all of them say the same',
  clean: 'none of them objects',
  different: 'they do not say the same',
  consistent: 'the message follows from the rules of its kernel',
  contradictory: 'the message cannot come from the rules of its kernel',
  unknown: 'what is there does not decide',
};

function saidTable({ report, check, replay, outcome }: Reproduction): string {
  const said = (who: string, message: string): string => `<tr><th>${who}</th><td>${escaped(message)}</td></tr>`;
  return `<table>${report === null ? '' : said("the kernel's log", report.message?.text ?? 'its message line is missing')}${
    check === null ? '' : said('check of this project', saidBy(check))
  }${
    replay === null ? '' : said("the dumped kernel's own check", saidBy(replay))
  }${said('together', AGREEMENT[outcome])}</table>`;
}

function factsTable({ variant, kernel, profile, report, explanation }: Reproduction): string {
  const { stack } = explanation.surroundings ?? { stack: null };
  const comm = report?.comm ?? stack?.comm ?? null;
  const pid = report?.pid ?? stack?.pid ?? null;
  const facts: readonly (readonly [string, string | null])[] = [
    ['task', comm === null ? null : `${comm}${pid === null ? '' : ` (pid ${pid})`}`],
    ['CPU', report?.cpu == null ? null : String(report.cpu)],
    ['kernel', kernel === null ? null : `${kernel} (${variant}), judged by profile ${profile}`],
    ['hardware', report?.hardware ?? null],
    ['taint', report?.taint == null || report.taint.trim() === '' ? null : report.taint.replace(/\s+/g, ' ')],
  ];
  const rows = facts
    .filter((fact): fact is readonly [string, string] => fact[1] !== null)
    .map(([name, value]) => `<tr><th>${name}</th><td>${escaped(value)}</td></tr>`);
  return rows.length === 0 ? '' : `<table>${rows.join('')}</table>`;
}

/** `? symbol+0x1c [module] (file.c:12) (inlined)` */
const CALL = /^(\? )?(\S+?)(?:\+(0x[0-9a-f]+))?(?: \[([^\]]+)\])?((?: \([^)]*\))*)$/;

function callersTable(calls: readonly string[]): string {
  if (calls.length === 0) return '';
  const rows = calls.map((call, index) => {
    const [, guessed, name = call, offset = '', module = '', where = ''] = CALL.exec(call) ?? [];
    const cells = [`${guessed === undefined ? '' : '? '}${name}`, offset, module, where.trim()];
    return `<tr><td>${index + 1}</td>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`;
  });
  const line = calls.some((call) => call.includes('(')) ? 'line' : '';
  return `<table class="callers"><tr><th></th><th>function</th><th>offset</th><th>module</th><th>${line}</th></tr>${rows.join('')}</table>`;
}

const STYLE = `
body{font:15px/1.5 system-ui,sans-serif;color:#1c2430;background:#fff;max-width:1060px;margin:1.5em auto;padding:0 1em}
h1{font-size:1.25em}h2{font-size:1em;margin:1.8em 0 .4em}.verdict{font-size:1.05em}
table{border-collapse:collapse}th,td{text-align:left;padding:.15em 1em .15em 0;vertical-align:top;overflow-wrap:anywhere}th{font-weight:600;overflow-wrap:normal}figure{margin:.5em 0}
.callers{font:13px/1.5 ui-monospace,monospace}
.badge{color:#fff;background:#5b6778;border-radius:4px;padding:.1em .5em;white-space:nowrap}.refused{background:#b3261e}.allowed{background:#1d7a3a}.warned{background:#8a6d00}
ul{padding-left:1.2em}li,p{overflow-wrap:anywhere}pre{overflow-x:auto}
@media screen and (max-width:600px){body{padding:0 .6em}th,td{padding-right:.5em}}
@media screen and (prefers-color-scheme:dark){body{color:#eef2f7;background:#14181e}}${DRAWING_STYLE}`;
