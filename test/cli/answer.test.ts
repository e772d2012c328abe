import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Answer, AnswerPrinter, type Forms, markdownOf, printAnswer } from '../../src/cli/answer.js';
import { negative, negativesIn } from '../../src/cli/output.js';
import { program } from '../../src/cli/program.js';
import { colours } from '../../src/terminal.js';
import { usercopy } from './usercopy.js';

/** What Python's csv module reads: rows of cells, an empty row for an empty line. */
function readCsv(text: string): string[][] {
  const script = 'import csv, json, sys; print(json.dumps(list(csv.reader(sys.stdin))))';
  const { stdout, stderr } = spawnSync('python3', ['-c', script], { input: text, encoding: 'utf8' });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as string[][];
}

describe('an answer', () => {
  let out = '';
  let err = '';
  beforeEach(() => {
    [out, err] = ['', ''];
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += text;
      return true;
    });
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      err += text;
      return true;
    });
  });
  afterEach(() => vi.restoreAllMocks());

  const cells = [
    ['slab: "whole"', colours.red('NO')],
    ['a|b *c* <i>, __x__', 'two\nlines'],
    ['=1+1', '-8'],
  ];
  const answer: Answer = {
    json: () => '{}',
    parts: () => [
      { heading: 'x86_64, kernel 6.1' },
      undefined,
      'note: one\n  note: two',
      { head: ['case', 'said'], rows: cells, about: { variant: 'x86_64' } },
    ],
    next: 'usercopy run case.yaml',
  };
  const printed = (forms: Forms): string => {
    printAnswer(forms, answer);
    return out;
  };

  it('is JSON and nothing else', () => {
    expect(printed({ json: true })).toBe('{}\n');
  });

  it('is text, with the next step as its last line', () => {
    expect(printed({}).split('\n').slice(0, 3)).toEqual(['x86_64, kernel 6.1', 'note: one', '  note: two']);
    expect(out).toMatch(/\nnext: usercopy run case\.yaml\n$/);
  });

  it('is CSV as other programs read it, with what the heading says in columns; sentences go to standard error', () => {
    const [head, ...rows] = readCsv(printed({ csv: true }));
    expect(head).toEqual(['variant', 'case', 'said']);
    expect(rows).toEqual([
      ['x86_64', 'slab: "whole"', 'NO'],
      ['x86_64', 'a|b *c* <i>, __x__', 'two\nlines'],
      // No spreadsheet runs it; a number stays one.
      ['x86_64', "'=1+1", '-8'],
    ]);
    expect(err).toBe('note: one\nnote: two\n');
  });

  it('is CSV with one head for tables of the same columns, and an empty line before others', () => {
    const printer = new AnswerPrinter({ csv: true });
    printer.print(answer);
    printer.print({ json: () => '', parts: () => [...answer.parts(), { head: ['other'], rows: [] }] });
    const rows = readCsv(out);
    expect(rows).toHaveLength(1 + 2 * cells.length + 2);
    expect(rows.slice(-2)).toEqual([[], ['other']]);
  });

  it('is Markdown, in which no cell is taken for markup', () => {
    const lines = printed({ markdown: true }).trimEnd().split('\n');
    expect(lines.slice(0, 5)).toEqual(['### x86_64, kernel 6.1', '', 'note: one\\', '  note: two', '']);
    const rows = lines.slice(5).map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    );
    expect(rows[0]).toEqual(['case', 'said']);
    expect(rows[1]!.every((cell) => /^-+$/.test(cell))).toBe(true);
    expect(rows.slice(2)).toEqual([
      ['slab: "whole"', 'NO'],
      ['a\\|b \\*c\\* \\<i\\>, \\_\\_x\\_\\_', 'two<br>lines'],
      ['=1+1', '-8'],
    ]);
  });

  it('has no line of its own in a heading of Markdown', () => {
    expect(markdownOf({ heading: '\nOur check: ns a verdict' })).toBe('### Our check: ns a verdict');
    expect(markdownOf({ heading: 'case.yaml: one\nx86_64, kernel 6.1' })).toBe(
      '### case.yaml: one<br>x86_64, kernel 6.1',
    );
  });

  it('has no formula in CSV, whatever a name begins with; negative numbers stay numbers', () => {
    const names = ["-2+3+cmd|' /C calc'!A0", '-8 (18446744073709551608)', '-1.5', '@x'];
    printAnswer(
      { csv: true },
      { json: () => '', parts: () => [{ head: ['name'], rows: names.map((name) => [name]) }] },
    );
    expect(readCsv(out).slice(1)).toEqual([[`'${names[0]}`], [names[1]], [names[2]], [`'${names[3]}`]]);
  });
});

describe('a number that the kernel prints as an unsigned one', () => {
  it.each([
    [18446744073709551608n, 64, -8n],
    [4294967288n, 32, -8n],
    [4294967288n, 64, null],
    [499712n, 64, null],
    [0n, 32, null],
    // Two pointer tags apart, and no negative number.
    [0x0f00000000001000n, 64, null],
  ])('%s of %i bits means %s', (value, bits, meant) => {
    expect(negative(value, bits)).toBe(meant);
  });

  it('is told beside the line of the kernel, which stays as it is', () => {
    const line = 'from process stack (offset 18446744073709551608, size 32)!';
    expect(negativesIn(line, 64)).toBe('offset -8');
    expect(negativesIn(line, 32)).toBe('');
  });
});

describe('every verb', () => {
  const commands = (command: Command, path = ''): [string, Command][] => [
    [path, command],
    ...command.commands.flatMap((child) => commands(child, `${path} ${child.name()}`.trim())),
  ];

  it('has a help of 80 columns that ends in two examples at least, each of which names a verb', async () => {
    const all = commands(await program('0'));
    expect(all.length).toBeGreaterThan(15);
    const names = all.map(([path]) => path);
    for (const [path, command] of all) {
      let help = '';
      command.configureOutput({
        writeOut: (text) => {
          help += text;
        },
      });
      command.outputHelp();
      // Command lines are there to be copied, and stay whole; `# …` behind one is a part of it.
      const sentences = help.split('\n').filter((line) => !line.startsWith('  $ '));
      for (const line of sentences) expect(line.length, `usercopy ${path} --help: ${line}`).toBeLessThanOrEqual(80);
      const [, examples = ''] = /\nExamples:\n((?: {2}\$ .*\n)+)$/.exec(help) ?? [];
      const lines = examples.split('\n').filter((line) => line !== '');
      expect(lines.length, `usercopy ${path} --help`).toBeGreaterThanOrEqual(2);
      for (const line of lines) {
        const verbs = [...line.matchAll(/\busercopy ([a-z]+)/g)].map(([, verb]) => verb!);
        expect(verbs.length, line).toBeGreaterThan(0);
        for (const verb of verbs) expect(names, line).toContain(verb);
      }
    }
  });

  it('that prints a table does it by printAnswer, and so has Markdown and CSV beside JSON', async () => {
    const files = readdirSync(new URL('../../src/cli', import.meta.url), 'utf8').filter((name) => name.endsWith('.ts'));
    const text = (name: string) => readFileSync(new URL(`../../src/cli/${name}`, import.meta.url), 'utf8');
    expect(files.filter((name) => text(name).includes("from './table.js'"))).toEqual(['answer.ts']);
    for (const name of files.filter((file) => /from 'cli-table3'/.test(text(file)))) expect(name).toBe('table.ts');
    const flags = commands(await program('0')).map(([path, command]) => [
      path,
      command.options.map(({ long }) => long).filter((long) => long === '--markdown' || long === '--csv'),
    ]);
    const having = flags.filter(([, found]) => found!.length === 2).map(([path]) => path);
    expect(having).toEqual(
      expect.arrayContaining(['run', 'triage', 'kernel list', 'kernel symbols', 'arch', 'bench', 'profiles', 'doctor']),
    );
  });

  it('says the same in JSON and in CSV', () => {
    const profiles = JSON.parse(usercopy(['profiles', '--json']).out).profiles as { name: string; kernels: string }[];
    const { out, err, status } = usercopy(['profiles', '--csv']);
    expect(status).toBe(0);
    expect(err).toMatch(/^not read: /);
    const rows = readCsv(out);
    expect(
      rows.slice(
        0,
        rows.findIndex((row) => row.length === 0),
      ),
    ).toEqual([['profile', 'kernels'], ...profiles.map(({ name, kernels }) => [name, kernels])]);
  });

  it('has one form at a time', () => {
    const { status, err } = usercopy(['profiles', '--csv', '--json']);
    expect(status).toBe(2);
    expect(err).toMatch(/'--json' cannot be used with option '--csv'/);
  });

  it.each([
    [['zzz', '--help']],
    [['help', 'zzz']],
    [['zzz', '--version']],
    [['kernel', 'zzz', '--help']],
    [['kernel', 'help', 'zzz']],
  ])('%j is an error, also where help is asked for', (args) => {
    const { status, out, err } = usercopy(args);
    expect(err).toMatch(/^usercopy: unknown command 'zzz'/);
    expect(out).toBe('');
    expect(status).toBe(2);
  });
});
