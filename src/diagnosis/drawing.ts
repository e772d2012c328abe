/** A scene as SVG to scale, with its parts as a table: for pages of its own and for the page in the browser. */
import { hex } from '../errors.js';
import type { Part, PartKind, Scene } from './scene.js';

/** A part of the whole that is narrower than this is shown once more, larger. */
const HAIRLINE = 1 / 40;
const TOP = 22;
const ROWS = { memory: 44, inner: 18, copy: 26, gap: 4 } as const;

const CLASSES: Readonly<Record<PartKind | 'copy', string>> = {
  object: 'm-object',
  neighbour: 'm-neighbour',
  window: 'm-window',
  'red zone': 'm-redzone',
  member: 'm-member',
  area: 'm-area',
  frame: 'm-frame',
  copy: 'm-copy',
};

/** Styles of what `drawing()` and `hexdump()` make; colours for light and dark are custom properties. */
export const DRAWING_STYLE = `
:root{--m-object:#c9d8ef;--m-neighbour:#eceff4;--m-window:#8ccf9f;--m-redzone:#e5897f;--m-member:#dfe8f6;--m-area:#d9d3ec;--m-frame:#d3e5e8;--m-copy:#f5a623;--m-line:#5b6778;--m-ink:#1c2430;--m-edge:#b3261e;--m-in:#ffe1b3;--m-out:#ffb4ab}
@media screen and (prefers-color-scheme:dark){:root{--m-object:#2f4a72;--m-neighbour:#2b313b;--m-window:#23663a;--m-redzone:#8a3229;--m-member:#3a5378;--m-area:#4a4170;--m-frame:#2b525a;--m-copy:#a86c00;--m-line:#8b97a8;--m-ink:#eef2f7;--m-edge:#ff8a80;--m-in:#5c4310;--m-out:#7a2620}}
.drawing svg{display:block;width:100%;font:12px ui-monospace,monospace}.drawing text{fill:var(--m-ink)}.drawing rect{stroke:var(--m-line);stroke-width:.6}
.drawing line{stroke:var(--m-edge);stroke-dasharray:3 3}.drawing caption,.drawing figcaption{text-align:left;font-size:.9em;padding:.3em 0}
.drawing table{border-collapse:collapse;font-size:.9em;margin-top:.4em}.drawing td,.drawing th{text-align:left;padding:.1em .8em .1em 0;vertical-align:top;overflow-wrap:anywhere}
.drawing .key{width:1em}.drawing .key i{display:inline-block;width:.9em;height:.9em;border:1px solid var(--m-line)}.drawing .number{font-family:ui-monospace,monospace}
${Object.values(CLASSES)
  .map((name) => `.drawing rect.${name}{fill:var(--${name})}.drawing i.${name}{background:var(--${name})}`)
  .join('')}
.hexdump{font:12px/1.45 ui-monospace,monospace;overflow-x:auto}.hexdump .in,.legend .in{background:var(--m-in)}.hexdump .out,.legend .out{background:var(--m-out)}`;

/** Text for HTML: nothing in it is markup, and control characters are dots. */
export const escaped = (text: string): string =>
  text.replace(/[^\x20-\uffff]/g, '·').replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

const bytes = (count: bigint): string => (count === 1n ? '1 byte' : `${count} bytes`);

const place = (value: bigint, { origin }: Scene): string =>
  origin === null ? hex(BigInt.asUintN(64, value)) : value < 0n ? `-${-value}` : `+${value}`;

/** A figure: the memory to scale, a hairline in it once more and larger, and what is there as a table. */
export function drawing(scene: Scene): string {
  const { copy, parts, origin } = scene;
  if (copy.end <= copy.start) return '<p>No byte is copied.</p>';
  const first = parts.reduce((low, { start }) => (start < low ? start : low), copy.start);
  const last = parts.reduce((high, { end }) => (end > high ? end : high), copy.end);
  const zoom = zoomOf(scene, first, last);
  const counted = origin === null ? '' : `<p class="origin">Numbers count from ${escaped(origin)}.</p>`;
  return `<figure class="drawing">${panel(scene, first, last, 'memory around the copy, to scale')}${
    zoom === null ? '' : `<p>Larger:</p>${panel(scene, zoom.first, zoom.last, 'a part of it, larger')}`
  }${counted}${table(scene)}</figure>`;
}

/** Around the narrowest of object, window and copy, where it is a hairline. */
function zoomOf({ copy, parts }: Scene, first: bigint, last: bigint): { first: bigint; last: bigint } | null {
  const span = last - first;
  const narrow = [copy, ...parts.filter(({ kind }) => kind === 'object' || kind === 'area' || kind === 'window')]
    .filter(({ start, end }) => Number(end - start) / Number(span) < HAIRLINE)
    .sort((left, right) => (left.end - left.start < right.end - right.start ? -1 : 1))[0];
  if (narrow === undefined) return null;
  const around = (narrow.end - narrow.start) * 4n;
  const from = narrow.start - around > first ? narrow.start - around : first;
  const to = narrow.end + around < last ? narrow.end + around : last;
  return { first: from, last: to };
}

const rowOf = (kind: PartKind): 'memory' | 'inner' => (kind === 'window' || kind === 'member' ? 'inner' : 'memory');

function panel(scene: Scene, first: bigint, last: bigint, name: string): string {
  const { parts, copy, refused } = scene;
  const span = Number(last - first) || 1;
  const percent = (value: bigint): number => Math.min(100, Math.max(0, (Number(value - first) / span) * 100));
  const shown = parts.filter(({ start, end }) => end > first && start < last);
  const hasMembers = shown.some(({ kind }) => kind === 'member');
  const hasInner = shown.some(({ kind }) => rowOf(kind) === 'inner');
  const memberTop = TOP + ROWS.memory;
  const windowTop = memberTop + (hasMembers ? ROWS.inner : 0);
  const copyTop = windowTop + (hasInner ? ROWS.inner : 0) + ROWS.gap;
  const height = copyTop + ROWS.copy + 2;
  const box = (part: Part, kind: PartKind | 'copy', y: number, tall: number): string => {
    const left = percent(part.start);
    const width = Math.max(percent(part.end) - left, 0.2);
    const title = `${part.label}: ${place(part.start, scene)} to ${place(part.end, scene)}, ${bytes(part.end - part.start)}`;
    // An SVG of its own cuts the label off where the box ends; the table has it whole.
    return `<svg x="${left.toFixed(2)}%" y="${y}" width="${width.toFixed(2)}%" height="${tall}"><title>${escaped(title)}</title><rect class="${CLASSES[kind]}" width="100%" height="100%"/>${
      width < 4 ? '' : `<text x="5" y="${Math.round(tall / 2) + 4}">${escaped(part.label)}</text>`
    }</svg>`;
  };
  const boxes = shown.map((part) => {
    if (part.kind === 'member') return box(part, part.kind, memberTop, ROWS.inner);
    if (part.kind === 'window') return box(part, part.kind, hasMembers ? windowTop : memberTop, ROWS.inner);
    return box(part, part.kind, TOP, ROWS.memory);
  });
  const size = copy.end - copy.start;
  const label = `copy of ${bytes(size)}${refused ? ', refused' : ''}`;
  const edges = [copy.start, copy.end]
    .filter((value) => value >= first && value <= last)
    .map((value) => `<line x1="${percent(value)}%" x2="${percent(value)}%" y1="${TOP - 4}" y2="${height}"/>`);
  return `<svg height="${height}" width="100%" role="img" aria-label="${escaped(name)}"><text x="0" y="13">${escaped(place(first, scene))}</text><text x="100%" y="13" text-anchor="end">${escaped(place(last, scene))}</text>${boxes.join('')}${box({ ...copy, kind: 'object', label }, 'copy', copyTop, ROWS.copy)}${edges.join('')}</svg>`;
}

function table(scene: Scene): string {
  const { parts, copy } = scene;
  const row = (kind: PartKind | 'copy', { label, start, end }: Pick<Part, 'label' | 'start' | 'end'>): string =>
    `<tr><td class="key"><i class="${CLASSES[kind]}"></i></td><td>${escaped(label)}</td><td class="number">${escaped(place(start, scene))}</td><td class="number">${escaped(place(end, scene))}</td><td>${bytes(end - start)}</td></tr>`;
  const sorted = [...parts].sort((left, right) => (left.start < right.start ? -1 : left.start > right.start ? 1 : 0));
  return `<table><thead><tr><td class="key"></td><th>what</th><th>from</th><th>to</th><th>size</th></tr></thead><tbody>${sorted
    .map((part) => row(part.kind, part))
    .join('')}${row('copy', { ...copy, label: 'the copy' })}</tbody></table>`;
}
