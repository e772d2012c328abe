import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../../src/paths.js';
import { usercopy } from '../../cli/usercopy.js';
import { python, unicornEnvironment, unicornsHere } from '../../places.js';
import { buildSteps, play, runProgram } from './machine.js';

const folder = mkdtempSync(join(tmpdir(), 'snapshot-'));
const [scenario, guest, prepared] = ['case.yaml', 'guest', 'attach.json'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
const [realMode, realModeGuest] = [join(folder, 'real-mode.yaml'), join(folder, 'real-mode')];
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(() => {
  writeFileSync(
    scenario,
    `guest: { variant: x86_64, build: nocheck, profile: "6.1", ram: 0x1800000 }
objects: { victim: { result: { call: kmalloc(64), size: 64 } } }
steps: [{ call: "do_copy(user, victim, 64, 1)" }]
`,
  );
  const written = usercopy(['run', scenario, '--snapshot', guest, '--call', 'do_copy(user, victim, 65, 1)']);
  expect([written.err, written.status]).toEqual(['', 0]);
  writeFileSync(realMode, readFileSync(scenario, 'utf8').replace('x86_64', 'ppc64le'));
  const ofPowerpc = usercopy(['run', realMode, '--snapshot', realModeGuest, '--call', 'do_copy(user, victim, 64, 1)']);
  expect([ofPowerpc.err, ofPowerpc.status]).toEqual(['', 0]);
  const made = usercopy(['prepare', scenario, '-o', prepared]);
  expect([made.err, made.status]).toEqual(['', 0]);
});

describe.each(unicornsHere)('a guest that was written down, with libunicorn $version', (build) => {
  it('is loaded, judged and put back by a harness in Python', () => {
    const environment = unicornEnvironment(build);
    environment['PYTHONPATH'] = `${packageFile('python')}:${environment['PYTHONPATH']}`;
    const script = packageFile('test/attach/library/check_snapshot.py');
    const { stdout, stderr, status } = runProgram(python(), [script, prepared, guest], '', environment);
    expect(stderr).toBe('');
    const claims = stdout.trim().split('\n');
    expect(claims.filter((claim) => !claim.endsWith(': yes'))).toEqual([]);
    expect(claims.length).toBeGreaterThan(35);
    expect(status).toBe(0);
  });

  it('of ppc64le is loaded with its real mode, in which all of its memory can be reached', () => {
    const environment = unicornEnvironment(build);
    environment['PYTHONPATH'] = [
      ...[packageFile('python'), packageFile('test/attach/library')],
      environment['PYTHONPATH'],
    ].join(':');
    const script = `
import sys
from machines import Standing
standing = Standing('ppc64le', sys.argv[1])
victim, end = standing.guest.place('victim')
print(standing.guest.unknown_registers, end - victim, standing.run(victim), standing.has_returned)
`;
    const { stdout, stderr, status } = runProgram(python(), ['-c', script, realModeGuest], '', environment);
    expect([stderr, stdout.trim(), status]).toEqual(['', '[] 64 0 True', 0]);
  });

  it('is loaded by a harness in C, which may free it before the emulator is closed', () => {
    const lines = play(buildSteps(build, folder), build, [`snapshot ${guest}`]);
    expect(lines).toEqual(['snapshot ran: 0', 'restored: 0', 'closed: 0']);
  });
});
