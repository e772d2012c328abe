/** One page that draws the memory around a copy: object, window, red zones, neighbours, the copy over it, and its bytes. */

import { hex } from '../errors.js';
import type { Reproduction } from './outcome.js';

/** Bytes of memory; undefined where the dump has none. */
export type ReadBytes = (address: bigint, length: number) => Uint8Array | undefined;

const WIDTH = 1000;
const ROW = 16;
/** Rows of the hexdump around each end of the copy. */
const ROWS_AROUND = 4;
/** A copy of at most this many rows is shown whole. */
const ROWS_WHOLE = 32;

const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`).replace(/[^\x20-\uffff]/g, '·');

/** The page's text: HTML with its styles, no scripts, nothing from elsewhere. */
export function memoryPage(reproduction: Reproduction, read: ReadBytes): string {
  const { outcome, variant, kernel, profile, check, replay, report, explanation } = reproduction;
  const said = (who: string, message: string | null | undefined): string =>
    `<tr><th>${who}</th><td>${escaped(message ?? 'lets the copy pass')}</td></tr>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>usercopy: ${escaped(outcome)}</title>
<style>${STYLE}</style></head><body>
<h1><span class="outcome ${outcome}">${escaped(outcome)}</span> ${escaped(`${variant}, kernel ${kernel}, profile ${profile}`)}</h1>
<table>${report ? said('report', report.message?.text ?? 'its message is missing') : ''}${said('check', check?.message)}${
    replay ? said(`replay (${replay.instructions} instructions)`, replay.message) : ''
  }</table>
<h2>Memory around the copy</h2>
${drawing(reproduction)}
<h2>Bytes</h2>
${hexdump(reproduction, read)}
<h2>Explanation</h2>
<ul>${explanation.lines.map((line) => `<li>${escaped(line)}</li>`).join('')}</ul>
</body></html>
`;
}

const STYLE = `
body{font:14px/1.5 system-ui,sans-serif;color:#1c2430;background:#fff;max-width:1060px;margin:2em auto;padding:0 1em}
h1{font-size:1.2em}h2{font-size:1em;margin-top:2em}th{text-align:left;padding-right:1em;vertical-align:top;white-space:nowrap}
.outcome{color:#fff;background:#8a6d00;border-radius:4px;padding:.1em .5em}.identical,.clean{background:#1d7a3a}.different{background:#b3261e}
svg{width:100%;height:auto;font:12px ui-monospace,monospace}pre{font:12px/1.45 ui-monospace,monospace;overflow-x:auto}
.in{background:#ffe1b3}.out{background:#ffb4ab}.legend span{display:inline-block;width:1em;height:1em;margin:0 .4em 0 1.2em;vertical-align:-.15em}
li{overflow-wrap:anywhere}`;

interface Box {
  readonly start: bigint;
  readonly end: bigint;
  readonly label: string;
  readonly fill: string;
  readonly y: number;
  readonly height: number;
}

const COLOURS = {
  object: '#c9d8ef',
  neighbour: '#eceff4',
  window: '#9fd8ae',
  redZone: '#e5897f',
  copy: '#f5a623',
} as const;
const MEANINGS = [
  [COLOURS.object, 'object'],
  [COLOURS.window, 'user copies may touch'],
  [COLOURS.redZone, 'red zone'],
  [COLOURS.neighbour, 'neighbour'],
  [COLOURS.copy, 'copy'],
] as const;

function drawing({ copy, explanation }: Reproduction): string {
  const { object, surroundings } = explanation;
  if (copy.pointer === null || copy.size === null) return '<p>Where the copy lies is not known.</p>';
  const boxes: Box[] = [];
  const add = (start: bigint, end: bigint, label: string, fill: string, y: number, height: number): void => {
    if (end > start) boxes.push({ start, end, label, fill, y, height });
  };
  const redZone = surroundings?.redZone ?? 0n;
  for (const { start, end, index, state } of surroundings?.neighbours ?? []) {
    add(start - redZone, start, '', COLOURS.redZone, 30, 60);
    add(start, end, `object ${index}${state ? `, ${state}` : ''}`, COLOURS.neighbour, 30, 60);
  }
  if (object?.start != null && object.end !== null) {
    const { start, end, cache, index, state, window } = object;
    add(start - redZone, start, '', COLOURS.redZone, 30, 60);
    const name = cache ?? explanation.region ?? 'object';
    add(start, end, `${name}${index === null ? '' : ` ${index}`}${state ? `, ${state}` : ''}`, COLOURS.object, 30, 60);
    if (window) add(window.start, window.end, '', COLOURS.window, 76, 14);
  }
  const copyEnd = copy.pointer + copy.size;
  add(copy.pointer, copyEnd, `copy, ${copy.size} bytes`, COLOURS.copy, 104, 26);
  if (boxes.length === 0) return '<p>The copy is empty.</p>';
  const first = boxes.reduce((low, { start }) => (start < low ? start : low), copy.pointer);
  const last = boxes.reduce((high, { end }) => (end > high ? end : high), copyEnd);
  const span = Number(last - first) || 1;
  const x = (address: bigint): number => (Number(address - first) / span) * WIDTH;
  const shapes = boxes.map(({ start, end, label, fill, y, height }) => {
    const left = x(start);
    const width = Math.max(x(end) - left, 1.5);
    // A label that does not fit stands beside its box.
    const fits = width > label.length * 7.4 + 8;
    const anchor = fits || left < WIDTH / 2 ? 'start' : 'end';
    const at = fits ? left + 5 : anchor === 'start' ? left + width + 5 : left - 5;
    const text = label
      ? `<text x="${at.toFixed(1)}" y="${y + 18}" text-anchor="${anchor}">${escaped(label)}</text>`
      : '';
    const title = `<title>${escaped(`${label} [${hex(start)}, ${hex(end)})`)}</title>`;
    return `<rect x="${left.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${height}" fill="${fill}" stroke="#5b6778" stroke-width=".6">${title}</rect>${text}`;
  });
  const lines = [copy.pointer, copyEnd].map(
    (address) =>
      `<line x1="${x(address).toFixed(1)}" x2="${x(address).toFixed(1)}" y1="22" y2="136" stroke="#b3261e" stroke-dasharray="3 3"/>`,
  );
  const legend = MEANINGS.map(([colour, text]) => `<span style="background:${colour}"></span>${text}`).join('');
  return `<svg viewBox="-4 0 ${WIDTH + 8} 150" role="img" aria-label="memory around the copy">
<text x="0" y="14">${hex(first)}</text><text x="${WIDTH}" y="14" text-anchor="end">${hex(last)}</text>
${shapes.join('\n')}
${lines.join('\n')}
</svg><p class="legend">${legend}</p>`;
}

function hexdump({ copy, explanation }: Reproduction, read: ReadBytes): string {
  const { pointer, size } = copy;
  if (pointer === null || size === null || size === 0n) return '<p>No byte is copied.</p>';
  const row = BigInt(ROW);
  const firstRow = pointer / row - 2n;
  const lastRow = (pointer + size - 1n) / row + 2n;
  const around = BigInt(ROWS_AROUND);
  const groups: (readonly [bigint, bigint])[] =
    lastRow - firstRow < BigInt(ROWS_WHOLE)
      ? [[firstRow, lastRow]]
      : [
          [firstRow, firstRow + 2n * around],
          [lastRow - 2n * around, lastRow],
        ];
  const allowed = explanation.object?.window ?? null;
  const kind = (address: bigint): string => {
    if (address < pointer || address >= pointer + size) return '';
    return allowed && (address < allowed.start || address >= allowed.end) ? 'out' : 'in';
  };
  const rows = groups.map(([from, to]) => {
    const lines: string[] = [];
    for (let number = from < 0n ? 0n : from; number <= to; number++) lines.push(hexRow(number * row, read, kind));
    return lines.join('\n');
  });
  return `<pre>${rows.join('\n   …\n')}</pre><p>Copied: <span class="in">allowed</span>, <span class="out">not allowed</span>.</p>`;
}

function hexRow(address: bigint, read: ReadBytes, kind: (address: bigint) => string): string {
  const cells: string[] = [];
  const letters: string[] = [];
  const word = BigInt.asUintN(64, address);
  const whole = read(word, ROW);
  for (let index = 0; index < ROW; index++) {
    const byte = whole ? whole[index] : read(BigInt.asUintN(64, word + BigInt(index)), 1)?.[0];
    const text = byte === undefined ? '··' : byte.toString(16).padStart(2, '0');
    const letter = byte === undefined || byte < 0x20 || byte > 0x7e ? '.' : String.fromCharCode(byte);
    const style = kind(address + BigInt(index));
    const mark = (content: string): string => (style ? `<span class="${style}">${content}</span>` : content);
    cells.push(mark(text));
    letters.push(mark(escaped(letter)));
  }
  return `${word.toString(16).padStart(16, '0')}  ${cells.join(' ')}  ${letters.join('')}`;
}
