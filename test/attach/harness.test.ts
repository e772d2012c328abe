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

const library = packageFile('build/Release/libusercopy.so');
const folder = mkdtempSync(join(tmpdir(), 'harness-'));
const prepared = join(folder, 'attach.json');
afterAll(() => rmSync(folder, { recursive: true }));

const run = (program: string, args: readonly string[]) =>
  spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });

/** A Python whose Unicorn is the libunicorn that libusercopy is linked with, or null. */
function pythonWithUnicorn(): string | null {
  const found = ['/usr/bin/python3', 'python3'].find((python) => run(python, ['-c', 'import unicorn']).status === 0);
  return found ?? null;
}

const unicornInclude = ['/usr/include', packageFile('.cache/libunicorn/root/usr/include')].find((path) =>
  existsSync(join(path, 'unicorn/unicorn.h')),
);

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

  it('in C stops before the bad copy, judges it once, and goes on', (context) => {
    if (unicornInclude === undefined) return context.skip('the headers of libunicorn are not here');
    const program = join(folder, 'harness');
    const built = run('cc', [
      ...['-Wall', '-Wextra', '-Werror', '-I', packageFile('native'), '-I', unicornInclude],
      packageFile('examples/harness/harness.c'),
      ...['-o', program, library, `-Wl,-rpath,${packageFile('build/Release')}`],
      ...[`-L${join(unicornInclude, '../lib/x86_64-linux-gnu')}`, '-lunicorn'],
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

  it('in Python says the same', (context) => {
    const python = pythonWithUnicorn();
    if (python === null) return context.skip('no Python with unicorn (Debian: python3-unicorn)');
    const { stdout, stderr } = run(python, [packageFile('examples/harness/harness.py'), library, prepared]);
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n')).toEqual(['64 bytes: ended at 0x100ff0', REFUSAL, '65 bytes: ended at 0x100000']);
  });

  it("judges a kernel's own structures, and names the cache that it finds there", async (context) => {
    const python = pythonWithUnicorn();
    if (python === null) return context.skip('no Python with unicorn (Debian: python3-unicorn)');
    const guest = await startOwnGuest(await loadOwnKernel('x86_64', 'nocheck'));
    try {
      const object = await guest.callForValue('kmalloc', [64n]);
      const attachment = await attach(guest.engine, guest.kernel, { profile: '6.1', memory: guest.check });
      await guest.call('do_copy', [guest.user.address, object + 8n, 57n, 0n]);
      attachment.detach();
      writeSnapshot(guest.engine, guest.variant, folder);
      const kernel = join(folder, 'kernel.json');
      writeFileSync(kernel, JSON.stringify(await prepareHarness(guest.kernel, { profile: '6.1' })));
      const { stdout, stderr } = run(python, [packageFile('examples/harness/snapshot.py'), library, kernel, folder]);
      expect(stderr).toBe('');
      expect(stdout.trim()).toBe(
        "usercopy: Kernel memory overwrite attempt detected to SLUB object 'kmalloc-64' (offset 8, size 57)!",
      );
      expect(attachment.violations[0]?.message).toBe(stdout.trim());
    } finally {
      guest.close();
    }
  });

  it('refuses a text that was not prepared for it, in one sentence', (context) => {
    const python = pythonWithUnicorn();
    if (python === null) return context.skip('no Python with unicorn (Debian: python3-unicorn)');
    const refuse = (name: string, text: string): string => {
      const path = join(folder, name);
      writeFileSync(path, text);
      const { stderr, stdout, status } = run(python, [packageFile('examples/harness/harness.py'), library, path]);
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
