/** What the check itself costs: a batch of mixed copies by every executor, in C and by the oracle. */
import { Check, type ExecutorName, executors } from '../src/check/check.js';
import type { Verdict } from '../src/check/verdict.js';
import { builtCheck } from '../src/engine/built-check.js';
import { UsercopyError } from '../src/errors.js';
import { install } from './baseline/differential.js';
import { oracle } from './baseline/oracle.js';
import { readerOf } from './baseline/worlds/world.js';
import { BATCH, type BenchGuest, type BenchRequest } from './guest.js';
import { type Effort, measure, QUICK, type Task } from './measure.js';
import { present } from './present.js';
import type { Group, Line } from './report.js';
import { runTwin, type TwinVerdict } from './twin.js';

/** Times as long as the C twin that the check may take, by executor; JavaScript has no aim. */
const AIM_OVER_TWIN: Readonly<Partial<Record<ExecutorName, number>>> = { native: 1.6, v8: 2 };
/** Times as fast as the oracle that every executor should be. */
const AIM_UNDER_ORACLE = 10;
/** The oracle judges so many copies a sample: it is slow. */
const ORACLE_SAMPLE = 4096;
const TWIN_ROUNDS = 400;
const QUICK_TWIN_ROUNDS = 3;
/** Names of the lines that are no executor's. */
export const TWIN = 'C twin, -O2';
export const ORACLE = 'oracle';

/** Measures one guest on every executor. All must first give the oracle's verdicts: a wrong answer has no speed. */
export async function checksGroup(title: string, guest: BenchGuest, effort: Effort): Promise<Group> {
  const read = readerOf(guest);
  const judge = ({ copy, registers }: BenchRequest) =>
    oracle(guest.parameters, read, guest.declarations, copy, registers);
  const expected = guest.requests.map(judge);
  const twin = tryTwin(guest, effort === QUICK ? QUICK_TWIN_ROUNDS : TWIN_ROUNDS);
  expected.forEach((verdict, i) => {
    if (twin.run !== null) agree('the C twin', i, verdict, twin.run.verdicts[i]);
  });

  const tasks: Task[] = [];
  const notes = twin.note === null ? [] : [twin.note];
  for (const { name: executor, available, why } of executors(builtCheck)) {
    if (!available) {
      notes.push(`no ${executor}: ${why}`);
      continue;
    }
    const check = await Check.create({
      source: builtCheck,
      guestBytes: guest.regions.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 65_536) * 65_536, 65_536),
      requestCapacity: BATCH,
      executor,
    });
    install(check, guest);
    const requests = fill(check, guest.requests);
    const run = () => {
      check.judgeBatchExport(check.contextOffset, requests, BATCH);
      return undefined;
    };
    run();
    expected.forEach((verdict, i) => {
      agree(executor, i, verdict, check.verdictOf(requests + i * check.requestBytes));
    });
    tasks.push({ name: `check, ${executor}`, executor, unit: 'check', units: BATCH, run });
  }
  tasks.push({
    name: ORACLE,
    unit: 'check',
    units: ORACLE_SAMPLE,
    run: () => {
      for (let i = 0; i < ORACLE_SAMPLE; i++) judge(present(guest.requests[i]));
      return undefined;
    },
  });
  if (twin.run !== null) {
    const { rounds } = twin.run;
    let round = 0;
    tasks.push({
      name: TWIN,
      unit: 'check',
      units: BATCH,
      run: () => present(rounds[round++ % rounds.length]),
    });
  }
  const measured = await measure(tasks, effort);
  const slow = present(measured.find((one) => one.name === ORACLE));
  const fast = measured.find((one) => one.name === TWIN);
  const lines = measured.map((one): Line => {
    if (one.executor !== null && fast !== undefined) {
      const value = one.nanoseconds / fast.nanoseconds;
      const most = AIM_OVER_TWIN[one.executor];
      const aim = most === undefined ? null : { text: `≤ ${most} × the C twin`, met: value <= most };
      return { ...one, ratio: { to: 'the C twin', value }, aim };
    }
    if (one !== slow) return { ...one, ratio: null, aim: null };
    const slowest = Math.max(...measured.filter(({ executor }) => executor !== null).map((line) => line.nanoseconds));
    const value = slow.nanoseconds / slowest;
    const aim = { text: `≥ ${AIM_UNDER_ORACLE} × every executor`, met: value >= AIM_UNDER_ORACLE };
    return { ...one, ratio: { to: 'the slowest executor', value }, aim };
  });
  return { title, lines, notes, skipped: null };
}

/** Writes the requests into the check's memory, as hooks would; gives the offset of the first. */
export function fill(check: Check, requests: readonly BenchRequest[]): number {
  const first = check.createRequests({ direction: 'register' }, requests.length);
  requests.forEach(({ copy, registers }, i) => {
    const fields = new BigUint64Array(check.memory.buffer, first + i * check.requestBytes, check.requestFields.length);
    const values: Readonly<Record<string, bigint>> = {
      pointer: copy.pointer,
      size: copy.size,
      direction: copy.direction === 'to_user' ? 1n : 0n,
      ...registers,
    };
    check.requestFields.forEach((field, at) => {
      fields[at] = values[field] ?? 0n;
    });
  });
  return first;
}

function tryTwin(guest: BenchGuest, rounds: number) {
  try {
    return { run: runTwin(guest, rounds), note: null };
  } catch (error) {
    if (error instanceof UsercopyError) return { run: null, note: `no C twin: ${error.message}` };
    throw error;
  }
}

function agree(who: string, index: number, expected: Verdict, actual: Verdict | TwinVerdict | undefined): void {
  const numbers = (verdict: Verdict | TwinVerdict | undefined) =>
    verdict?.outcome === 'bad' && 'offset' in verdict ? `bad ${verdict.offset} ${verdict.size}` : verdict?.outcome;
  if (numbers(expected) === numbers(actual)) return;
  throw new UsercopyError(
    'bad-input',
    `${who}, copy ${index} of the benchmark: expected ${numbers(expected)}, found ${numbers(actual)}`,
  );
}
