import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attach } from '../../src/attach/attach.js';
import { prepareHarness } from '../../src/attach/harness.js';
import { writeSnapshot } from '../../src/guest/snapshot.js';
import { packageFile } from '../../src/paths.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';
import { python, unicornBuild, unicornEnvironment, unicornInUse } from '../places.js';

const library = packageFile('build/Release/libusercopy.so');
const folder = mkdtempSync(join(tmpdir(), 'harness-'));
const prepared = join(folder, 'attach.json');
afterAll(() => rmSync(folder, { recursive: true }));

const run = (program: string, args: readonly string[]) =>
  spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });

/** The libunicorn that libusercopy is linked with, its binding and a Python to run it. */
const unicorn = unicornInUse();
const environment = unicornEnvironment(unicornBuild(unicorn.version));
const runPython = (script: string, args: readonly string[]) =>
  spawnSync(python(), [packageFile(script), ...args], { encoding: 'utf8', timeout: 60_000, env: environment });

/** From the message's own definition: an object of 64 bytes, 65 of them asked for. */
const REFUSAL =
  "usercopy: Kernel memory exposure attempt detected from SLUB object 'packet_buffers' (offset 0, size 65)!";

describe.skipIf(!existsSync(library))('a harness outside Node (libusercopy)', () => {
  beforeAll(() => {
    const cli = packageFile('build/js/src/cli/main.js');
    const scenario = packageFile('examples/harness/firmware.yaml');
    const { status, stderr } = run(process.execPath, [
      ...[cli, 'prepare', scenario, '--symbol', '_copy_to_user=0x100000', '-o', prepared],
    ]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  it('in C stops before the bad copy, judges it once, and goes on', () => {
    const program = join(folder, 'harness');
    const built = run('cc', [
      ...['-Wall', '-Wextra', '-Werror', '-I', packageFile('native'), '-I', unicorn.include],
      packageFile('examples/harness/harness.c'),
      ...['-o', program, library, `-Wl,-rpath,${packageFile('build/Release')}`],
      ...[unicorn.library, `-Wl,-rpath,${unicorn.lib}`],
    ]);
    expect(built.stderr).toBe('');
    const { stdout, status } = run(program, [prepared]);
    expect(stdout.trim().split('\n')).toEqual([
      '64 bytes: ended at 0x100ff0',
      REFUSAL,
      '  at _copy_to_user, object of packet_buffers: [0x200040, 0x200080)',
      '65 bytes: ended at 0x100000',
      'going on all the same: ended at 0x100ff0',
      '2 copies judged, 1 refused',
    ]);
    expect(status).toBe(0);
  });

  it('in Python says the same', () => {
    const { stdout, stderr } = runPython('examples/harness/harness.py', [library, prepared]);
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n')).toEqual(['64 bytes: ended at 0x100ff0', REFUSAL, '65 bytes: ended at 0x100000']);
  });

  it("judges a kernel's own structures, and names the cache that it finds there", async () => {
    const guest = await startOwnGuest(await loadOwnKernel('x86_64', 'nocheck'));
    try {
      const object = await guest.callForValue('kmalloc', [64n]);
      const attachment = await attach(guest.engine, guest.kernel, { profile: '6.1', memory: guest.check });
      await guest.call('do_copy', [guest.user.address, object + 8n, 57n, 0n]);
      attachment.detach();
      writeSnapshot(guest.engine, guest.variant, folder);
      const kernel = join(folder, 'kernel.json');
      writeFileSync(kernel, JSON.stringify(await prepareHarness(guest.kernel, { profile: '6.1' })));
      const { stdout, stderr } = runPython('examples/harness/snapshot.py', [library, kernel, folder]);
      expect(stderr).toBe('');
      expect(stdout.trim()).toBe(
        "usercopy: Kernel memory overwrite attempt detected to SLUB object 'kmalloc-64' (offset 8, size 57)!",
      );
      expect(attachment.violations[0]?.message).toBe(stdout.trim());
    } finally {
      guest.close();
    }
  });

  it('refuses a text that was not prepared for it, in one sentence', () => {
    const refuse = (name: string, text: string): string => {
      const path = join(folder, name);
      writeFileSync(path, text);
      const { stderr, stdout, status } = runPython('examples/harness/harness.py', [library, path]);
      expect([stdout, status]).toEqual(['', 1]);
      return stderr.trim();
    };
    const good = JSON.parse(readFileSync(prepared, 'utf8'));
    expect(refuse('a', 'no json')).toMatch(/^usercopy_attach: .*parse error/);
    expect(refuse('b', '{}')).toMatch(/^usercopy_attach: .*usercopyHarness/);
    expect(refuse('c', JSON.stringify({ ...good, digest: '' }))).toMatch(/prepare it again/);
    const strange = { ...good, entries: [{ ...good.entries[0], registers: ['x99'] }] };
    expect(refuse('d', JSON.stringify(strange))).toMatch(/expected a register.*found x99/);
    const outside = { ...good, entries: [{ ...good.entries[0], request: 2 ** 31 }] };
    expect(refuse('e', JSON.stringify(outside))).toMatch(/request: expected one inside the memory/);
  });
});
