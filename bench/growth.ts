/** How the cost of one copy grows with the number of copies, of declared ranges, of vmalloc areas, and with the guest's RAM. */
import { attach } from '../src/attach/attach.js';
import { Check } from '../src/check/check.js';
import type { Declaration } from '../src/check/parameters.js';
import { builtCheck } from '../src/engine/built-check.js';
import { UsercopyError } from '../src/errors.js';
import { loadOwnKernel, startOwnGuest } from '../src/scenario/own.js';
import { install } from './baseline/differential.js';
import { fill } from './checks.js';
import { BATCH, type BenchGuest, type BenchRequest, introspectedGuest } from './guest.js';
import { type Effort, measure } from './measure.js';
import { present } from './present.js';
import type { Measurement } from './report.js';

/** Cost at one size: nanoseconds for one copy or check, and the margin of that in percent. */
export interface GrowthPoint {
  readonly n: number;
  readonly ns: number;
  readonly margin: number;
}

export interface Growth {
  /** An attached guest that makes n copies of 8 bytes of its stack; the guest's own work is in it. */
  readonly copies: readonly GrowthPoint[];
  /** Checks of slab objects in n declared ranges. */
  readonly declaredRanges: readonly GrowthPoint[];
  /** Checks of copies in n vmalloc areas. */
  readonly vmallocAreas: readonly GrowthPoint[];
  /** An attached guest with n bytes of RAM (its allocators know the first GiB), copies as above. */
  readonly ramBytes: readonly GrowthPoint[];
}

type Size = 'smoke' | 'scaled' | 'full';

export interface GrowthOptions {
  readonly size: Size;
  readonly effort: Effort;
  readonly onProgress: (text: string) => void;
}

const MIB = 2 ** 20;
const SIZES: Readonly<Record<Size, { copies: number; things: number; ram: readonly number[] }>> = {
  smoke: { copies: 1e3, things: 1e2, ram: [32 * MIB, 64 * MIB] },
  scaled: { copies: 1e5, things: 1e4, ram: [32 * MIB, 128 * MIB, 512 * MIB] },
  full: { copies: 1e7, things: 1e5, ram: [32 * MIB, 128 * MIB, 512 * MIB, 1024 * MIB, 2048 * MIB, 3568 * MIB] },
};
const VARIANT = 'x86_64';
const TIME_LIMIT = 120_000;
/** Copies in a sample of the RAM's series. */
const COPIES = 10_000;

const powersOfTen = (most: number): number[] =>
  Array.from({ length: Math.round(Math.log10(most)) + 1 }, (_, exponent) => 10 ** exponent);

export async function growthOf({ size, effort, onProgress }: GrowthOptions): Promise<Growth> {
  const { copies, things, ram } = SIZES[size];
  onProgress('growth: copies');
  const byCopies = await timeAttached(32 * MIB, powersOfTen(copies), effort);
  const declaredRanges: GrowthPoint[] = [];
  const vmallocAreas: GrowthPoint[] = [];
  for (const n of powersOfTen(things)) {
    onProgress(`growth: ${n} declared ranges and vmalloc areas`);
    declaredRanges.push(pointAt(n, await timeBatch(declared(n), n, effort)));
    vmallocAreas.push(pointAt(n, await timeBatch(withAreas(n), 16, effort)));
  }
  const ramBytes: GrowthPoint[] = [];
  for (const bytes of ram) {
    onProgress(`growth: ${bytes / MIB} MiB of RAM`);
    const [point] = await timeAttached(bytes, [COPIES], effort);
    ramBytes.push({ ...present(point), n: bytes });
  }
  return { copies: byCopies, declaredRanges, vmallocAreas, ramBytes };
}

const pointAt = (n: number, { nanoseconds, margin }: Measurement): GrowthPoint => ({ n, ns: nanoseconds, margin });

async function timeAttached(ramBytes: number, counts: readonly number[], effort: Effort): Promise<GrowthPoint[]> {
  const guest = await startOwnGuest(await loadOwnKernel(VARIANT, 'nocheck'), { ramBytes: BigInt(ramBytes) });
  try {
    const { check } = await attach(guest.engine, guest.kernel, { judge: 'all', memory: guest.check });
    const address = guest.symbol('copy_many');
    const points: GrowthPoint[] = [];
    for (const n of counts) {
      const args = [guest.user.address, guest.stackPointer + 64n, 8n, BigInt(n)];
      const run = (): undefined => void guest.callOnce(address, args, TIME_LIMIT);
      check.resetStatistics();
      run();
      const { checks } = check.statistics();
      if (checks !== n) throw new UsercopyError('guest', `growth: expected ${n} judgements, found ${checks}`);
      const [measured] = await measure([{ name: `${n} copies`, unit: 'copy', units: n, run }], effort);
      points.push(pointAt(n, present(measured)));
    }
    return points;
  } finally {
    guest.close();
  }
}

async function timeBatch(guest: BenchGuest, declarations: number, effort: Effort): Promise<Measurement> {
  const check = await Check.create({
    source: builtCheck,
    guestBytes: guest.regions.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 65_536) * 65_536, 65_536),
    ...{ requestCapacity: BATCH, declaredCapacity: declarations },
  });
  install(check, guest);
  const requests = fill(check, guest.requests);
  const run = (): undefined => void check.judgeBatchExport(check.contextOffset, requests, guest.requests.length);
  run();
  const { reasons } = check.statistics();
  const wrong = reasons.find(({ outcome, count }) => outcome !== 'good' && count > 0);
  if (wrong)
    throw new UsercopyError('bad-input', `growth: expected good verdicts, found ${wrong.outcome}: ${wrong.by}`);
  const [measured] = await measure([{ name: 'batch', unit: 'check', units: guest.requests.length, run }], effort);
  return present(measured);
}

const OBJECT = 64n;
const RANGE = 4096n;
/** Above the linear alias of the kernel text. */
const RANGES_START = 0xffff_8881_0000_0000n;

/** Requests evenly over `count` targets, in an order that no cache foresees: a stride that shares no factor with it. */
function spread(count: number, target: (index: number) => bigint, { registers }: BenchRequest): BenchRequest[] {
  return Array.from({ length: BATCH }, (_, i) => ({
    copy: { pointer: target((i * 7919) % count), size: OBJECT, direction: 'to_user' },
    registers,
  }));
}

/** A guest of so many declared slabs of a page, a gap of a page behind each, and copies of their first objects. */
export function declared(count: number): BenchGuest {
  const { parameters, requests } = introspectedGuest();
  const start = (index: number): bigint => RANGES_START + BigInt(index) * 2n * RANGE;
  const declarations = Array.from({ length: count }, (_, index): Declaration => {
    const range = { start: start(index), end: start(index) + RANGE };
    return { kind: 'slab', cache: 'growth', objectSize: OBJECT, objectStride: OBJECT, ...range };
  });
  return {
    parameters: {
      ...parameters,
      introspection: null,
      stack: { ...parameters.stack, current: { kind: 'declared' } },
    },
    declarations,
    regions: [],
    requests: spread(count, start, present(requests[0])),
  };
}

/** A guest of so many vmalloc areas, and copies from and to their first bytes. */
export function withAreas(count: number): BenchGuest {
  const guest = introspectedGuest({ areas: count });
  return { ...guest, requests: spread(count, (index) => present(guest.areas[index]), present(guest.requests[0])) };
}
