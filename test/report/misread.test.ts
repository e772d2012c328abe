/** Text that was read off a picture, and lines of two crashes that stand mixed: what is not sure is left out or said. */
import { describe, expect, it } from 'vitest';
import { parseReports } from '../../src/report/parse.js';
import { SeededRandom } from '../../src/scenario/random.js';
import { expectNothingWrong, FRAMES, read, STAMPED } from './gadget.js';

describe('letters for digits', () => {
  const whole = read(STAMPED);
  it.each([
    ['O for 0', /0/g, 'O'],
    ['l for 1', /1/g, 'l'],
    ['I for 1', /1/g, 'I'],
  ])('are digits where nothing else can stand: %s', (_name, digit, letter) => {
    const { registers, trace, code, bugLine, message, notes } = read(
      STAMPED.map((line) => line.replaceAll(digit, letter)),
    );
    expect(notes.join()).toContain('letters stand where only digits can');
    for (const [name, value] of registers) expect([name, value]).toEqual([name, whole.registers.get(name)]);
    for (const { symbol, offset, size } of trace)
      expect([symbol, offset, size]).toEqual(
        whole.trace.filter((one) => one.symbol === symbol).flatMap((one) => [one.symbol, one.offset, one.size]),
      );
    expect(trace.map(({ symbol }) => symbol)).toEqual(FRAMES);
    expect([whole.code, null]).toContain(code);
    expect([whole.bugLine, null]).toContain(bugLine);
    expect(message?.canonical).toBe(whole.message?.canonical);
  });

  it('leave the size of a function open where they are none', () => {
    const { trace } = read(STAMPED.map((line) => line.replace('gadget_read+0x52/0x90', 'gadget_read+0x52/0x9S')));
    expect(trace.find(({ symbol }) => symbol === 'gadget_read')).toMatchObject({ offset: 0x52, size: null });
  });
});

describe('blanks that are missing', () => {
  it('between bytes of code are put back, since each has two digits', () => {
    expectNothingWrong(read(STAMPED.map((line) => line.replace('c7 f0 6b 1b', 'c7f06b 1b'))), false);
    const odd = read(STAMPED.map((line) => line.replace('c7 f0 6b 1b', 'c7f 06b 1b')));
    expect([odd.code, odd.notes.join()]).toEqual([null, expect.stringContaining('the code is broken')]);
  });
});

describe('two crashes whose lines stand mixed', () => {
  const texts = STAMPED.map((line) => line.slice('[  761.838900] '.length));
  const others = texts.map((line) =>
    line
      .replace("'gadget_cache' (offset 24, size 320)", "'widget_cache' (offset 8, size 136)")
      .replace('CPU: 3 PID: 771 Comm: gadgetd', 'CPU: 1 PID: 993 Comm: widgetd')
      .replace(/([\da-f])(?=[\da-f]{0,3} (?:R|EFLAGS))/g, '7')
      .replace('gadget_read+0x52/0x90 [gadget]', 'widget_read+0x40/0x70 [gadget]'),
  );
  const CRASHES = [
    { comm: 'gadgetd', cpu: 3, pid: 771, cache: 'gadget_cache', caller: 'gadget_read', lines: texts },
    { comm: 'widgetd', cpu: 1, pid: 993, cache: 'widget_cache', caller: 'widget_read', lines: others },
  ] as const;

  it.each([
    ['without ids of their callers', ['', '']],
    ['with them', ['[  T771]', '[  T993]']],
    ["with their CPUs'", ['[    C3]', '[    C1]']],
  ])('give each report what is its own, or say so: %s', (_name, ids) => {
    const random = new SeededRandom(1988);
    for (let round = 0; round < 300; round++) {
      const at = [0, 0];
      const mixed: string[] = [];
      while (at.some((index, crash) => index < CRASHES[crash]!.lines.length)) {
        const left = [0, 1].filter((crash) => at[crash]! < CRASHES[crash]!.lines.length);
        const crash = left[random.below(left.length)]!;
        for (let more = 1 + random.below(5); more > 0 && at[crash]! < CRASHES[crash]!.lines.length; more--)
          mixed.push(`[  100.${100_000 + mixed.length}]${ids[crash]} ${CRASHES[crash]!.lines[at[crash]!++]}`);
      }
      for (const report of parseReports(`${mixed.join('\n')}\n`)) {
        if (report.mixed || report.notes.some((note) => /two (?:crashes|CPUs)/.test(note))) continue;
        const own = CRASHES.find(({ cache }) => cache === report.message?.cache);
        if (own === undefined) continue;
        const where = mixed.join('\n');
        for (const field of ['comm', 'cpu', 'pid'] as const)
          expect([own[field], null], `${field} of ${where}`).toContain(report[field]);
        const foreign = CRASHES.find((crash) => crash !== own)!.caller;
        expect(
          report.trace.map(({ symbol }) => symbol),
          where,
        ).not.toContain(foreign);
        expect(ids[0] === '' || report.trace.length === FRAMES.length, where).toBe(true);
      }
    }
  });
});
