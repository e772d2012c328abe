/** Real dumps, made after the panic that a refused copy ended in: the judge is the kernel's log, kept beside each. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Copy } from '../../src/check/verdict.js';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import { machineOf } from '../../src/diagnosis/machine.js';
import { summaryOf } from '../../src/diagnosis/summary.js';
import { DumpJudge } from '../../src/dump/judge.js';
import { openDump } from '../../src/dump/open-dump.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { UsercopyError } from '../../src/errors.js';
import { chooseLastReport, parseReports } from '../../src/report/parse.js';
import { replaysOf } from '../../src/repro/emulators.js';
import { examineDump } from '../../src/repro/examine-dump.js';
import { copyFromTrap } from '../../src/repro/from-trap.js';
import type { Replay } from '../../src/repro/replay.js';
import { toldInLog } from '../../src/repro/told-in-log.js';
import { rowOf } from '../../src/triage/row.js';
import {
  directory,
  expand,
  load,
  MACHINES,
  type Machine,
  missing,
  readCase,
  SHARED,
  stackDepth,
} from './real-dumps.js';

const scratch = mkdtempSync(join(tmpdir(), 'usercopy-after-panic-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The same object with other members. */
const instead = <T extends object>(of: T, members: Partial<Record<keyof T, unknown>>): T =>
  new Proxy({} as T, {
    get: (_, key) => {
      const own = Reflect.get(key in members ? members : of, key);
      return typeof own === 'function' ? own.bind(of) : own;
    },
  });

/** A case of each kind of place on each machine: the search for the copy differs by the rule and by how frames are linked. */
const AFTER_PANIC: readonly (readonly [Machine['name'], string])[] = [
  ['x86_64-own-slab', 'USERCOPY_STACK_FRAME_FROM'],
  ['arm64-6.1', 'UCX_STACK_START'],
  ['s390x-6.1', 'UCX_VM_NOAREA'],
  ['ppc64le-6.1', 'USERCOPY_STACK_BEYOND'],
  ['x86_64-6.1', 'UCX_STACK_OVER'],
];

describe.skipIf(missing !== null)(`a dump made after the panic${missing ? ` (skipped: ${missing})` : ''}`, () => {
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
    it(`of ${name} is judged and replayed as the kernel did for ${which}, by the log inside it alone`, async () => {
      const machine = MACHINES.find((candidate) => candidate.name === name)!;
      const expected = readCase(machine, which);
      const kernel = join(directory(machine), machine.image);
      const small = join(scratch, `${name}.${which}`);
      const { reproduction } = await examineDump(
        {
          input: {
            dump: expand(machine, which, 'vmcore'),
            kernel,
            btf: machine.sideTypes ? join(directory(machine), 'BTF.zst') : undefined,
            registers: null,
            shrink: { path: small, redact: true },
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
      // Shrunk and redacted it is a small file that needs nothing else, and tells the same.
      const again = await examineDump(
        { input: { dump: small, registers: null }, copy: null, report: null, replay: true },
        { withoutEmulator: null },
      );
      expect(again.reproduction).toMatchObject({
        outcome: 'identical',
        copy: { pointer: copy.pointer, size: copy.size, direction: copy.direction },
        check: { message: expected.message },
        replay: { message: expected.message },
        explanation: { object: explanation.object, surroundings: { calls: callers } },
      });
      // Triage puts all of them and the log alone into one group.
      const caller = rowOf('log', judgeReport(chooseLastReport(parseReports(inLog))!).reproduction).caller;
      expect(caller).not.toBeNull();
      expect(rowOf('dump', reproduction).caller).toBe(caller);
      expect(rowOf('small', again.reproduction).caller).toBe(caller);
    });

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
    const [machine] = MACHINES;
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
});
