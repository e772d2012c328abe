/** Real dumps, one at a time: what the tests of them share. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll } from 'vitest';
import { drivers } from '../../arch/index.js';
import type { Copy } from '../../src/check/verdict.js';
import { stackDepthOfDump } from '../../src/dump/dump-code.js';
import { DumpJudge, type JudgeOptions } from '../../src/dump/judge.js';
import { type Dump, openDump } from '../../src/dump/open-dump.js';
import { readKernelInDump } from '../../src/dump/read-kernel-in-dump.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { loadKernel } from '../../src/image/load.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { replayCopy } from '../../src/repro/replay.js';
import { zstd } from '../places.js';

export const SHARED = resolve('../shared/dumps');
export const MACHINES = [
  { name: 'x86_64-6.1', kernel: '6.1.0-50-cloud-amd64', image: 'vmlinuz-6.1.0-50-cloud-amd64', sideTypes: false },
  { name: 'arm64-6.1', kernel: '6.1.0-50-cloud-arm64', image: 'vmlinuz-6.1.0-50-cloud-arm64.zst', sideTypes: false },
  { name: 's390x-6.1', kernel: '6.1.0-50-s390x', image: 'vmlinuz-6.1.0-50-s390x', sideTypes: true },
  { name: 'ppc64le-6.1', kernel: '6.1.0-50-powerpc64le', image: 'vmlinux-6.1.0-50-powerpc64le.zst', sideTypes: true },
  { name: 'x86_64-own-slab', kernel: 'own-slab', image: 'bzImage', sideTypes: true },
] as const;
export type Machine = (typeof MACHINES)[number];

const expander = zstd();
export const missing = !existsSync(SHARED)
  ? 'the shared dumps are not there (../shared/dumps)'
  : typeof expander === 'string'
    ? expander
    : null;

interface Case {
  readonly message: string | null;
  readonly args: { readonly ptr: string; readonly n: number; readonly to_user: number };
}

export const scratch = mkdtempSync(join(tmpdir(), 'usercopy-dumps-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

export const directory = ({ kernel }: Machine) => join(SHARED, 'kernels', kernel);
export const casesOf = ({ name }: Machine) =>
  missing ? [] : readdirSync(join(SHARED, name)).filter((file) => existsSync(join(SHARED, name, file, 'case.json')));
export const readCase = ({ name }: Machine, which: string): Case =>
  JSON.parse(readFileSync(join(SHARED, name, which, 'case.json'), 'utf8'));

/** The case that was expanded last; nobody writes to it. */
let expanded = '';

/** The base is unpacked once per machine; each case is a patch against it, before the check or after the panic. */
export function expand({ name }: Machine, which: string, when: 'vmcore-pre' | 'vmcore' = 'vmcore-pre'): string {
  const base = join(scratch, `${name}.base`);
  const dump = join(scratch, 'case.vmcore');
  if (expanded === `${name} ${which} ${when}`) return dump;
  if (typeof expander === 'string') throw new Error(expander);
  const { program, env } = expander;
  const run = (...args: string[]) => execFileSync(program, ['-q', '-d', '-f', ...args], { env });
  if (!existsSync(base)) run('--long=27', join(SHARED, name, 'base.vmcore.zst'), '-o', base);
  const patch = join(SHARED, name, which, `${when}.zpatch`);
  rmSync(dump, { force: true });
  run('--long=29', '--memory=2048MB', `--patch-from=${base}`, patch, '-o', dump);
  expanded = `${name} ${which} ${when}`;
  return dump;
}

const images = new Map<string, Promise<Kernel>>();

/** Each image is read once. */
export function load(machine: Machine): Promise<Kernel> {
  const image = images.get(machine.name) ?? readImage(machine);
  images.set(machine.name, image);
  return image;
}

function readImage(machine: Machine): Promise<Kernel> {
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

export const stackDepth: NonNullable<JudgeOptions['stackDepth']> = async (dump, current) => {
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
export async function judge(path: string, image: Kernel | null, registers: string | null, replayed = true) {
  const dump = await openDump(path, {
    image,
    registers: registers === null ? null : { text: readFileSync(registers, 'latin1'), path: registers },
    readKernelInDump: (located, variant) => readKernelInDump(path, located, variant, {}),
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
