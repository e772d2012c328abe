/** The bytes around a copy as HTML: what of it is allowed and what is not. */
import { escaped } from './drawing.js';
import type { Reproduction } from './outcome.js';

/** Bytes of memory; undefined where the dump has none. */
export type ReadBytes = (address: bigint, length: number) => Uint8Array | undefined;

const ROW = 16;
/** Rows around each end of the copy. */
const ROWS_AROUND = 4;
/** A copy of at most this many rows is shown whole. */
const ROWS_WHOLE = 32;

/** Styled by `DRAWING_STYLE`. */
export function hexdump({ copy, explanation }: Reproduction, read: ReadBytes): string {
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
  return `<pre class="hexdump" tabindex="0">${rows.join('\n   …\n')}</pre><p class="legend">Copied: <span class="in">allowed</span>, <span class="out">not allowed</span>.</p>`;
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
