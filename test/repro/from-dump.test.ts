/** The process that reads a dump may die or hang: what it had found is kept, and the tool lives. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { NO_EXPLANATION, type Reproduction } from '../../src/diagnosis/outcome.js';
import { judgeDump, reproduceDump } from '../../src/repro/from-dump.js';

const directory = mkdtempSync(join(tmpdir(), 'usercopy-repro-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const KNOWN: Reproduction = {
  outcome: 'unknown',
  variant: 'x86_64',
  profile: '6.1',
  kernel: '6.1.0-1',
  copy: {
    pointer: 1n << 63n,
    size: 3n,
    direction: 'to_user',
    pointerFrom: 'given',
    sizeFrom: 'given',
    directionFrom: 'given',
  },
  report: null,
  check: { message: 'usercopy: …', refused: true, judged: 'dump' },
  replay: null,
  explanation: NO_EXPLANATION,
};
const EVENT = `{ kind: 'event', event: { known: { finding: { warnings: [] }, reproduction: JSON.parse(${JSON.stringify(
  JSON.stringify({ ...KNOWN, copy: null }),
)}) } } }`;

/** A program that stands in for the one that reads the dump; `on` is the body of its answer to a request. */
function standIn(name: string, on: string): string {
  const path = join(directory, `${name}.mjs`);
  writeFileSync(path, `process.once('message', ({ question, withoutEmulator }) => { ${on} });\n`);
  return path;
}

const input = { dump: '/nowhere/vmcore', registers: null };

describe('a dump whose reader', () => {
  it('dies in the replay keeps what the check said, and a note says why there is no replay', async () => {
    const child = standIn('dies', `process.send(${EVENT}, () => process.kill(process.pid, 'SIGSEGV'));`);
    const found = await reproduceDump(input, null, null, { child });
    expect(found.check).toEqual(KNOWN.check);
    expect(found.replay).toBeNull();
    expect(found.explanation.lines).toEqual(['note: no replay: the emulator died (SIGSEGV)']);
  });

  it('hangs in the replay is ended after the time limit', async () => {
    const child = standIn('hangs', `process.send(${EVENT}, () => { for (;;); });`);
    const found = await reproduceDump(input, null, null, { child, emulationLimit: 500 });
    expect(found.explanation.lines).toEqual(['note: no replay: the emulator ran longer than 0.5 s']);
  });

  it('dies before the check has said anything is asked once more, without an emulator', async () => {
    const child = standIn(
      'twice',
      `if (withoutEmulator === null) process.send({ kind: 'event', event: { known: null } }, () => process.abort());
       else process.send({ kind: 'answer', answer: { reproduction: { kernel: withoutEmulator } } });`,
    );
    expect((await reproduceDump(input, null, null, { child })).kernel).toBe('the emulator died (SIGABRT)');
  });

  it('dies in the replay still writes the files that were asked for: it is asked once more, without an emulator', async () => {
    const child = standIn(
      'writes',
      `if (withoutEmulator === null) process.send(${EVENT}, () => process.abort());
       else process.send({ kind: 'answer', answer: { reproduction: { kernel: withoutEmulator } } });`,
    );
    const found = await reproduceDump({ ...input, html: '/nowhere/page.html' }, null, null, { child });
    expect(found.kernel).toBe('the emulator died (SIGABRT)');
  });

  it('dies in the replay goes on with the copy that it had found, which may have taken an emulator', async () => {
    const child = standIn(
      'found',
      `if (question.asked !== undefined) process.send({ kind: 'answer', answer: { reproduction: { kernel: question.asked.notes[0] } } });
       else {
         const known = { finding: {}, reproduction: {}, asked: { notes: ['what the stack told'] } };
         process.send({ kind: 'event', event: { known } }, () => process.abort());
       }`,
    );
    const found = await reproduceDump({ ...input, html: '/nowhere/page.html' }, null, null, { child });
    expect(found.kernel).toBe('what the stack told');
  });

  it.each([
    ['dies too', 'process.exit(3)', /and without it: died \(exit code 3\)$/],
    [
      'cannot write',
      `process.send({ kind: 'error', error: 'bad-input', message: 'no room' })`,
      /and without it: no room$/,
    ],
  ])(
    'dies in the replay keeps what it found when the second reader %s, and says which file is not there',
    async (_, second, why) => {
      const child = standIn(
        `second-${second.length}`,
        `if (withoutEmulator === null) process.send(${EVENT}, () => process.abort()); else ${second};`,
      );
      const unwritten: string[] = [];
      const found = await reproduceDump({ ...input, html: '/nowhere/page.html' }, null, null, {
        child,
        onUnwritten: (sentence) => unwritten.push(sentence),
      });
      expect(found.check).toEqual(KNOWN.check);
      expect(unwritten).toEqual([
        expect.stringMatching(/^expected to write \/nowhere\/page\.html, but the emulator died/),
      ]);
      expect(unwritten[0]).toMatch(why);
      expect(found.explanation.lines).toEqual([
        'note: no replay: the emulator died (SIGABRT)',
        `note: ${unwritten[0]}`,
      ]);
    },
  );

  it('dies behind the first of its files names the others, and no file that is there', async () => {
    const [log, html, old] = ['dmesg.txt', 'page.html', 'old.html'].map((name) => join(directory, name));
    writeFileSync(old!, 'an earlier run');
    const child = standIn(
      'first-file',
      `import('node:fs').then(({ writeFileSync }) => {
        if (withoutEmulator !== null) process.exit(3);
        if (question.input.log) writeFileSync(question.input.log, 'a log');
        process.send(${EVENT}, () => process.abort());
      });`,
    );
    const missing = async (more: object): Promise<readonly string[]> => {
      let paths: readonly string[] = [];
      const onUnwritten = (_: string, unwritten: readonly string[]): void => {
        paths = unwritten;
      };
      const found = await judgeDump({ ...input, ...more }, null, { child, onUnwritten });
      expect(found.warnings.join()).toMatch(paths.length === 0 ? /^the emulator died/ : /expected to write/);
      return paths;
    };
    expect(await missing({ log, html })).toEqual([html]);
    expect(await missing({ html: old })).toEqual([old]);
    rmSync(log!);
    expect(await missing({ log })).toEqual([]);
  });

  it('dies while it only judges keeps the verdict, and a warning says what it lacks', async () => {
    const child = standIn('judges', `process.send(${EVENT}, () => process.kill(process.pid, 'SIGSEGV'));`);
    expect((await judgeDump(input, null, { child })).warnings).toEqual(['the emulator died (SIGSEGV)']);
  });

  it('takes too long before any code runs is ended after its own limit', async () => {
    const child = standIn('slow', 'for (;;);');
    await expect(reproduceDump(input, null, null, { child, readingLimit: 500 })).rejects.toThrow(
      /^\/nowhere\/vmcore: the process that reads it ran longer than 0.5 s$/,
    );
  });

  it('dies in any case is one sentence', async () => {
    const child = standIn('always', 'process.exit(3);');
    await expect(reproduceDump(input, null, null, { child })).rejects.toThrow(
      /^\/nowhere\/vmcore: the process that reads it died \(exit code 3\)$/,
    );
  });

  it('finds a file that is none gives the error of the reader', async () => {
    await expect(reproduceDump(input, null, null)).rejects.toMatchObject({
      name: 'UsercopyError',
      kind: 'bad-input',
      message: '/nowhere/vmcore: expected a file that can be read, found ENOENT',
    });
  });
});
