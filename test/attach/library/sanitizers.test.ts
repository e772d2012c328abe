/** Looks beyond the check in C and in Python. The judges are the guests' own allocators: the test keeps its own record. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attach } from '../../../src/attach/attach.js';
import { prepareHarness } from '../../../src/attach/harness.js';
import { harnessText } from '../../../src/attach/harness-file.js';
import type { Guest } from '../../../src/guest/guest.js';
import { writeSnapshot } from '../../../src/guest/snapshot.js';
import { packageFile } from '../../../src/paths.js';
import { loadOwnKernel, startOwnGuest } from '../../../src/scenario/own.js';
import { python, unicornBuild, unicornEnvironment, unicornInUse } from '../../places.js';
import { compile, LIBRARY, prepareFirmware, runProgram } from './machine.js';

const folder = mkdtempSync(join(tmpdir(), 'sanitizers-'));
afterAll(() => rmSync(folder, { recursive: true }));
const build = unicornBuild(unicornInUse().version);
const OBJECT_BYTES = 96n;
const VARIANTS = ['x86_64', 'i386', 'arm', 'sparc', 'riscv64'];

interface Record {
  readonly object: bigint;
  readonly isFree: boolean;
}

/** Objects that the guest's own allocator gave out and took back, and in which state the test left each. */
async function useAllocator(guest: Guest): Promise<Record[]> {
  const isFree = new Map<bigint, boolean>();
  const allocate = async () => isFree.set(await guest.callForValue('kmalloc', [OBJECT_BYTES]), false);
  for (let count = 0; count < 30; count++) await allocate();
  for (const [index, object] of [...isFree.keys()].entries()) {
    if (index % 3 !== 1) continue;
    await guest.call('kfree', [object]);
    isFree.set(object, true);
  }
  // What was freed last is given out again.
  for (let count = 0; count < 2; count++) await allocate();
  return [...isFree].map(([object, free]) => ({ object, isFree: free }));
}

/** Writes the guest down at do_copy() and what attaches to it. */
async function writeDown(guest: Guest, name: string): Promise<readonly [prepared: string, snapshot: string]> {
  const [prepared, snapshot] = [join(folder, `${name}.json`), join(folder, name)];
  guest.stand('do_copy', [guest.user.address, guest.user.address, 16n, 1n]);
  writeSnapshot(guest.engine, guest.variant, snapshot, {
    kernel: guest.kernel.version.release,
    places: [{ name: 'return_address', start: guest.returnAddress, end: guest.returnAddress + 1n }],
    memoryOffset: (start) => guest.memory.offsetOfRegion(start),
  });
  writeFileSync(prepared, harnessText(await prepareHarness(guest.kernel, { profile: '6.1' })));
  return [prepared, snapshot];
}

function inPython(variant: string, files: readonly [string, string], addresses: readonly bigint[]) {
  const environment = unicornEnvironment(build);
  environment['PYTHONPATH'] = `${packageFile('python')}:${environment['PYTHONPATH']}`;
  const script = packageFile('test/attach/library/check_sanitizers.py');
  const hexes = addresses.map((address) => `0x${address.toString(16)}`);
  const { stdout, stderr } = runProgram(python(), [script, variant, ...files, ...hexes], '', environment);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as {
    readonly rows: readonly (readonly [string, string, string, string, [string, string]])[][];
    readonly counts: { readonly [name: string]: unknown };
    readonly [name: string]: unknown;
  };
}

describe.each(VARIANTS)("the built-in %s guest's own allocator", (variant) => {
  it('agrees with what the Python module finds, in the words of JavaScript', async () => {
    const guest = await startOwnGuest(await loadOwnKernel(variant, 'nocheck'));
    try {
      const records = await useAllocator(guest);
      const files = await writeDown(guest, variant);
      const attachment = await attach(guest.engine, guest.kernel, {
        ...{ profile: '6.1', memory: guest.check, sanitize: ['freed'], onFinding: 'record' },
      });
      for (const { object } of records) await guest.call('do_copy', [guest.user.address, object + 8n, 16n, 1n]);
      const lines = attachment.findings.map(({ line }) => line);
      attachment.detach();

      const { rows, counts, ...rest } = inPython(variant, files, [
        ...records.map(({ object }) => object + 8n),
        guest.user.address,
      ]);
      const freed = records.filter(({ isFree }) => isFree).length;
      expect(freed).toBeGreaterThan(5);
      expect(rows.slice(0, -1).map((row) => row.map(([sanitizer, , , , object]) => [sanitizer, object]))).toEqual(
        records.map(({ object, isFree }) => {
          const bounds = [object, object + OBJECT_BYTES].map((address) => `0x${address.toString(16)}`);
          return isFree ? [['freed', bounds]] : [];
        }),
      );
      expect(rows.flat().map(([, line]) => line)).toEqual(lines);
      expect(new Set(rows.flat().map(([, , title, caller]) => `${title} ${caller}`))).toEqual(
        new Set(['sanitizer freed in do_copy do_copy']),
      );
      const all = { looks: records.length + 1, elsewhere: 1, allocated: records.length - freed, freed };
      expect(counts).toEqual({ ...all, red_zone: 0, unknown: 0, unknown_by: {} });
      expect(rest).toEqual({
        ...{ refused: 0, good: records.length + 1, quiet: true },
        audit: expect.stringMatching(/^usercopy_set_audit: expected no sanitizers/),
      });
    } finally {
      guest.close();
    }
  });
});

describe('a harness in C', () => {
  const program = join(folder, 'sanitize');
  let files: readonly [string, string];
  let objects: { freed: bigint; used: bigint; guarded: bigint; second: bigint };
  const run = (answer: string, addresses: readonly bigint[], ...more: string[]) =>
    runProgram(
      program,
      [...files, answer, ...more],
      addresses.map((address) => address.toString(16)).join('\n'),
      unicornEnvironment(build),
    );

  beforeAll(async () => {
    const linked = [LIBRARY, `-Wl,-rpath,${packageFile('build/Release')}`, `-L${build.lib}`, '-lunicorn'];
    const includes = [`-I${packageFile('native')}`, `-I${build.include}`];
    const source = packageFile('test/attach/library/sanitize.c');
    compile('cc', ['-Wall', '-Wextra', '-Werror', ...includes, source, '-o', program, ...linked], folder);
    const guest = await startOwnGuest(await loadOwnKernel('x86_64', 'check'));
    try {
      // The kernel's own check is off, as with hardened_usercopy=off: what it would refuse passes.
      guest.memory.writeUnsigned(guest.symbol('bypass_usercopy_checks'), 4, 1n);
      guest.memory.write(guest.user.address, Buffer.from('guarded\0'));
      const redZone = 0x400n;
      const named = [guest.user.address, 40n, 8n, redZone, 0n, 40n];
      const cache = await guest.callForValue('kmem_cache_create_usercopy', named);
      const allocate = () => guest.callForValue('kmalloc', [64n]);
      const [freed, used, second] = [await allocate(), await allocate(), await allocate()];
      // The one that was freed last is the list's first, and leads to the other.
      await guest.call('kfree', [second]);
      await guest.call('kfree', [freed]);
      objects = { freed, used, second, guarded: await guest.callForValue('kmem_cache_alloc', [cache]) };
      files = await writeDown(guest, 'in-c');
    } finally {
      guest.close();
    }
  });

  it('is told of free objects and red zones, by their lines, and goes on as it decides', () => {
    const { freed, used, guarded } = objects;
    const hex = (address: bigint) => `0x${address.toString(16)}`;
    const { stdout, stderr } = run('0', [freed, used + 8n, guarded + 30n]);
    expect(stderr).toMatch(/^usercopy: warning: .*hardened_usercopy/);
    const lines = stdout.split('\n');
    expect(lines.slice(0, 7)).toEqual([
      expect.stringMatching(
        new RegExp(
          `^1 sanitizer freed: copy to user of .${hex(freed)}, ${hex(freed + 16n)}. touches a free object: object \\d+ of its slab of kmalloc-64, .${hex(freed)}, ${hex(freed + 64n)}.$`,
        ),
      ),
      'sanitizer freed in do_copy, to user of 16 bytes, by do_copy, at do_copy',
      'returned',
      'returned',
      expect.stringMatching(
        new RegExp(`goes over the red zone .${hex(guarded + 40n)}, ${hex(guarded + 48n)}. of object 0 .* guarded`),
      ),
      'sanitizer redzone in do_copy, to user of 16 bytes, by do_copy, at do_copy',
      'returned',
    ]);
    expect(lines.slice(7)).toEqual([
      '3 looks, 0 elsewhere, 1 in use, 1 freed, 1 red zone, 0 unknown',
      expect.stringMatching(/^-1 usercopy_set_audit: expected no sanitizers/),
      '-1 usercopy_sanitize: expected a sum of USERCOPY_FREED and USERCOPY_RED_ZONE, with USERCOPY_ASK_MISSING or without, found 8',
      '-1 usercopy_sanitize: expected a callback, found NULL',
      '',
    ]);
  });

  it.each([
    ['1', 'stopped'],
    ['2', 'returned'],
    ['3', 'an error'],
    ['4', 'stopped'],
  ])('stops, fails, crashes, or is told that its answer is none: %s', (answer, outcome) => {
    expect(run(answer, [objects.freed]).stdout.split('\n')[2]).toBe(outcome);
  });

  it('brings the page that a look needs when it is asked for, and what cannot be read is unknown', () => {
    const { used, second } = objects;
    const ASKED = 'asked for the page, no line, no cache, at __check_object_size';
    const lines = (address: bigint, answer: string, how: string) => run(answer, [address], how).stdout.split('\n');
    expect(lines(used + 8n, '4', 'ask-and-map').slice(0, 3)).toEqual([
      ...[ASKED, 'returned', '1 looks, 0 elsewhere, 1 in use, 0 freed, 0 red zone, 0 unknown'],
    ]);
    expect(lines(second + 8n, '4', 'ask-and-map').slice(0, 5)).toEqual([
      ...[ASKED, expect.stringMatching(/^1 sanitizer freed: /), expect.any(String), 'returned'],
      '1 looks, 0 elsewhere, 0 in use, 1 freed, 0 red zone, 0 unknown',
    ]);
    // The guest itself reads the page next.
    for (const answer of ['4', '0']) {
      expect(lines(used + 8n, answer, 'ask').slice(0, 3)).toEqual([
        ...[ASKED, 'an error', '1 looks, 0 elsewhere, 0 in use, 0 freed, 0 red zone, 1 unknown'],
      ]);
    }
  });

  it('is refused in an audit, and where nothing says what is free', () => {
    expect(run('0', [], 'audit').stderr).toMatch(/sanitize: usercopy_sanitize: expected no audit: .*freed$/m);
    const firmware = prepareFirmware(folder, 'firmware.json', '_copy_to_user=0x100000');
    const { stderr } = runProgram(program, [firmware, files[1], '0'], '', unicornEnvironment(build));
    expect(stderr).toMatch(/expected a file prepared of a kernel whose types are known/);
  });
});
