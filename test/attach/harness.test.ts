import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attach } from '../../src/attach/attach.js';
import { prepareHarness } from '../../src/attach/harness.js';
import { type HarnessFile, harnessText } from '../../src/attach/harness-file.js';
import { writeSnapshot } from '../../src/guest/snapshot.js';
import { packageFile } from '../../src/paths.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';
import { python, unicornBuild, unicornEnvironment, unicornInUse } from '../places.js';
import { warningsOf } from './library/machine.js';

const library = packageFile('build/Release/libusercopy.so');
const folder = mkdtempSync(join(tmpdir(), 'harness-'));
const prepared = join(folder, 'attach.json');
afterAll(() => rmSync(folder, { recursive: true }));

const run = (program: string, args: readonly string[]) =>
  spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });

/** The libunicorn that libusercopy is linked with, its binding and a Python to run it. */
const unicorn = unicornInUse();
const environment = unicornEnvironment(unicornBuild(unicorn.version));
environment['PYTHONPATH'] = `${packageFile('python')}:${environment['PYTHONPATH']}`;
const runPython = (script: string, args: readonly string[]) =>
  spawnSync(python(), [packageFile(script), ...args], { encoding: 'utf8', timeout: 60_000, env: environment });

/** From the message's own definition: an object of 64 bytes, 65 of them asked for. */
const REFUSAL =
  "usercopy: Kernel memory exposure attempt detected from SLUB object 'packet_buffers' (offset 0, size 65)!";

describe.skipIf(!existsSync(library))('a harness outside Node (libusercopy)', () => {
  beforeAll(() => {
    const cli = packageFile('build/cli/main.js');
    const scenario = packageFile('examples/harness/firmware.yaml');
    const { status, stderr } = run(process.execPath, [
      ...[cli, 'prepare', scenario, '--symbol', '_copy_to_user=0x100000', '-o', prepared],
    ]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  it('in C stops before the bad copy, goes on when it is told to, and judges the next one', () => {
    const program = join(folder, 'harness');
    const built = run('cc', [
      ...['-Wall', '-Wextra', '-Werror', '-I', packageFile('native'), '-I', unicorn.include],
      packageFile('examples/harness/harness.c'),
      ...['-o', program, library, `-Wl,-rpath,${packageFile('build/Release')}`],
      ...[unicorn.library, `-Wl,-rpath,${unicorn.lib}`],
    ]);
    expect(warningsOf(built.stderr)).toBe('');
    const { stdout, status } = run(program, [prepared]);
    expect(stdout.trim().split('\n')).toEqual([
      '64 bytes: ended at 0x100ff0',
      REFUSAL,
      '  BUG: bad usercopy in 0x100ff0',
      '  at _copy_to_user, object of packet_buffers: [0x200040, 0x200080)',
      '65 bytes: ended at 0x100000',
      'going on all the same: ended at 0x100ff0',
      REFUSAL,
      '  BUG: bad usercopy in 0x100ff0',
      '  at _copy_to_user, object of packet_buffers: [0x200040, 0x200080)',
      '65 bytes again: ended at 0x100000',
      '3 copies judged, 2 refused',
    ]);
    expect(status).toBe(0);
  });

  it('in Python says the same', () => {
    const { stdout, stderr } = runPython('examples/harness/harness.py', [prepared]);
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n').slice(0, 4)).toEqual([
      '64 bytes: ended at 0x100ff0',
      REFUSAL,
      '65 bytes: ended at 0x100000',
      'going on all the same: ended at 0x100ff0',
    ]);
  });

  it("judges a kernel's own structures, and names the cache that it finds there", async () => {
    const guest = await startOwnGuest(await loadOwnKernel('x86_64', 'nocheck'));
    try {
      const object = await guest.callForValue('kmalloc', [64n]);
      const attachment = await attach(guest.engine, guest.kernel, { profile: '6.1', memory: guest.check });
      await guest.call('do_copy', [guest.user.address, object + 8n, 57n, 0n]);
      attachment.detach();
      writeSnapshot(guest.engine, guest.variant, folder, {
        kernel: guest.kernel.version.release,
        places: [{ name: 'return_address', start: guest.returnAddress, end: guest.returnAddress + 1n }],
        memoryOffset: (start) => guest.memory.offsetOfRegion(start),
      });
      const kernel = join(folder, 'kernel.json');
      writeFileSync(kernel, harnessText(await prepareHarness(guest.kernel, { profile: '6.1' })));
      const { stdout, stderr } = runPython('examples/harness/snapshot.py', [kernel, folder]);
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
      const { stderr, stdout, status } = runPython('examples/harness/harness.py', [path]);
      expect([stdout, status]).toEqual(['', 1]);
      return stderr.trim();
    };
    const good = JSON.parse(readFileSync(prepared, 'utf8')).attachment as HarnessFile;
    const changed = (change: object): string => harnessText({ ...good, ...change });
    const again = '; prepare the file again';
    expect(refuse('a', 'no json')).toMatch(/expected a file of `usercopy prepare` of this version, as it was written$/);
    expect(refuse('b', changed({}).slice(0, -3))).toMatch(
      /prepared file: expected (a } at its end|its content to have)/,
    );
    expect(refuse('c', changed({ digest: 'f'.repeat(64) }))).toMatch(/prepare it again$/);
    const [entry] = good.entries;
    const registers = (...names: (string | null)[]) =>
      changed({ entries: [{ ...entry, registers: [...names, ...entry!.registers.slice(names.length)] }] });
    const place = 'usercopy_attach_with: attachment.entries[0].registers[0]: expected';
    expect(refuse('d', registers('x99'))).toBe(`${place} the name of a register that the emulator has`);
    expect(refuse('e', registers('ymm0'))).toBe(`${place} a register of at most 8 bytes, found one of 32`);
    expect(refuse('f', registers('gdtr'))).toBe(`${place} the name of a register that the emulator has`);
    expect(refuse('g', changed({ entries: [entry, entry] }))).toMatch(/entries\[1\]: expected an address of its own/);
    expect(refuse('h', changed({ entries: [] }))).toMatch(
      /entries: expected one entry point at least.*prepare the file again$/,
    );
    expect(refuse('i', changed({ memory: { ...good.memory, context: 2 ** 31 } }))).toContain(again);
    expect(refuse('j', changed({ memory: { ...good.memory, bytes: 0 } }))).toContain(again);
    expect(refuse('k', changed({ memory: { ...good.memory, context: 8 } }))).toMatch(/memory of the check with/);
    // The context begins with the word's mask; its tables' places and counts are behind the text's bounds.
    const [piece] = good.memory.pieces;
    const bytes = Buffer.from(piece!.base64, 'base64');
    bytes.fill(0xff, good.memory.context - piece!.offset + 16);
    const pieces = [{ ...piece, base64: bytes.toString('base64') }, ...good.memory.pieces.slice(1)];
    expect(refuse('l', changed({ memory: { ...good.memory, pieces } }))).toMatch(/memory of the check with/);
    expect(refuse('m', changed({ notes: ['\u001b[31m'] }))).toMatch(/notes\[0\]: expected a text of 1 to/);
    expect(refuse('n', changed({ unicorn: { arch: 'ARM64', mode: ['ARM'] } }))).toMatch(
      /found one of another architecture or mode$/,
    );
  });
});
