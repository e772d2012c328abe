/** Logs that were broken first and got prefixes then, logs with a prefix that were broken then: no prefix is part of a value. */
import { describe, expect, it } from 'vitest';
import { expectNothingWrong, FRAMES, PLAIN, read, STAMPED } from './gadget.js';

const clock = (index: number): string => `10:3${1 + Math.floor(index / 9)}:${10 + index}`;
const PREFIXES: readonly (readonly [name: string, of: (index: number) => string])[] = [
  ['a pager', (index) => `[${clock(index)}] `],
  ['a chat', (index) => `[10:${31 + Math.floor(index / 9)} AM] `],
  ['a chat with 24 hours', () => '[10:31] '],
  ['a chat with names', (index) => `10:${31 + Math.floor(index / 9)} <bob> `],
  ['a serial console', (index) => `[2024-01-05 ${clock(index)}.${100 + index}] `],
  ['a terminal with stamps', (index) => `${clock(index)} `],
  ['numbers of lines', (index) => `${String(index + 1).padStart(5)}  `],
  ['a tool and the device', (index) => `ttyUSB0 ${clock(index)}: `],
  ['quoting', () => '> '],
];
const broken = (lines: readonly string[], width: number): string[] =>
  lines.flatMap((line) => line.match(new RegExp(`.{1,${width}}`, 'g')) ?? []);

describe.each(PREFIXES)('the prefix of %s', (_name, prefix) => {
  const prefixed = (lines: readonly string[]): string[] => lines.map((line, index) => `${prefix(index)}${line}`);

  it.each([60, 64, 72, 80, 100])('that was put on lines broken at column %i is part of no value', (width) => {
    expectNothingWrong(read(prefixed(broken(STAMPED, width))), true);
    expectNothingWrong(read(prefixed(broken(PLAIN, width))), true);
  });

  it('that was put on whole lines leaves all values', () => {
    expectNothingWrong(read(prefixed(STAMPED)), false);
    expectNothingWrong(read(prefixed(PLAIN)), false);
  });
});

describe('a line that is broken inside what stands before it', () => {
  const SYSLOG = STAMPED.map((line) => `Jan  5 10:31:05 widget kernel: ${line}`);
  const THREADS = STAMPED.map((line) => line.replace('] ', '][  T771] '));
  it.each([
    ['its stamp', STAMPED],
    ["syslog's date, host and tag", SYSLOG],
    ['its caller', THREADS],
  ])('keeps its frame: %s', (_name, lines) => {
    const frame = lines.findIndex((line) => line.includes('gadget_read'));
    const from = lines[frame]!.indexOf('gadget_read') - 2;
    for (let column = 1; column < from; column++) {
      const line = lines[frame]!;
      const pieces = [line.slice(0, column), line.slice(column)];
      const { trace } = read([...lines.slice(0, frame), ...pieces, ...lines.slice(frame + 1)]);
      expect([column, trace.map(({ symbol, module }) => [symbol, module])]).toEqual([
        column,
        FRAMES.map((symbol) => [symbol, symbol === 'gadget_read' ? 'gadget' : null]),
      ]);
    }
  });
});
