/**
 * Real dumps, shrunk (test/fixtures/dumps/README.md). The judge is the line that each kernel wrote to its own log, and what
 * the module that made the copy said about it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import type { Copy } from '../../src/check/verdict.js';
import type { Reproduction } from '../../src/diagnosis/outcome.js';
import { packageFile } from '../../src/paths.js';
import { examineDump } from '../../src/repro/examine-dump.js';
import { randomNumbers } from '../dump/core-builder.js';

const FIXTURES = packageFile('test/fixtures/dumps');
const MESSAGES: Record<string, { message: string | null }> = JSON.parse(
  readFileSync(join(FIXTURES, 'messages.json'), 'utf8'),
);
const scratch = mkdtempSync(join(tmpdir(), 'usercopy-shrunk-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const unpack = (name: string): Buffer => gunzipSync(readFileSync(join(FIXTURES, name)));

function write(bytes: Uint8Array, name = 'dump'): string {
  const path = join(scratch, name);
  writeFileSync(path, bytes);
  return path;
}

const examine = async (dump: string, shrink?: { path: string; redact: boolean }): Promise<Reproduction> => {
  const input = { dump, registers: null, ...(shrink ? { shrink } : {}) };
  const question = { input, copy: null, report: null, replay: true };
  return (await examineDump(question, { withoutEmulator: null })).reproduction;
};

describe('a shrunk dump', () => {
  it('is there for every message', () => {
    const files = readdirSync(FIXTURES).filter((file) => file.endsWith('.gz'));
    expect(files.sort()).toEqual(Object.keys(MESSAGES).sort());
  });

  for (const [name, { message }] of Object.entries(MESSAGES)) {
    it(`${name} gives the kernel's own message, checked and replayed, without its image`, async () => {
      const found = await examine(write(unpack(name)));
      expect(found.outcome).toBe(message === null ? 'clean' : 'identical');
      expect(found.check?.message).toBe(message);
      expect(found.replay?.message).toBe(message);
      expect(found.explanation.lines.filter((line) => line.startsWith('note:'))).toEqual([]);
    });
  }

  it('shrinks to itself: the same findings again, and no more pages', async () => {
    const whole = unpack('x86_64-6.1.UCX_TASK.vmcore.gz');
    const path = write(whole, 'whole');
    const smaller = join(scratch, 'smaller');
    const first = await examine(path, { path: smaller, redact: true });
    expect(await examine(smaller)).toEqual(first);
    expect(readFileSync(smaller).length).toBeLessThanOrEqual(whole.length);
  });

  it('tells the members that a copy of a task name covers: the module copied task_struct.comm', async () => {
    const { explanation } = await examine(write(unpack('x86_64-6.1.UCX_TASK.vmcore.gz')));
    expect(explanation.field).toMatchObject({ struct: 'task_struct', first: 'comm[0]', last: 'comm[15]' });
    expect(explanation.object).toMatchObject({ cache: 'task_struct', state: 'allocated' });
  });

  it('tells callers of the copy that the CPU stands at, and of no other', async () => {
    const input = { dump: write(unpack('x86_64-6.1.UCX_TASK.vmcore.gz')), registers: null };
    const ask = async (copy: Copy | null) => {
      const { reproduction } = await examineDump(
        { input, copy, report: null, replay: false },
        { withoutEmulator: null },
      );
      return { copy: reproduction.copy, calls: reproduction.explanation.surroundings?.calls ?? [] };
    };
    const { copy, calls } = await ask(null);
    expect(calls.length).toBeGreaterThan(0);
    const { pointer, size, direction } = copy;
    if (pointer === null || size === null || direction === null) throw new RangeError('no copy');
    expect((await ask({ pointer, size, direction })).calls).toEqual(calls);
    const other = direction === 'to_user' ? 'from_user' : 'to_user';
    expect((await ask({ pointer: pointer + 8n, size, direction })).calls).toEqual([]);
    expect((await ask({ pointer, size: size + 1n, direction })).calls).toEqual([]);
    expect((await ask({ pointer, size, direction: other })).calls).toEqual([]);
  });

  it('tells a freed object: the module copied from one after kfree()', async () => {
    const { explanation } = await examine(write(unpack('x86_64-6.1.UCX_FREED.vmcore.gz')));
    expect(explanation.object).toMatchObject({ cache: 'kmalloc-512', size: 512n, state: 'free' });
    expect(explanation.surroundings?.outside).toEqual({ before: 0n, after: 8n });
  });

  it('tells whose stack a copy ran over', async () => {
    const { explanation } = await examine(write(unpack('x86_64-6.1.UCX_STACK_OVER.vmcore.gz')));
    expect(explanation.surroundings?.stack).toMatchObject({ comm: 'init', pid: 1 });
  });

  it('is drawn as one page that asks for nothing from elsewhere', async () => {
    const dump = write(unpack('x86_64-6.1.UCX_FREED.vmcore.gz'));
    const html = join(scratch, 'page.html');
    const question = { input: { dump, registers: null, html }, copy: null, report: null, replay: true };
    await examineDump(question, { withoutEmulator: null });
    const page = readFileSync(html, 'utf8');
    expect(page).toContain('SLUB object &#39;kmalloc-512&#39; (offset 8, size 512)!');
    expect(page).toContain('<svg');
    expect(page).not.toMatch(/<script|https?:|src=|@import|url\(/i);
    // The copy is 512 bytes from offset 8: 8 of them, in the row of the next object, are not allowed.
    const row = page.split('\n').find((line) => line.startsWith('ff114b8382928400'))!;
    expect(row.match(/class="out">[0-9a-f]{2}</g)).toHaveLength(8);
  });

  it('and whose note says something else is judged or refused, and never anything else', async () => {
    const random = randomNumbers(3);
    const whole = unpack('x86_64-6.1.UCX_GOOD.vmcore.gz');
    const start = whole.indexOf('{"version":1');
    const end = whole.indexOf(0, start);
    const note = whole.toString('utf8', start, end);
    const junk = [null, 0, -1, 1e300, 'x', '~1', '0x', [], {}, true, '0xffffffffffffffff', '-0x1'];
    for (let round = 0; round < 150; round++) {
      const value = JSON.parse(note);
      const places: [Record<string, unknown>, string][] = [];
      const walk = (part: unknown): void => {
        if (typeof part !== 'object' || part === null) return;
        for (const key of Object.keys(part)) {
          places.push([part as Record<string, unknown>, key]);
          walk((part as Record<string, unknown>)[key]);
        }
      };
      walk(value);
      // Small structures are met as often as the thousands of fields: by depth first, then anywhere.
      const [target, key] = places[random() % (round % 3 === 0 ? 40 : places.length)]!;
      if (random() % 4 === 0) delete target[key];
      else target[key] = junk[random() % junk.length];
      const text = JSON.stringify(value);
      if (text.length > note.length) continue;
      const bytes = Buffer.from(whole);
      bytes.fill(0x20, start, end);
      bytes.write(text, start, 'utf8');
      const question = { input: { dump: write(bytes), registers: null }, copy: null, report: null, replay: true };
      try {
        await examineDump(question, { withoutEmulator: 'not asked for here' });
      } catch (error) {
        expect((error as Error).name, `round ${round}, ${key}: ${(error as Error).stack}`).toBe('UsercopyError');
      }
    }
  });

  it('and is damaged is judged or refused, and never anything else', async () => {
    const random = randomNumbers(7);
    const whole = unpack('x86_64-6.1.UCX_GOOD.vmcore.gz');
    for (let round = 0; round < 60; round++) {
      const bytes = Buffer.from(whole);
      for (let count = 1 + (random() % 6); count > 0; count--) {
        bytes[random() % (random() % 2 === 0 ? 16_384 : bytes.length)] = random() & 0xff;
      }
      const path = write(bytes.subarray(0, random() % 6 === 0 ? random() % bytes.length : bytes.length));
      const question = { input: { dump: path, registers: null }, copy: null, report: null, replay: true };
      try {
        await examineDump(question, { withoutEmulator: 'not asked for here' });
      } catch (error) {
        expect((error as Error).name, `round ${round}: ${(error as Error).stack}`).toBe('UsercopyError');
      }
    }
  });
});
