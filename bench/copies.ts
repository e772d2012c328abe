/**
 * What an attached check costs a guest: a loop of three x86-64 instructions, its first one hooked in several ways, and
 * a loop beside it that nobody hooks.
 */
import { Check, type Executor, type ExecutorName, executors } from '../src/check/check.js';
import { builtCheck } from '../src/engine/built-check.js';
import type { Engine, RequestRing, RequestRingSpec } from '../src/engine/engine.js';
import { openUnicorn } from '../src/engine/unicorn-native.js';
import { UsercopyError } from '../src/errors.js';
import { BareHook, type BareHookKind } from './bare-hook.js';
import { install } from './baseline/differential.js';
import { introspectedGuest } from './guest.js';
import { type Effort, measure, type Task } from './measure.js';
import type { Group, Line, Measurement } from './report.js';

/** Above the loop without a hook, in nanoseconds. */
const AIM_ENFORCED: Readonly<Partial<Record<ExecutorName, number>>> = { native: 45, v8: 140 };
const AIM_AUDIT = 35;
/** Beside the hook in C that reads as many registers. */
const AIM_APPENDING = 1.3;
const AIM_ELSEWHERE = 1.05;

const CODE = 0x10_0000n;
/** nop; dec ecx; jnz to the nop; nop */
const HOOKED_LOOP = Uint8Array.of(0x90, 0xff, 0xc9, 0x75, 0xfb, 0x90);
const HOOKED_END = CODE + 5n;
/** On a page of its own: add rax, rbx; xor rdx, rax; dec ecx; jnz to the add; nop */
const OTHER_CODE = CODE + 0x1000n;
const OTHER_LOOP = Uint8Array.of(0x48, 0x01, 0xd8, 0x48, 0x31, 0xc2, 0xff, 0xc9, 0x75, 0xf6, 0x90);
const OTHER_END = OTHER_CODE + 10n;

/** Arrivals at the hook in a sample, and rounds of the loop beside it. */
const ARRIVALS = 20_000;
const ROUNDS = 2_000_000;
/** Of the hook in C, once in each round. */
const BARE_ARRIVALS = 200_000;

const APPENDING = 'the hook of an audit, which appends; nothing is judged';

/** A WASM module by hand whose export `judge` takes two i32 and answers 0. */
const EMPTY_JUDGE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x07, 0x09, 0x01, 0x05, 0x6a, 0x75, 0x64, 0x67, 0x65, 0x00, 0x00],
  ...[0x0a, 0x06, 0x01, 0x04, 0x00, 0x41, 0x00, 0x0b],
);

/** An engine with a hook that some executor judges. */
interface Attached {
  readonly name: string;
  readonly executor: ExecutorName;
  readonly mode: 'enforce' | 'audit';
  readonly engine: Engine;
}

type Judge = (context: number, request: number) => number;

/** Registers in the order of a request's fields, as the x86-64 driver reads them for `__check_object_size()`. */
const REGISTERS = ['rdi', 'rsi', null, 'rdx', 'rsp', null, 'gs_base', null];

export async function copiesGroup(effort: Effort): Promise<Group> {
  const title = 'One copy of a guest under Unicorn (x86-64 loop; the time of the loop itself is in each)';
  const engines: Engine[] = [];
  const floor = tryBareHook();
  try {
    const guest = introspectedGuest();
    const good = guest.requests.find(({ copy }) => copy.size === 96n && copy.pointer < 0xffff_c000_0000_0000n);
    if (good === undefined) throw new UsercopyError('bad-input', 'the benchmark has no slab copy to make');
    const check = await Check.create({ source: builtCheck, guestBytes: 1 << 20 });
    install(check, guest);
    const { judge } = new WebAssembly.Instance(new WebAssembly.Module(EMPTY_JUDGE)).exports;
    // The one function of EMPTY_JUDGE.
    const empty = judge as Judge;
    const request = check.createRequest({ direction: 'register' });

    const stackPointer = good.registers.stackPointer;
    const open = (): Engine => {
      const engine = openUnicorn({ arch: 'X86', mode: ['64'] });
      engines.push(engine);
      engine.map(CODE, 0x10_000n, 'rwx');
      engine.write(CODE, HOOKED_LOOP);
      engine.write(OTHER_CODE, OTHER_LOOP);
      engine.writeRegisters({
        rdi: good.copy.pointer,
        rsi: good.copy.size,
        rdx: 1n,
        rsp: stackPointer,
        rbp: good.registers.framePointer,
        gs_base: good.registers.currentBase,
      });
      return engine;
    };
    const refused = () => {
      throw new UsercopyError('bad-input', 'the copy of the benchmark was refused');
    };
    const hookCopy = (
      engine: Engine,
      judge: Judge,
      native: Executor['native'] = null,
      ring: RequestRing | null = null,
    ) =>
      engine.hookCopy({
        address: CODE,
        memory: check.memory,
        requestOffset: request,
        contextOffset: check.contextOffset,
        registers: REGISTERS,
        judge,
        native: native && { check: native, outermost: false },
        onVerdict: refused,
        ring,
      });
    const loop = (engine: Engine) => arrive(engine, CODE, HOOKED_END, ARRIVALS);
    const bare = open();
    const noop = open();
    noop.hookAddress(CODE, () => {});
    const crossing = open();
    hookCopy(crossing, empty);
    const count = (engine: Engine, expected: number) => {
      check.resetStatistics();
      loop(engine);
      const judged = check.statistics().checks;
      if (judged === expected) return;
      throw new UsercopyError('engine', `the copy hook: expected ${expected} judgements, found ${judged}`);
    };
    const attached: Attached[] = [];
    let ring = check.takeRing();
    const openRing = (engine: Engine, judge: RequestRingSpec['judge'], native: Executor['native']) =>
      engine.openRing?.({
        memory: check.memory,
        ...ring,
        requestBytes: check.requestBytes,
        contextOffset: check.contextOffset,
        judge,
        native: native && { check: native, outermost: false },
        onVerdicts: refused,
      });
    /** The hook of an audit alone: its ring is emptied, and nothing in it judged. */
    const appending = open();
    const unjudged = openRing(appending, () => 0, null);
    if (unjudged) hookCopy(appending, empty, null, unjudged);
    for (const { name: executor, available } of executors(builtCheck)) {
      if (!available) continue;
      const { check: judge, checkBatch, native } = await check.executorFor(executor);
      for (const pointer of ['stack', 'slab object by struct page'] as const) {
        const rdi = pointer === 'stack' ? stackPointer + 256n : good.copy.pointer;
        const enforced = open();
        enforced.writeRegisters({ rdi });
        hookCopy(enforced, judge, native);
        count(enforced, ARRIVALS);
        attached.push({
          name: `one enforced copy, ${pointer}, ${executor}`,
          executor,
          mode: 'enforce',
          engine: enforced,
        });
        const audited = open();
        audited.writeRegisters({ rdi });
        check.releaseRing();
        ring = check.takeRing();
        const appended = openRing(audited, checkBatch, native);
        if (!appended) continue;
        hookCopy(audited, judge, native, appended);
        count(audited, ARRIVALS);
        attached.push({ name: `one audited copy, ${pointer}, ${executor}`, executor, mode: 'audit', engine: audited });
      }
    }
    const detached = open();
    hookCopy(detached, check.judgeExport).remove();
    count(detached, 0);
    const elsewhere = attached[0]?.engine ?? bare;

    const inLoop = (name: string, engine: Engine): Task => ({
      name,
      unit: 'arrival',
      units: ARRIVALS,
      run: () => loop(engine),
    });
    const beside = (name: string, engine: Engine): Task => ({
      name,
      unit: 'round',
      units: ROUNDS,
      run: () => arrive(engine, OTHER_CODE, OTHER_END, ROUNDS),
    });
    // One figure a round: the program is started in it, beside the others.
    const inC = (name: string, hook: BareHook, kind: BareHookKind): Task => {
      let milliseconds = 0;
      const enter = () => {
        milliseconds = (hook.time(kind, BARE_ARRIVALS) * BARE_ARRIVALS) / 1e6;
        return () => {};
      };
      return { name, unit: 'arrival', units: BARE_ARRIVALS, run: () => milliseconds, enter };
    };
    const floorTasks =
      floor.hook === null
        ? []
        : [
            inC('hook in C that counts', floor.hook, 'counting'),
            inC('hook in C, four registers', floor.hook, 'reading'),
          ];
    const measured = await measure(
      [
        ...floorTasks,
        inLoop('no hook', bare),
        inLoop('hook, no-op in JavaScript', noop),
        inLoop('copy hook: registers and an empty judge in WASM', crossing),
        inLoop('after detaching', detached),
        inLoop(APPENDING, appending),
        beside('code elsewhere, no hook', bare),
        beside('code elsewhere, attached', elsewhere),
        ...attached.map(({ name, executor, engine }) => ({ ...inLoop(name, engine), executor })),
      ],
      effort,
    );
    const floorLines = measured.splice(0, floorTasks.length);
    const lines = judgeLines(measured, attached, floorLines[1] ?? null);
    const plain = floorLines.map((line): Line => ({ ...line, ratio: null, aim: null }));
    const notes = [...(floor.note === null ? [] : [floor.note]), ...judgingApart(measured, attached)];
    return { title, lines: [...plain, ...lines], notes, skipped: null };
  } catch (error) {
    if (error instanceof UsercopyError && error.kind === 'missing-dependency') {
      return { title, lines: [], notes: [], skipped: error.message };
    }
    throw error;
  } finally {
    floor.hook?.close();
    for (const engine of engines) engine.close();
  }
}

/** What an audit takes beside its hook, in words: the judging of its batches. */
function judgingApart(measured: readonly Measurement[], attached: readonly Attached[]): string[] {
  const hook = measured.find(({ name }) => name === APPENDING);
  if (hook === undefined) return [];
  return attached.flatMap(({ name, mode }) => {
    const line = mode === 'audit' ? measured.find((one) => one.name === name) : undefined;
    if (line === undefined) return [];
    const judging = line.nanoseconds - hook.nanoseconds;
    return [`${name}: ${hook.nanoseconds.toFixed(0)} ns are the hook, ${judging.toFixed(0)} ns the judging in batches`];
  });
}

function tryBareHook(): { hook: BareHook | null; note: string | null } {
  try {
    return { hook: new BareHook(), note: null };
  } catch (error) {
    if (error instanceof UsercopyError) return { hook: null, note: `no hook in C: ${error.message}` };
    throw error;
  }
}

function arrive(engine: Engine, start: bigint, until: bigint, count: number): undefined {
  engine.writeRegister('rcx', BigInt(count));
  const { reason, error } = engine.runSync({ start, until });
  if (reason !== 'until') {
    throw new UsercopyError('engine', `the loop of the benchmark ended with ${reason} ${error?.text ?? ''}`);
  }
}

/** `floor`: the hook in C that reads as many registers as a request has, which native code is held against. */
function judgeLines(
  measured: readonly Measurement[],
  attached: readonly Attached[],
  floor: Measurement | null,
): Line[] {
  // In the order in which the tasks were given.
  const [bare, noop, crossing, detached, appending, elsewhere, beside, ...copies] = measured as [
    Measurement,
    Measurement,
    Measurement,
    Measurement,
    Measurement,
    Measurement,
    Measurement,
    ...Measurement[],
  ];
  const over = (line: Measurement, base: Measurement, to: string) => ({
    to,
    value: line.nanoseconds / base.nanoseconds,
  });
  const quick = (line: Measurement, mode: Attached['mode']) => {
    const most = mode === 'audit' ? AIM_AUDIT : line.executor && AIM_ENFORCED[line.executor];
    if (!most || (mode === 'audit' && line.executor === 'js')) return null;
    return { text: `≤ ${most} ns above no hook`, met: line.nanoseconds - bare.nanoseconds <= most };
  };
  const unaffected = (line: Measurement, base: Measurement) => ({
    text: `≤ ${AIM_ELSEWHERE} × without`,
    met: line.nanoseconds <= AIM_ELSEWHERE * base.nanoseconds,
  });
  return [
    { ...bare, ratio: null, aim: null },
    { ...noop, ratio: null, aim: null },
    { ...crossing, ratio: over(crossing, noop, 'the no-op'), aim: null },
    { ...detached, ratio: over(detached, bare, 'no hook'), aim: unaffected(detached, bare) },
    {
      ...appending,
      ratio: floor === null ? null : over(appending, floor, 'the hook in C'),
      aim:
        floor === null
          ? null
          : {
              text: `≤ ${AIM_APPENDING} × the hook in C`,
              met: appending.nanoseconds <= AIM_APPENDING * floor.nanoseconds,
            },
    },
    { ...elsewhere, ratio: null, aim: null },
    { ...beside, ratio: over(beside, elsewhere, 'without'), aim: unaffected(beside, elsewhere) },
    ...copies.map((line, i) => ({
      ...line,
      ratio:
        floor !== null && line.executor === 'native'
          ? over(line, floor, 'the hook in C')
          : over(line, noop, 'the no-op'),
      aim: quick(line, attached[i]?.mode ?? 'enforce'),
    })),
  ];
}
