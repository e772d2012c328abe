/** Processes that work for another one: what they answer, how their end is told, and that they never outlive it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { askChild, Child } from '../src/child.js';
import { packageFile } from '../src/paths.js';

const directory = mkdtempSync(join(tmpdir(), 'usercopy-child-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const built = (name: string): string => pathToFileURL(packageFile(`build/js/src/${name}.js`)).href;

function program(name: string, text: string): string {
  const path = join(directory, `${name}.mjs`);
  writeFileSync(path, text);
  return path;
}

/** Does what its question says. */
const WORKER = program(
  'worker',
  `import { answerQuestions } from '${built('child')}';
   import { UsercopyError } from '${built('errors')}';
   answerQuestions(async (question, tell) => {
     if (question === 'pid') return process.pid;
     if (question === 'tell') { await tell('first'); await tell('second'); return 2n ** 63n; }
     if (question === 'refuse') throw new UsercopyError('unsupported', 'not here');
     if (question === 'fail') throw new TypeError('oops');
     if (question === 'exit') process.exit(3);
     if (question === 'die') { await tell('dying'); process.kill(process.pid, 'SIGSEGV'); }
     if (question === 'hang') { await tell(process.pid); for (;;); }
   });`,
);

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function isGone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 200 && isAlive(pid); tries++) await new Promise((resolve) => setTimeout(resolve, 50));
  return !isAlive(pid);
}

describe('a child', () => {
  it('answers questions one after the other, and tells events before the answer', async () => {
    const child = new Child<string, string, unknown>(WORKER);
    const events: string[] = [];
    const onEvent = (event: string): undefined => void events.push(event);
    expect(await child.ask('tell', { onEvent })).toEqual({ ended: null, answer: 2n ** 63n });
    expect(events).toEqual(['first', 'second']);
    const { answer } = (await child.ask('pid')) as { answer: number };
    expect(isAlive(answer)).toBe(true);
    child.end();
    expect(await isGone(answer)).toBe(true);
  });

  it('hands over errors with their kind', async () => {
    await expect(askChild(WORKER, 'refuse')).rejects.toMatchObject({
      name: 'UsercopyError',
      kind: 'unsupported',
      message: 'not here',
    });
    await expect(askChild(WORKER, 'fail')).rejects.toThrow(/^oops$/);
  });

  it('that ends instead of answering says how, and what it told before is not lost', async () => {
    expect(await askChild(WORKER, 'exit')).toEqual({ ended: 'died (exit code 3)' });
    const events: string[] = [];
    const onEvent = (event: string): undefined => void events.push(event);
    expect(await askChild(WORKER, 'die', { onEvent })).toEqual({ ended: 'died (SIGSEGV)' });
    expect(events).toEqual(['dying']);
  });

  it('is ended after its limit, or after one that an event begins', async () => {
    expect(await askChild(WORKER, 'hang', { limit: 2000 })).toEqual({ ended: 'ran longer than 2 s' });
    let pid = 0;
    const onEvent = (event: number): { limit: number } => {
      pid = event;
      return { limit: 300 };
    };
    expect(await askChild(WORKER, 'hang', { onEvent })).toEqual({ ended: 'ran longer than 0.3 s' });
    expect(await isGone(pid)).toBe(true);
  });
});

/** Asks a busy child, and prints its process number; with a file for `through`, by way of a child in between. */
function parentOfBusy(): Promise<{ parent: ChildProcess; pids: number[] }> {
  const between = program(
    'between',
    `import { answerQuestions, askChild } from '${built('child')}';
     answerQuestions((question, tell) => {
       tell(process.pid);
       return askChild(${JSON.stringify(WORKER)}, 'hang', { onEvent: (pid) => void tell(pid) });
     });`,
  );
  const parent = spawn(
    process.execPath,
    [
      program(
        'parent',
        `import { askChild } from '${built('child')}';
         askChild(${JSON.stringify(between)}, '', { onEvent: (pid) => void console.log(pid) });`,
      ),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  return new Promise((resolve) => {
    let text = '';
    parent.stdout!.on('data', (chunk) => {
      text += chunk;
      const pids = text.trim().split('\n').map(Number);
      if (pids.length === 2 && text.endsWith('\n')) resolve({ parent, pids });
    });
  });
}

describe('a busy child', () => {
  it.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)(
    'and its own child end with a parent that %s ends',
    async (signal) => {
      const { parent, pids } = await parentOfBusy();
      expect(pids.every(isAlive)).toBe(true);
      parent.kill(signal);
      for (const pid of pids) expect(await isGone(pid)).toBe(true);
    },
  );

  it('ends with a parent that is a child itself and is killed', async () => {
    const { parent, pids } = await parentOfBusy();
    process.kill(pids[0]!, 'SIGKILL');
    expect(await isGone(pids[1]!)).toBe(true);
    parent.kill('SIGKILL');
  });
});
