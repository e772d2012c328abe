/**
 * Real dumps, stopped at the first instruction of the kernel's own check: the judge is the kernel's log, kept beside each.
 * A message of null is a copy that the kernel let pass.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DumpJudge } from '../../src/dump/judge.js';
import { openDump } from '../../src/dump/open-dump.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { identifyIn } from '../../src/repro/identify.js';
import { casesOf, expand, judge, load, MACHINES, missing, readCase, SHARED, scratch } from './real-dumps.js';

for (const machine of MACHINES) {
  describe.skipIf(missing !== null)(`a dump of ${machine.name}${missing ? ` (skipped: ${missing})` : ''}`, () => {
    for (const which of casesOf(machine)) {
      it(`gives the kernel's own message for ${which}, judged and replayed`, async () => {
        const expected = readCase(machine, which);
        const path = expand(machine, which);
        const result = await judge(path, await load(machine), join(SHARED, machine.name, which, 'regs.txt'));
        expect(result.copy).toEqual({
          pointer: BigInt(expected.args.ptr),
          size: BigInt(expected.args.n),
          direction: expected.args.to_user === 1 ? 'to_user' : 'from_user',
        });
        expect(result.verdict.outcome).toBe(expected.message === null ? 'good' : 'bad');
        expect(result.message).toBe(expected.message);
        expect(result.warnings).toEqual([]);
        expect(result.replay).toMatchObject({
          message: expected.message,
          end: expected.message === null ? 'returned' : 'bug',
          warnings: [],
        });
      });
    }
  });
}

describe.skipIf(missing !== null)(`a dump${missing ? ` (skipped: ${missing})` : ''}`, () => {
  it('names what lies at an address: member, state, owner, module', async () => {
    const machine = MACHINES[0];
    const path = expand(machine, 'UCX_TASK', 'vmcore');
    const dump = await openDump(path, { image: await load(machine) });
    try {
      const judging = await DumpJudge.create(dump, { source: builtCheck });
      const { args } = readCase(machine, 'UCX_TASK');
      const comm = await identifyIn(judging, BigInt(args.ptr));
      expect(comm).toMatchObject({ known: true, struct: 'task_struct', member: 'comm[0]', owner: 'task init (pid 1)' });
      expect(comm.object).toMatchObject({ cache: 'task_struct', state: 'allocated' });
      // The test module's function that made the copy, by the return address that QEMU had.
      const { ra } = JSON.parse(readFileSync(join(SHARED, machine.name, 'UCX_TASK', 'case.json'), 'utf8')).args;
      expect(await identifyIn(judging, BigInt(ra))).toMatchObject({ module: 'ucx', symbol: 'ucx_copy+0x9a' });
      expect(await identifyIn(judging, 0x7fff00001000n)).toMatchObject({ known: false, what: 'not mapped' });
      // x86_64's symbols of per-CPU variables count from 0; no page is there.
      for (const address of [0n, 0x1234n]) {
        const found = await identifyIn(judging, address);
        expect(found).toMatchObject({ known: false, what: 'not mapped (an offset of per-CPU data)' });
      }
      // The same memory in a kernel that was booted with hardened_usercopy=off.
      const key = dump.kernel.symbols.address('bypass_usercopy_checks')!;
      const read = (address: bigint, length: number) =>
        address === key ? Uint8Array.of(1, 0, 0, 0) : dump.kernel.read(address, length);
      const off = { ...dump, kernel: { ...dump.kernel, read } };
      const bypassed = await DumpJudge.create(off, { source: builtCheck });
      const { verdict } = await bypassed.judge({ pointer: BigInt(args.ptr), size: 1n, direction: 'to_user' });
      expect(verdict).toMatchObject({ outcome: 'good', by: 'bypassed' });
      const ignoring = await DumpJudge.create(off, { source: builtCheck, gate: 'ignored' });
      expect(await identifyIn(ignoring, BigInt(args.ptr))).toEqual(comm);
    } finally {
      dump.close();
    }
  });
});

describe.skipIf(missing !== null)(`a caller that is not in the image${missing ? ` (skipped: ${missing})` : ''}`, () => {
  it.each([
    ['ppc64le-6.1', 'UCX_TASK', /^(\s*NIP \S+\s+LR) (\S+)/m],
    ['arm64-6.1', 'UCX_TASK', /(X30=)([0-9a-f]{16})/],
    ['s390x-6.1', 'UCX_TASK', /(R14=)([0-9a-f]{16})/],
  ])('of %s, as eBPF and freed modules are, does not stop the replay of %s', async (name, which, link) => {
    const machine = MACHINES.find((candidate) => candidate.name === name)!;
    const regs = join(scratch, 'regs.txt');
    const text = readFileSync(join(SHARED, name, which, 'regs.txt'), 'latin1');
    // An address of vmalloc space at which nothing is mapped.
    const moved = text.replace(link, (_all, before: string, address: string) => {
      const far = BigInt.asUintN(64, BigInt(`0x${address}`) + 0x1234_5000n);
      return `${before}${before.endsWith('=') ? '' : ' '}${far.toString(16).padStart(16, '0')}`;
    });
    expect(moved).not.toBe(text);
    writeFileSync(regs, moved);
    const result = await judge(expand(machine, which), await load(machine), regs);
    expect(result.replay).toMatchObject({ message: readCase(machine, which).message, end: 'bug' });
  });
});

describe.skipIf(missing !== null)(`a dump that tells less${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const [x86, arm64] = MACHINES;
  const which = 'USERCOPY_SLAB_WHITELIST_FROM';
  const message =
    "usercopy: Kernel memory overwrite attempt detected to SLUB object 'lkdtm-usercopy' (offset 255, size 64)!";

  for (const machine of [x86, arm64]) {
    it(`of ${machine.name} is judged without the kernel's image, by the symbols and types in its memory`, async () => {
      const result = await judge(expand(machine, which), null, null);
      expect(result.message).toBe(message);
      expect(result.replay?.message).toBe(message);
    });

    it(`of ${machine.name} is judged without a VMCOREINFO note`, async () => {
      const path = blotted(expand(machine, which), [['VMCOREINFO', 8192]]);
      const result = await judge(path, await load(machine), null);
      expect(result.found).not.toBe('VMCOREINFO');
      expect(result.message).toBe(message);
    });

    it(`of ${machine.name} is judged without any VMCOREINFO in its memory`, async () => {
      const path = blotted(expand(machine, which), [
        ['VMCOREINFO', 8192],
        ['OSRELEASE=', Number.POSITIVE_INFINITY],
      ]);
      const result = await judge(path, await load(machine), null);
      expect(result.found).not.toMatch(/VMCOREINFO/);
      expect(result.message).toBe(message);
      expect(result.replay?.message).toBe(message);
    });
  }

  it('is refused with one sentence when the image is of another kernel', async () => {
    const path = expand(x86, which);
    await expect(judge(path, await load(arm64), null)).rejects.toThrow(/a dump of arm64, as the kernel image/);
    const other = { ...(await load(MACHINES.find(({ name }) => name === 'x86_64-own-slab')!)) };
    await expect(judge(path, other, null)).rejects.toThrow(/kernel 6\.1\.192, .*found kernel 6\.1\.0-50-cloud-amd64/);
  });

  it('and is cut short is still judged where its bytes suffice, else unreadable, never a crash', async () => {
    const whole = readFileSync(expand(x86, which));
    const path = join(scratch, 'short.vmcore');
    writeFileSync(path, whole.subarray(0, 150 << 20));
    const image = await load(x86);
    const result = await judge(path, image, null, false).catch((error: Error) => error);
    if (result instanceof Error) expect(result.name).toBe('UsercopyError');
    else expect(['bad', 'unreadable']).toContain(result.verdict.outcome);
  });
});

/** A copy of a dump in which texts are overwritten wherever they stand in its first `limit` bytes. */
function blotted(path: string, texts: readonly (readonly [string, number])[]): string {
  const bytes = readFileSync(path);
  for (const [text, limit] of texts) {
    const wanted = Buffer.from(text);
    for (let at = bytes.indexOf(wanted); at >= 0 && at < limit; at = bytes.indexOf(wanted, at + 1)) bytes[at] = 0x2e;
  }
  const copy = join(scratch, 'blotted.vmcore');
  writeFileSync(copy, bytes);
  return copy;
}
