/**
 * Real dumps, stopped at the first instruction of the kernel's own check: the judge is the kernel's log, kept beside each.
 * A message of null is a copy that the kernel let pass.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { drivers } from '../../arch/index.js';
import type { Copy } from '../../src/check/verdict.js';
import { machineOf } from '../../src/diagnosis/machine.js';
import { summaryOf } from '../../src/diagnosis/summary.js';
import { stackDepthOfDump } from '../../src/dump/dump-code.js';
import { DumpJudge, type JudgeOptions } from '../../src/dump/judge.js';
import { type Dump, openDump } from '../../src/dump/open-dump.js';
import { readKernelInDump } from '../../src/dump/read-kernel-in-dump.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { UsercopyError } from '../../src/errors.js';
import { loadKernel } from '../../src/image/load.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { chooseLastReport, parseReports } from '../../src/report/parse.js';
import { replaysOf } from '../../src/repro/emulators.js';
import { examineDump } from '../../src/repro/examine-dump.js';
import { copyFromTrap } from '../../src/repro/from-trap.js';
import { identifyIn } from '../../src/repro/identify.js';
import { type Replay, replayCopy } from '../../src/repro/replay.js';
import { toldInLog } from '../../src/repro/told-in-log.js';
import { zstd } from '../places.js';

const SHARED = resolve('../shared/dumps');
const MACHINES = [
  { name: 'x86_64-6.1', kernel: '6.1.0-50-cloud-amd64', image: 'vmlinuz-6.1.0-50-cloud-amd64', sideTypes: false },
  { name: 'arm64-6.1', kernel: '6.1.0-50-cloud-arm64', image: 'vmlinuz-6.1.0-50-cloud-arm64.zst', sideTypes: false },
  { name: 's390x-6.1', kernel: '6.1.0-50-s390x', image: 'vmlinuz-6.1.0-50-s390x', sideTypes: true },
  { name: 'ppc64le-6.1', kernel: '6.1.0-50-powerpc64le', image: 'vmlinux-6.1.0-50-powerpc64le.zst', sideTypes: true },
  { name: 'x86_64-own-slab', kernel: 'own-slab', image: 'bzImage', sideTypes: true },
] as const;
type Machine = (typeof MACHINES)[number];

const expander = zstd();
const missing = !existsSync(SHARED)
  ? 'the shared dumps are not there (../shared/dumps)'
  : typeof expander === 'string'
    ? expander
    : null;

interface Case {
  readonly message: string | null;
  readonly args: { readonly ptr: string; readonly n: number; readonly to_user: number };
}

/** The same object with other members. */
const instead = <T extends object>(of: T, members: Partial<Record<keyof T, unknown>>): T =>
  new Proxy({} as T, {
    get: (_, key) => {
      const own = Reflect.get(key in members ? members : of, key);
      return typeof own === 'function' ? own.bind(of) : own;
    },
  });

const scratch = mkdtempSync(join(tmpdir(), 'usercopy-dumps-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const directory = ({ kernel }: Machine) => join(SHARED, 'kernels', kernel);
const casesOf = ({ name }: Machine) =>
  missing ? [] : readdirSync(join(SHARED, name)).filter((file) => existsSync(join(SHARED, name, file, 'case.json')));
const readCase = ({ name }: Machine, which: string): Case =>
  JSON.parse(readFileSync(join(SHARED, name, which, 'case.json'), 'utf8'));

/** The case that was expanded last; nobody writes to it. */
let expanded = '';

/** The base is unpacked once per machine; each case is a patch against it, before the check or after the panic. */
function expand({ name }: Machine, which: string, when: 'vmcore-pre' | 'vmcore' = 'vmcore-pre'): string {
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
function load(machine: Machine): Promise<Kernel> {
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

/** A case of each kind of place on each machine: the search for the copy differs by the rule and by how frames are linked. */
const AFTER_PANIC: readonly (readonly [Machine['name'], string])[] = [
  ['x86_64-6.1', 'UCX_STACK_OVER'],
  ['x86_64-own-slab', 'USERCOPY_STACK_FRAME_FROM'],
  ['arm64-6.1', 'UCX_STACK_START'],
  ['s390x-6.1', 'UCX_VM_NOAREA'],
  ['ppc64le-6.1', 'USERCOPY_STACK_BEYOND'],
];

describe.skipIf(missing !== null)(`a dump made after the panic${missing ? ` (skipped: ${missing})` : ''}`, () => {
  for (const [name, which] of AFTER_PANIC) {
    it(`of ${name} is judged and replayed as the kernel did for ${which}, by the log inside it alone`, async () => {
      const machine = MACHINES.find((candidate) => candidate.name === name)!;
      const expected = readCase(machine, which);
      const kernel = join(directory(machine), machine.image);
      const { reproduction } = await examineDump(
        {
          input: {
            dump: expand(machine, which, 'vmcore'),
            kernel,
            btf: machine.sideTypes ? join(directory(machine), 'BTF.zst') : undefined,
            registers: null,
          },
          copy: null,
          report: null,
          replay: true,
        },
        { withoutEmulator: null },
      );
      const { outcome, copy, check, replay, explanation, report } = reproduction;
      expect({ ptr: copy.pointer, n: copy.size, to: copy.direction }).toEqual({
        ptr: BigInt(expected.args.ptr),
        n: BigInt(expected.args.n),
        to: expected.args.to_user === 1 ? 'to_user' : 'from_user',
      });
      expect([outcome, check?.message, replay?.message]).toEqual(['identical', expected.message, expected.message]);
      // The stack pointer and the caller at the check, as QEMU had them there.
      expect(explanation.lines.filter((line) => /^note: .*(?:stack pointer|not found)/.test(line))).toEqual([]);
      expect(report?.trace.length).toBeGreaterThan(5);
      const callers = explanation.surroundings?.calls ?? [];
      const inLog = readFileSync(join(SHARED, name, which, 'dmesg.txt'), 'latin1');
      expect(callers.length).toBeGreaterThan(3);
      for (const call of callers.slice(0, 4)) expect(inLog).toContain(call.split(' ')[0]);
    });
  }

  /** The copy, by the stack alone: no log is read. */
  const byStack = async (path: string, machine: Machine) => {
    const dump = await openDump(path, { image: await load(machine) });
    try {
      return await copyFromTrap(dump, {
        judgeOf: (of) => DumpJudge.create(of, { source: builtCheck, stackDepth }),
        withReplays: replaysOf({ withoutEmulator: null }),
      });
    } finally {
      dump.close();
    }
  };

  for (const [name, which] of AFTER_PANIC) {
    it(`of ${name} tells the copy of ${which} without its log too, by what BUG() left on the stack`, async () => {
      const machine = MACHINES.find((candidate) => candidate.name === name)!;
      const { args } = readCase(machine, which);
      expect(await byStack(expand(machine, which, 'vmcore'), machine)).toMatchObject({
        copy: {
          pointer: BigInt(args.ptr),
          size: BigInt(args.n),
          direction: args.to_user === 1 ? 'to_user' : 'from_user',
        },
        dump: { atCheck: true },
      });
    });
  }

  it('of x86_64 tells no copy that has rivals, was not looked for to the end, or takes an emulator that is not there', async () => {
    const machine = MACHINES[0];
    const { args } = readCase(machine, 'UCX_STACK_OVER');
    const copy = { pointer: BigInt(args.ptr), size: BigInt(args.n), direction: 'to_user' } as const;
    const dump = await openDump(expand(machine, 'UCX_STACK_OVER', 'vmcore'), { image: await load(machine) });
    const replays = replaysOf({ withoutEmulator: null });
    const by = (replayOf: (true_: () => Promise<Replay>) => Promise<Replay>) =>
      copyFromTrap(dump, {
        judgeOf: (of) => DumpJudge.create(of, { source: builtCheck, stackDepth }),
        withReplays: (of, use) => replays(of, (own) => use(() => replayOf(() => own(copy)))),
      });
    try {
      // Whatever copy is asked about, the machine stands at the same BUG().
      expect(await by((own) => own())).toMatch(
        /^ambiguous: the check comes to BUG\(\) as it did with \d+ bytes at 0x[0-9a-f]+ (?:to|from) user, or with .*, and \d+ more/,
      );
      const far = async (own: () => Promise<Replay>) => ({ ...(await own()), registers: null, instructions: 10 ** 9 });
      expect(await by(far)).toMatch(/; given up after 1 copies that the check refuses, 1000000000 guest instructions/);
      const lost = new UsercopyError('guest', 'a page that the dump lacks');
      const unreplayed = await by(() => Promise.reject(lost));
      expect(unreplayed).toMatch(/^no numbers of the registers and the stack bring the check to BUG/);
      expect(unreplayed).toMatch(/; given up after 25 copies that the check refuses, 50000000 guest instructions/);
      expect(unreplayed).toMatch(/; 200 copies could not be replayed \(the first: a page that the dump lacks\)/);
      const unread = await copyFromTrap(dump, {
        judgeOf: async (of) => {
          const judge = await DumpJudge.create(of, { source: builtCheck, stackDepth });
          const verdict = { outcome: 'unreadable', address: 0n };
          return Object.create(judge, { judge: { value: async () => ({ verdict }) } });
        },
        withReplays: replays,
      });
      expect(unread).toMatch(/; \d{2,} copies could not be judged, since memory is not in the dump/);
      const none = new UsercopyError('missing-dependency', 'no libunicorn');
      await expect(by(() => Promise.reject(none))).rejects.toBe(none);
      // An emulator that fails at one copy may run the others.
      const failed = new UsercopyError('engine', 'uc_emu_start: no memory');
      expect(await by(() => Promise.reject(failed))).toMatch(
        /200 copies could not be replayed \(the first: uc_emu_start/,
      );
      const symbols = instead(dump.kernel.symbols, {
        address: (name: string) => (name === 'vsnprintf' ? undefined : dump.kernel.symbols.address(name)),
      });
      const without = { ...dump, kernel: instead(dump.kernel, { symbols }) };
      await expect(replays(without, (replayOf) => replayOf(copy))).rejects.toMatchObject({
        kind: 'unsupported',
        message: expect.stringContaining('expected symbols'),
      });
    } finally {
      dump.close();
    }
  });

  it('and before any BUG() has no such frame, which is said', async () => {
    expect(await byStack(expand(MACHINES[0], 'UCX_TASK'), MACHINES[0])).toMatch(
      /no stack .* has the registers of a BUG/,
    );
  });

  const [x86] = MACHINES;
  const ofCase = (which: string, name: string): string => readFileSync(join(SHARED, x86.name, which, name), 'latin1');
  const ask = (copy: Copy | null, log: string | null) =>
    examineDump(
      {
        input: { dump: expand(x86, 'UCX_TASK', 'vmcore'), kernel: join(directory(x86), x86.image), registers: null },
        copy,
        report: log === null ? null : chooseLastReport(parseReports(log)),
        replay: true,
      },
      { withoutEmulator: null },
    );

  it('holds the log inside against a copy that is given, where both are the same', async () => {
    const { message, args } = readCase(x86, 'UCX_TASK');
    const copy = { pointer: BigInt(args.ptr), size: BigInt(args.n), direction: 'to_user' } as const;
    const log = parseReports(ofCase('UCX_TASK', 'dmesg.txt'));
    const machine = machineOf(64, null);
    // The log tells the pointer by a register, or not at all: a message about a slab object does not print it.
    expect(toldInLog(log, copy, machine)).toMatchObject({ report: { message: { text: message } }, maybe: null });
    const hidden = log.map((report) => ({ ...report, registers: new Map() }));
    expect(toldInLog(hidden, copy, machine)).toMatchObject({ report: null, maybe: { message: { text: message } } });
    expect(toldInLog(log, { ...copy, size: copy.size + 1n }, machine)).toEqual({ report: null, maybe: null });
    const { reproduction } = await ask(copy, null);
    expect(reproduction).toMatchObject({ outcome: 'identical', report: { message: { text: message } } });
  });

  it('judges a copy that is given, which the log inside says nothing of', async () => {
    const sp = BigInt(`0x${/RSP=([0-9a-f]{16})/.exec(ofCase('UCX_TASK', 'regs-post.txt'))![1]}`);
    const { reproduction, finding } = await ask({ pointer: sp + 64n, size: 8n, direction: 'to_user' }, null);
    expect(reproduction).toMatchObject({ outcome: 'clean', report: null, check: { message: null } });
    expect(reproduction.replay).toMatchObject({ message: null });
    expect(finding.verdict).toMatchObject({ outcome: 'good', by: 'stack' });
  });

  it.each([
    ['is cut', (log: string) => log.replace(/(usercopy: Kernel memory \w+ attempt detected (?:from|to)) .*/, '$1')],
    ['is missing', (log: string) => log.replace(/^.*usercopy: Kernel memory .*\n/m, '')],
  ])('does not agree with a copy that passes when the message of its BUG() %s', async (_, cut) => {
    const log = ofCase('UCX_TASK', 'dmesg.txt');
    expect(cut(log)).not.toBe(log);
    // Of a caller of the check: what lies below its stack pointer is refused.
    const sp = BigInt(`0x${/RSP: 0018:([0-9a-f]{16})/.exec(log)![1]}`);
    const { reproduction, finding } = await ask({ pointer: sp + 512n, size: 8n, direction: 'to_user' }, cut(log));
    expect(finding.verdict).toMatchObject({ outcome: 'good', by: 'stack' });
    expect(reproduction).toMatchObject({
      outcome: 'different',
      check: { message: null, refused: false },
      replay: { message: null, refused: false },
    });
    expect(summaryOf(reproduction)).toMatchObject({ refused: true });
  });

  it('is of the last crash that a log tells, when the kernel went on after earlier ones', async () => {
    const { reproduction } = await ask(null, ofCase('UCX_MM', 'dmesg.txt') + ofCase('UCX_TASK', 'dmesg.txt'));
    const { message, args } = readCase(x86, 'UCX_TASK');
    expect(reproduction).toMatchObject({
      outcome: 'identical',
      check: { message },
      copy: { pointer: BigInt(args.ptr) },
    });
  });

  it('judges by the stack of the task that made the copy, also when no CPU runs it any more', async () => {
    const dump = await openDump(expand(x86, 'UCX_TASK', 'vmcore'), { image: await load(x86) });
    const stack = dump.kernel.symbols.address('init_stack')!;
    const end = stack + dump.variant.threadSize(dump.kernel);
    dump.close();
    // The idle task's: the CPU runs init.
    const sp = (end - 2048n).toString(16);
    const log = ofCase('UCX_TASK', 'dmesg.txt').replace(/(RSP: 0018:)[0-9a-f]{16}/, `$1${sp}`);
    const { reproduction } = await ask({ pointer: end - 256n, size: 512n, direction: 'to_user' }, log);
    expect(reproduction.explanation.lines).toContain(
      'note: the task that made the copy was no longer running when the dump was made',
    );
    expect(reproduction.replay?.message).toMatch(/from process stack \(offset \d+, size 512\)!$/);
    expect(reproduction.check?.message).toBe(reproduction.replay?.message);
    expect(reproduction.explanation.surroundings?.stack).toMatchObject({ pid: 0, start: stack, end });
    // One of which the dump has no task.
    const nowhere = log.replace(sp, (stack - 0x1234_5000_0000n).toString(16));
    const lost = await ask({ pointer: end - 256n, size: 512n, direction: 'to_user' }, nowhere);
    expect(lost.finding.warnings.join('\n')).toMatch(/current task is not known .*process stacks are not checked/);
  });

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
      expect(await identifyIn(judging, 0x1234n)).toMatchObject({ known: false, what: 'not mapped' });
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
