/** Public functions take no option that nobody reads: a slip of the pen is told, with what there is. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findVariant } from '../arch/index.js';
import { openUnicorn, openUnicornJs } from '../src/engine/index.js';
import { UsercopyError } from '../src/errors.js';
import {
  builtCheck,
  Check,
  checkParametersOf,
  fetchKernel,
  type Guest,
  importKernels,
  judgeReport,
  prepareHarness,
  remoteKernels,
} from '../src/index.js';
import type { Kernel } from '../src/kernel/kernel.js';
import { formatMessage, parseReports } from '../src/report/index.js';
import { identifyInDump, judgeDump, openDump, reproduceDump } from '../src/repro/index.js';
import { loadOwnKernel, startOwnGuest } from '../src/scenario/own.js';

/** What JavaScript may give, whatever the types say. */
// biome-ignore lint/suspicious/noExplicitAny: that is what is tested.
const any = (value: unknown): any => value;

let kernel: Kernel;
let guest: Guest;
let check: Check;
beforeAll(async () => {
  kernel = await loadOwnKernel('x86_64');
  guest = await startOwnGuest(kernel);
  check = await Check.create({ source: builtCheck, guestBytes: 0 });
});
afterAll(() => guest.close());

const report = () =>
  parseReports(
    "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size 65)!\nkernel BUG at mm/usercopy.c:102!\n",
  )[0];
const copy = { pointer: 1n, size: 1n, direction: 'to_user' };
const bad = { outcome: 'bad', by: 'kmap', offset: 0n, size: 1n, object: null };
const spec = { arch: 'X86', mode: ['64'] };

const CASES: readonly (readonly [string, () => unknown, RegExp])[] = [
  ['judgeReport', () => judgeReport(any(report()), any({ profil: '6.1' })), /profile, given, .*did you mean 'profile'/],
  [
    'judgeReport',
    () => judgeReport(any(report()), any({ given: { ...copy, direction: 'user' } })),
    /'to_user', 'from_user'/,
  ],
  ['judgeReport', () => judgeReport(any('a log')), /judgeReport: report: expected an object, found 'a log'/],
  ['Check.create', () => Check.create(any({ source: builtCheck, guestByte: 0 })), /did you mean 'guestBytes'/],
  ['Check.create', () => Check.create(any({ source: builtCheck })), /guestBytes: expected a whole number of 0 or more/],
  ['Check.create', () => Check.create(any({ source: builtCheck, guestBytes: 0, executor: 'v9' })), /'v8'/],
  [
    'Check.create',
    () => Check.create(any({ guestBytes: 0 })),
    /source: expected where check\.wasm comes from .*undefined/,
  ],
  ['createRequest', () => check.createRequest(any({ direction: 'to_usr' })), /'to_user', .*did you mean 'to_user'/],
  ['createRequest', () => check.createRequest(any({})), /direction: expected one of 'to_user'/],
  [
    'judge',
    () => guest.check.judge(any({ ...copy, direction: 'register' }), any({})),
    /'to_user', 'from_user', found 'register'/,
  ],
  ['declare', () => check.declare(any({ kind: 'stac', start: 0n, end: 1n })), /did you mean 'stack'/],
  ['declare', () => check.declare(any({ kind: 'stack', start: 0n, end: 1n, size: 1n })), /found 'size'/],
  ['declare', () => check.declare(any({ kind: 'pages', start: 0n, end: 1n, type: 'plan' })), /did you mean 'plain'/],
  [
    'declare',
    () => check.declare(any({ kind: 'slab', start: 0n, end: 1n, cache: 'a', objectSize: 1n })),
    /objectStride: expected a bigint/,
  ],
  ['prepareHarness', () => prepareHarness(kernel, any({ judge: 'al' })), /did you mean 'all'/],
  ['prepareHarness', () => prepareHarness(kernel, any({ onViolation: 'stop' })), /expected one of judge, /],
  [
    'checkParametersOf',
    () => checkParametersOf(kernel, any(findVariant('x86_64')), any({ profile: '6.1' })),
    /expected one of switches, /,
  ],
  ['fetchKernel', () => fetchKernel('x86_64', any({ realease: 'sid' })), /did you mean 'release'/],
  [
    'remoteKernels',
    () => remoteKernels('x86_64', any({ release: 'sid' })),
    /expected one of suite, cacheDirectory, drivers/,
  ],
  ['importKernels', () => importKernels('/nowhere', any({ cacheDir: '/tmp' })), /did you mean 'cacheDirectory'/],
  ['openDump', () => openDump('/nowhere', any({ kernel: null })), /expected one of image, readKernelInDump, registers/],
  ['judgeDump', () => judgeDump(any({ dump: '/nowhere', registres: null }), null), /did you mean 'registers'/],
  ['judgeDump', () => judgeDump(any({}), null), /dump: expected a text, found undefined/],
  ['identifyInDump', () => identifyInDump(any({}), 0n), /dump: expected a text, found undefined/],
  ['identifyInDump', () => identifyInDump(any({ dump: '/x', kernl: '' }), 0n), /did you mean 'kernel'/],
  ['identifyInDump', () => identifyInDump({ dump: '/x', registers: null }, any(1)), /address: expected a bigint/],
  [
    'identifyInDump',
    () => identifyInDump({ dump: '/x', registers: null }, 0n, { readingLimit: Number.NaN }),
    /readingLimit: expected milliseconds above 0, found NaN/,
  ],
  [
    'judgeDump',
    () => judgeDump(any({ dump: '/nowhere' }), any({ pointer: 1n })),
    /copy: size: expected a bigint of 0 or more/,
  ],
  ['reproduceDump', () => reproduceDump(any({ dump: '/nowhere' }), null, null, any({ timeLimit: 1 })), /readingLimit/],
  ['openUnicorn', () => openUnicorn(spec, any({ lib: '/usr' })), /did you mean 'library'/],
  ['openUnicorn', () => openUnicorn(any({ ...spec, model: 'x' })), /expected one of arch, mode, cpu, mmu/],
  ['openUnicorn', () => openUnicorn(any({ arch: 'X86' })), /mode: expected an array, found undefined/],
  ['run', () => guest.engine.run(any({ start: 0n, until: 0n, timeout: 5 })), /did you mean 'timeLimit'/],
  ['runSync', () => guest.engine.runSync(any({ start: 0n, until: 0n, limit: 5 })), /expected one of resume, start, /],
  ['Guest.call', () => guest.call('kmalloc', [64n], any({ timeout: 5 })), /did you mean 'timeLimit'/],
  [
    'formatMessage',
    () => formatMessage(any(bad), any(copy), any({ format: 'newer', bits: 64, allocator: 'SLUB' })),
    /did you mean 'new'/,
  ],
  [
    'formatMessage',
    () =>
      formatMessage(any(bad), any({ ...copy, direction: 'read' }), any({ format: 'new', bits: 64, allocator: 'SLUB' })),
    /'to_user'/,
  ],
];

describe('what is no option', () => {
  it.each(CASES)('of %s is told in one sentence', async (_, call, sentence) => {
    const error: UsercopyError = await Promise.resolve()
      .then(call)
      .then(
        () => expect.unreachable('it was taken'),
        (thrown) => thrown,
      );
    expect(error).toMatchObject({ name: 'UsercopyError', kind: 'bad-input' });
    expect(error.message).toMatch(sentence);
    expect(error.message).not.toContain('\n');
  });

  it('is told by unicorn.js as well', async (context) => {
    const open = await openUnicornJs().catch((error: unknown) => {
      if (error instanceof UsercopyError && error.kind === 'missing-dependency') return null;
      throw error;
    });
    if (open === null) return context.skip('unicorn.js is not here (UNICORN_JS names one)');
    expect(() => open(any({ ...spec, model: 'x' }))).toThrow(/expected one of arch, mode, cpu, mmu/);
  });
});
