/** What the check itself costs: a batch of mixed copies in WASM, in C and by the oracle. */
import { Check } from '../src/check.js';
import { UsercopyError } from '../src/errors.js';
import type { Verdict } from '../src/verdict.js';
import { install } from '../test/differential.js';
import { oracle } from '../test/oracle.js';
import { readerOf } from '../test/worlds/world.js';
import { BATCH, type BenchGuest, type BenchRequest } from './guest.js';
import { measure, type Task } from './measure.js';
import type { Group, Measurement } from './report.js';
import { runTwin, type TwinVerdict } from './twin.js';

/** Times as long as the C twin that the check may take, and times as fast as the oracle that it should be. */
const AIM_OVER_TWIN = 2;
const AIM_UNDER_ORACLE = 10;
/** The oracle judges so many copies a sample: it is slow. */
const ORACLE_SAMPLE = 4096;
const TWIN_ROUNDS = 400;

/** Measures one guest. All three must first give the same verdicts: a wrong answer has no speed. */
export async function checksGroup(title: string, name: string, guest: BenchGuest): Promise<Group> {
  const check = await Check.create({
    guestBytes: guest.regions.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 65_536) * 65_536, 65_536),
    requestCapacity: BATCH,
  });
  install(check, guest);
  const requests = fill(check, guest.requests);
  const judgeBatch = () => {
    check.judgeBatchExport(check.contextOffset, requests, BATCH);
    return undefined;
  };
  const read = readerOf(guest);
  const judge = ({ copy, registers }: BenchRequest) =>
    oracle(guest.parameters, read, guest.declarations, copy, registers);

  judgeBatch();
  const verdicts = guest.requests.map((_, i) => check.verdictOf(requests + i * check.requestBytes));
  const twin = tryTwin(guest, name);
  guest.requests.forEach((request, i) => {
    const expected = judge(request);
    agree('check.wasm', i, expected, verdicts[i]);
    if (twin.run !== null) agree('the C twin', i, expected, twin.run.verdicts[i]);
  });

  const tasks: Task[] = [
    { name: 'check.wasm', unit: 'check', units: BATCH, run: judgeBatch },
    {
      name: 'oracle',
      unit: 'check',
      units: ORACLE_SAMPLE,
      run: () => {
        for (let i = 0; i < ORACLE_SAMPLE; i++) judge(guest.requests[i] as BenchRequest);
        return undefined;
      },
    },
  ];
  if (twin.run !== null) {
    const { rounds } = twin.run;
    let round = 0;
    tasks.push({
      name: 'C twin, -O2',
      unit: 'check',
      units: BATCH,
      run: () => rounds[round++ % rounds.length] as number,
    });
  }
  const [wasm, slow, fast] = (await measure(tasks)) as [Measurement, Measurement, Measurement | undefined];
  const lines = [{ ...wasm, ratio: null, aim: null }];
  const held = [];
  if (fast !== undefined) {
    const value = wasm.nanoseconds / fast.nanoseconds;
    const aim = { text: `check ≤ ${AIM_OVER_TWIN} × it`, met: value <= AIM_OVER_TWIN };
    held.push({ ...fast, ratio: { to: 'it is the check', value }, aim });
  }
  const value = slow.nanoseconds / wasm.nanoseconds;
  const aim = { text: `≥ ${AIM_UNDER_ORACLE} × the check`, met: value >= AIM_UNDER_ORACLE };
  held.push({ ...slow, ratio: { to: 'the check', value }, aim });
  return { title, lines: [...lines, ...held], notes: twin.note === null ? [] : [twin.note], skipped: null };
}

/** Writes the requests into the check's memory, as hooks would; gives the offset of the first. */
function fill(check: Check, requests: readonly BenchRequest[]): number {
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

function tryTwin(guest: BenchGuest, name: string) {
  try {
    return { run: runTwin(guest, name, TWIN_ROUNDS), note: null };
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
