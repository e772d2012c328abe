import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usercopy } from './usercopy.js';

const folder = mkdtempSync(join(tmpdir(), 'sanitize-'));
const scenario = join(folder, 'case.yaml');
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() =>
  writeFileSync(
    scenario,
    `guest: { variant: x86_64, profile: "6.1", ram: 0x1800000 }
objects:
  gone: { result: { call: kmalloc(64), size: 64 } }
  kept: { result: { call: kmalloc(64), size: 64 } }
  freeing: { result: { call: kfree(gone), size: 1 } }
steps:
  - { name: use after free, call: "do_copy(user, gone, 64, 1)" }
  - { name: in use, call: "do_copy(user, kept, 64, 1)" }
  - { name: too long, call: "do_copy(user, gone, 65, 1)", expect: { outcome: bad } }
`,
  ),
);

describe('usercopy run --sanitize', () => {
  it('tells of free objects in lines of its own, and by the exit status', () => {
    const { out, err, status } = usercopy(['run', scenario, '--sanitize', 'freed,redzone']);
    expect([err, status]).toEqual(['', 1]);
    const lines = out.split('\n').filter((line) => line.includes('sanitizer freed'));
    expect(lines).toEqual([expect.stringMatching(/^use after free: sanitizer freed: .*free object: .* of kmalloc-64/)]);
    expect(out).toContain('sanitizers: 2 copies looked at: 1 of objects in use, 1 of free ones');
    expect(out).not.toContain('usercopy: Kernel memory');
  });

  it('has them apart in JSON: what the two checks say is the same', () => {
    const { out, status } = usercopy(['run', scenario, '--sanitize', 'freed', '--json']);
    const run = JSON.parse(out);
    expect([status, run.ok]).toEqual([1, false]);
    const rows = run.rows.map((row: Record<string, unknown>) => [row['identical'], row['outcome'], row['unmet']]);
    expect(rows).toEqual([
      [true, 'good', []],
      [true, 'good', []],
      [true, 'bad', []],
    ]);
    const found = run.rows.map((row: { findings: { sanitizer: string; copy: unknown }[] }) => row.findings.length);
    expect(found).toEqual([1, 0, 0]);
    expect(run.rows[0].findings[0]).toMatchObject({ sanitizer: 'freed', copy: { size: 64, direction: 'to_user' } });
    expect(run.sanitizers).toEqual({
      looks: 2,
      elsewhere: 0,
      allocated: 1,
      freed: 1,
      redzone: 0,
      unknown: 0,
      unknownBy: {},
    });
  });

  it('is not there unless it is asked for', () => {
    const { out, status } = usercopy(['run', scenario, '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ ok: true, sanitizers: null });
  });

  it.each([
    [['run', scenario, '--sanitize', 'leaks'], /names among freed, redzone, a comma between, found 'leaks'/],
    [['run', 'own', '--sanitize', 'freed'], /run own: .*found --sanitize/],
  ])('is refused in a sentence: %j', (args, message) => {
    const { out, err, status } = usercopy(args);
    expect([out, status]).toEqual(['', 2]);
    expect(err).toMatch(message);
  });
});
