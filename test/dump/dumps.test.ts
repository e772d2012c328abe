/**
 * Real dumps, stopped at the first instruction of the kernel's own check: the judge is the kernel's log, kept beside each.
 * A message of null is a copy that the kernel let pass.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { drivers } from '../../arch/index.js';
import type { Copy } from '../../src/check/verdict.js';
import { stackDepthOfDump } from '../../src/dump/dump-code.js';
import { DumpJudge, type JudgeOptions } from '../../src/dump/judge.js';
import { kernelFromDump } from '../../src/dump/kernel-from-dump.js';
import { type Dump, openDump } from '../../src/dump/open-dump.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { loadKernel } from '../../src/image/load.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { replayCopy } from '../../src/repro/replay.js';

const SHARED = resolve('../shared/dumps');
const MACHINES = [
  { name: 'x86_64-6.1', kernel: '6.1.0-50-cloud-amd64', image: 'vmlinuz-6.1.0-50-cloud-amd64', sideTypes: false },
  { name: 'arm64-6.1', kernel: '6.1.0-50-cloud-arm64', image: 'vmlinuz-6.1.0-50-cloud-arm64.zst', sideTypes: false },
  { name: 's390x-6.1', kernel: '6.1.0-50-s390x', image: 'vmlinuz-6.1.0-50-s390x', sideTypes: true },
  { name: 'ppc64le-6.1', kernel: '6.1.0-50-powerpc64le', image: 'vmlinux-6.1.0-50-powerpc64le.zst', sideTypes: true },
  { name: 'x86_64-own-slab', kernel: 'own-slab', image: 'bzImage', sideTypes: true },
] as const;
type Machine = (typeof MACHINES)[number];

const missing = !existsSync(SHARED)
  ? 'the shared dumps are not there (../shared/dumps)'
  : spawnSync('zstd', ['--version']).error
    ? 'zstd is not installed, which expands them'
    : null;

interface Case {
  readonly message: string | null;
  readonly args: { readonly ptr: string; readonly n: number; readonly to_user: number };
}

const scratch = mkdtempSync(join(tmpdir(), 'usercopy-dumps-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const directory = ({ kernel }: Machine) => join(SHARED, 'kernels', kernel);
const casesOf = ({ name }: Machine) =>
  missing ? [] : readdirSync(join(SHARED, name)).filter((file) => existsSync(join(SHARED, name, file, 'case.json')));
const readCase = ({ name }: Machine, which: string): Case =>
  JSON.parse(readFileSync(join(SHARED, name, which, 'case.json'), 'utf8'));

/** The base is unpacked once per machine; each case is a patch against it. */
function expand({ name }: Machine, which: string): string {
  const base = join(scratch, `${name}.base`);
  const dump = join(scratch, 'case.vmcore');
  const run = (...args: string[]) => execFileSync('zstd', ['-q', '-d', '-f', ...args]);
  if (!existsSync(base)) run('--long=27', join(SHARED, name, 'base.vmcore.zst'), '-o', base);
  const patch = join(SHARED, name, which, 'vmcore-pre.zpatch');
  rmSync(dump, { force: true });
  run('--long=29', '--memory=2048MB', `--patch-from=${base}`, patch, '-o', dump);
  execFileSync('chmod', ['u+w', dump]);
  return dump;
}

function load(machine: Machine): Promise<Kernel> {
  const config = readdirSync(directory(machine)).find((file) => file.startsWith('config'))!;
  return loadKernel(
    { path: join(directory(machine), machine.image) },
    {
      drivers,
      config: join(directory(machine), config),
      ...(machine.sideTypes ? { btf: join(directory(machine), 'BTF.zst') } : {}),
    },
  );
}

const stackDepth: NonNullable<JudgeOptions['stackDepth']> = async (dump, current) => {
  if ('unsupported' in dump.variant.engine) return null;
  const engine = openUnicorn(dump.variant.engine);
  try {
    return await stackDepthOfDump(engine, dump, current);
  } finally {
    engine.close();
  }
};

/** What the dump's own check says when it runs. */
async function replay(dump: Dump, copy: Copy) {
  if ('unsupported' in dump.variant.engine) throw new Error(dump.variant.engine.unsupported);
  const engine = openUnicorn(dump.variant.engine);
  try {
    return await replayCopy(engine, dump, copy);
  } finally {
    engine.close();
  }
}

/** Judges the copy that the registers describe; by the dump's own notes unless a register text is given. */
async function judge(path: string, image: Kernel | null, registers: string | null, replayed = true) {
  const dump = await openDump(path, {
    image,
    registers: registers === null ? null : { text: readFileSync(registers, 'latin1'), path: registers },
    kernelFromDump: (located, variant) => kernelFromDump(path, located, variant, {}),
  });
  try {
    const judging = await DumpJudge.create(dump, { source: builtCheck, stackDepth });
    const copy = judging.copyFromRegisters();
    const judged = await judging.judge(copy);
    return { ...judged, found: dump.located.by, replay: replayed ? await replay(dump, copy) : null };
  } finally {
    dump.close();
  }
}

for (const machine of MACHINES) {
  describe.skipIf(missing !== null)(`a dump of ${machine.name}${missing ? ` (skipped: ${missing})` : ''}`, () => {
    let image: Promise<Kernel> | null = null;

    for (const which of casesOf(machine)) {
      it(`gives the kernel's own message for ${which}, judged and replayed`, async () => {
        image ??= load(machine);
        const expected = readCase(machine, which);
        const path = expand(machine, which);
        const result = await judge(path, await image, join(SHARED, machine.name, which, 'regs.txt'));
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
      const path = expand(machine, which);
      blot(path, 'VMCOREINFO', 8192);
      const result = await judge(path, await load(machine), null);
      expect(result.found).not.toBe('VMCOREINFO');
      expect(result.message).toBe(message);
    });

    it(`of ${machine.name} is judged without any VMCOREINFO in its memory`, async () => {
      const path = expand(machine, which);
      blot(path, 'VMCOREINFO', 8192);
      blot(path, 'OSRELEASE=', Number.POSITIVE_INFINITY);
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

/** Overwrites a text wherever it stands in the first `limit` bytes of a file. */
function blot(path: string, text: string, limit: number): void {
  const bytes = readFileSync(path);
  const wanted = Buffer.from(text);
  for (let at = bytes.indexOf(wanted); at >= 0 && at < limit; at = bytes.indexOf(wanted, at + 1)) bytes[at] = 0x2e;
  writeFileSync(path, bytes);
}
