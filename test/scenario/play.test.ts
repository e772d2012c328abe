import { describe, expect, it } from 'vitest';
import { UsercopyError } from '../../src/errors.js';
import type { Scenario } from '../../src/scenario/format.js';
import { ownVariants } from '../../src/scenario/own.js';
import { playScenario } from '../../src/scenario/play.js';
import { parseScenario, scenarioInMemory } from '../../src/scenario/read.js';

/** Every kind of object and its edges; the messages are worked out by hand from the numbers written here. */
const objectsOf = (variant: string, profile: string): Scenario => ({
  guest: { variant, profile, ram: 32 << 20 },
  objects: {
    cred: { slab: { cache: 'cred_jar', objectSize: 168, size: 192, useroffset: 0, usersize: 0, index: 3 } },
    buffer: { slab: { cache: 'kmalloc-1k', objectSize: 1024 } },
    zoned: { slab: { cache: 'zoned', objectSize: 96, redLeftPad: 32, index: 2 } },
    folio: { compoundPage: { order: 2 } },
    plain: { pages: { count: 2 } },
    reserved: { pages: { count: 2, reserved: 2 } },
    cma: { pages: { count: 2, cma: 1 } },
    area: { vmalloc: { pages: 2 } },
    k64: { result: { call: 'kmalloc(64)', size: 64 } },
    cache: { result: { call: 'kmem_cache_create_usercopy("mine", 256, 8, 0, 64, 32)' } },
    mine: { result: { call: 'kmem_cache_alloc(cache)', size: 256 } },
    raw: { bytes: { size: 16, hex: '00 ff' } },
  },
  steps: [
    { copy: { pointer: 'cred', size: 8, direction: 'to_user' } },
    { copy: { pointer: 'buffer + 16', size: 1008, direction: 'to_user' } },
    { copy: { pointer: 'buffer + 16', size: 1024, direction: 'to_user' } },
    { copy: { pointer: 'buffer.end - 1', size: 2, direction: 'from_user' } },
    { copy: { pointer: 'zoned - 8', size: 8, direction: 'to_user' } },
    { copy: { pointer: 'zoned', size: 96, direction: 'from_user' } },
    { copy: { pointer: 'folio.end - 8', size: 16, direction: 'from_user' } },
    { copy: { pointer: 'plain.end - 8', size: 16, direction: 'from_user' } },
    { copy: { pointer: 'reserved + 8', size: 4096, direction: 'from_user' } },
    { copy: { pointer: 'cma + 8', size: 70000, direction: 'from_user' } },
    { copy: { pointer: 'area.end - 8', size: '0x40000', direction: 'to_user' } },
    { copy: { pointer: 'mine + 64', size: 32, direction: 'from_user' } },
    { copy: { pointer: 'mine + 63', size: 32, direction: 'from_user' } },
    { copy: { pointer: 'lm_alias(_stext) + 8', size: 16, direction: 'from_user' } },
    { copy: { pointer: '_etext - 8', size: 16, direction: 'to_user' } },
    { copy: { pointer: 'stack + 64', size: 16, direction: 'from_user' } },
    { copy: { pointer: 'stack - 8', size: 16, direction: 'from_user' } },
    { copy: { pointer: 'sp + 64', size: 16, direction: 'to_user' } },
    { copy: { pointer: 'raw', size: 16, direction: 'to_user' } },
    { copy: { pointer: 0, size: 16, direction: 'to_user' } },
    { call: 'do_copy(user, k64, 65, 1)' },
    { call: 'do_copy(user, k64, 64, 0)', expect: { returns: 0 } },
  ],
});

describe('a scenario on a built-in guest', () => {
  it('does not take a BUG() that nothing foresaw for what was expected', async () => {
    // usercopy_abort(name, detail, to_user, offset, len)
    const call = 'usercopy_abort(0, 0, 1, 0, 8)';
    const run = await playScenario(
      scenarioInMemory({
        guest: { variant: 'x86_64' },
        judge: 'all',
        steps: [{ call }, { call, expect: { ends: 'bug' } }],
      }),
    );
    expect(run.ok).toBe(false);
    expect(run.rows[0]).toMatchObject({ ends: 'bug', bug: expect.stringContaining('usercopy_abort') });
    expect(run.rows[0]?.unmet).toEqual([
      expect.stringMatching(/^no BUG\(\) was expected, found one at usercopy_abort/),
    ]);
    expect(run.rows[1]?.unmet).toEqual([]);
  });

  it.each([...ownVariants().map((variant) => [variant, '6.1'] as const), ['x86_64', 'v3-cma'] as const])(
    "of %s is judged by the guest's own check of %s just as by ours",
    async (variant, profile) => {
      const run = await playScenario(scenarioInMemory(objectsOf(variant, profile)));
      expect(run.rows.filter((row) => row.identical !== true)).toEqual([]);
      expect(run.rows.filter((row) => row.guest !== null).length).toBeGreaterThanOrEqual(8);
      expect(run.rows.at(-1)?.unmet).toEqual([]);
    },
  );
});

describe("switches of a profile that the built-in guests' own check has too", () => {
  const frames = (variant: string, profile: string): Scenario => ({
    guest: { variant, profile, ram: 32 << 20 },
    steps: ['good(user, 32, 1)', 'caller(user, 32, 0)', 'record(user, 32, 1)', 'bad(user, 32, 1)'].map((call) => ({
      call: `copy_stack_frame_${call}`,
    })),
  });

  it.each([
    ['x86_64', '6.1', false, true],
    ['x86_64', '6.1,no-frames', true, true],
    ['x86_64', 'v3,no-frames', true, false],
    ['arm64', '6.1', true, true],
    ['arm64', '6.1,frames', false, true],
    ['x86_64', '6.1,bypass', true, false],
  ] as const)('%s by %s: frames and the stack below the stack pointer', async (variant, profile, passes, below) => {
    const { rows } = await playScenario(scenarioInMemory(frames(variant, profile)));
    expect(rows.map(({ identical }) => identical)).toEqual([true, true, true, true]);
    expect(rows.map(({ outcome }) => outcome === 'good')).toEqual([true, true, passes, !below]);
  });

  it('name the allocator in messages', async () => {
    const run = await playScenario(
      scenarioInMemory({
        guest: { variant: 'x86_64', profile: '4.16,slab', ram: 32 << 20 },
        objects: { b: { slab: { cache: 'kmalloc-8', objectSize: 8 } } },
        steps: [{ copy: { pointer: 'b', size: 16, direction: 'to_user' }, expect: { outcome: 'bad' } }],
      }),
    );
    expect(run.rows[0]?.ours).toBe(
      "usercopy: Kernel memory exposure attempt detected from SLAB object 'kmalloc-8' (offset 0, size 16)!",
    );
  });
});

describe('a scenario', () => {
  it('comes out the same every time, down to the instruction', async () => {
    const file = scenarioInMemory(objectsOf('x86_64', '6.1'));
    expect(await playScenario(file)).toEqual(await playScenario(file));
  });

  it('says what was expected otherwise, and that nobody foresaw a refusal', async () => {
    const line =
      "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-1k' (offset 16, size 1024)!";
    const copy = { pointer: 'buffer + 16', size: 1024, direction: 'to_user' } as const;
    const play = (expect: object | undefined) =>
      playScenario(
        scenarioInMemory({
          guest: { variant: 'arm64' },
          objects: { buffer: { slab: { cache: 'kmalloc-1k', objectSize: 1024 } } },
          steps: [{ copy, ...(expect ? { expect } : {}) }],
        }),
      );
    const met = await play({ message: line, outcome: 'bad', region: 'slab object', ends: 'bug', guest: line });
    expect(met.ok).toBe(true);
    expect((await play({ message: null })).rows[0]?.unmet).toEqual([`message: expected none, found ${line}`]);
    expect((await play({ outcome: 'good', instructions: 1 })).rows[0]?.unmet.length).toBe(2);
    const unforeseen = await play(undefined);
    expect(unforeseen.ok).toBe(false);
    expect(unforeseen.rows[0]?.unmet).toEqual([`no refusal was expected, found ${line}`]);
  });

  it('judges by rules that no guest of ours knows, and by memory that is only declared', async () => {
    const run = await playScenario(
      scenarioInMemory({
        guest: { variant: 'x86_64', profile: '4.16,pagespan,fallback' },
        objects: {
          b: { slab: { cache: 'kmalloc-1k', objectSize: 1024, usersize: 100 } },
          p: { pages: { count: 2 } },
          far: {
            declared: {
              kind: 'slab',
              start: '0xffff951a092de8e8',
              end: '0xffff951a092de8f0',
              cache: 'kmalloc-8',
              objectSize: 8,
            },
          },
        },
        steps: [
          { copy: { pointer: 'b', size: 1024, direction: 'to_user' }, expect: { region: 'slab object by fallback' } },
          { copy: { pointer: 'p + 16', size: 4096, direction: 'to_user' }, expect: { region: 'spans multiple pages' } },
          {
            copy: { pointer: '0xffff951a092de8e8', size: 128, direction: 'to_user' },
            expect: {
              message:
                "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-8' (offset 0, size 128)!",
            },
          },
        ],
      }),
    );
    expect(run.rows.flatMap((row) => row.unmet)).toEqual([]);
    expect(run.rows.map((row) => row.identical)).toEqual([null, null, null]);
    expect(run.ok).toBe(true);
  });

  it('copies through the entry points of a kernel that has no check', async () => {
    const run = await playScenario(
      scenarioInMemory({
        guest: { variant: 'ppc64', build: 'nocheck' },
        objects: { b: { slab: { cache: 'kmalloc-1k', objectSize: 1024 } } },
        steps: [
          { copy: { pointer: 'b + 1', size: 1024, direction: 'to_user' }, expect: { outcome: 'bad', ends: 'stopped' } },
          { copy: { pointer: 'b + 1', size: 1023, direction: 'from_user' }, expect: { outcome: 'good', returns: 0 } },
        ],
      }),
    );
    expect(run.judge).toBe('all');
    expect(run.rows.flatMap((row) => row.unmet)).toEqual([]);
  });
});

it('a slot of kmap() ends with its page, where there is highmem', async () => {
  const run = await playScenario(
    scenarioInMemory({
      guest: { variant: 'i386', ram: 32 << 20 },
      objects: { slot: { kmap: { slot: 3 } } },
      steps: [
        {
          copy: { pointer: 'slot + 16', size: 4080, direction: 'to_user' },
          expect: { outcome: 'good', region: 'kmap' },
        },
        {
          copy: { pointer: 'slot + 16', size: 4081, direction: 'from_user' },
          expect: { message: 'usercopy: Kernel memory overwrite attempt detected to kmap (offset 16, size 4081)!' },
        },
      ],
    }),
  );
  expect(run.rows.flatMap((row) => row.unmet)).toEqual([]);
  expect(run.rows.map((row) => row.identical)).toEqual([true, true]);
});

it("a scenario on Debian's kernel is judged by that kernel's own check", async (context) => {
  const { objects = {}, steps } = objectsOf('x86_64', 'auto');
  const { k64: _k64, cache: _cache, mine: _mine, ...made } = objects;
  const isMade = ({ copy }: Scenario['steps'][number]): boolean => !/^(undefined|mine.*)$/.test(String(copy?.pointer));
  const scenario: Scenario = {
    guest: { variant: 'x86_64', release: 'bookworm' },
    objects: made,
    steps: steps.filter(isMade),
  };
  const run = await playScenario(scenarioInMemory(scenario)).catch((error: unknown) => {
    if (error instanceof UsercopyError && error.kind === 'missing-dependency') return error.message;
    throw error;
  });
  if (typeof run === 'string') return context.skip(run);
  expect(run.rows.filter((row) => row.identical !== true)).toEqual([]);
  expect(run.rows.filter((row) => row.guest !== null).length).toBeGreaterThanOrEqual(8);
});

describe('what cannot be is told with its place in the file', () => {
  const guest = 'guest: { variant: x86_64 }';
  const step = 'steps: [{ copy: { pointer: a, size: 1, direction: to_user } }]';
  const object = (text: string): string => `${guest}\nobjects:\n  a: ${text}\n${step}\n`;

  it.each([
    [
      'a variant without a guest',
      `guest: { variant: vax }\n${step}`,
      /^f:1:19: expected a built-in guest: one of .*'vax'/,
    ],
    [
      'two kernels',
      `guest: { variant: x86_64, kernel: v }\n${step}`,
      /^f:1:10: expected no variant beside 'kernel', found one/,
    ],
    ['no kernel', `guest: {}\n${step}`, /^f:1:8: expected 'variant' or 'kernel' in guest/],
    ['an image that is not there', `guest: { kernel: absent }\n${step}`, /^f:1:8: .*absent: expected a readable file/],
    ['a profile', `guest: { variant: x86_64, profile: "9.9" }\n${step}`, /^f:1:36: profile: expected one of v3/],
    ['a name that nothing has', `${guest}\n${step}`, /^f:2:28: expected an object, stack, .*found 'a'/],
    [
      'an object past its slab',
      object('{ slab: { cache: c, objectSize: 64, order: 0, index: 64 } }'),
      /^f:3:4\d: expected a slab of at least 4160 bytes, found 4096/,
    ],
    [
      'a window past its object',
      object('{ slab: { cache: c, objectSize: 64, useroffset: 60, usersize: 5 } }'),
      /^f:3:6\d: expected a whitelist inside/,
    ],
    [
      'more Reserved pages than pages',
      object('{ pages: { count: 1, reserved: 2 } }'),
      /^f:3:37: expected at most 1 pages/,
    ],
    ['kmap without highmem', object('{ kmap: { slot: 1 } }'), /^f:3:6: x86_64: this kernel has no highmem/],
    [
      'more RAM than there is',
      object('{ vmalloc: { pages: 65536 } }').replace('x86_64', 'x86_64, ram: 0x1000000000000'),
      /^f:1:32: expected whole MiB/,
    ],
    ['a function that is none', object('{ result: { call: nosuch(1) } }'), /^f:3:6: .*expected a symbol nosuch/],
    [
      'a function that faults',
      object('{ result: { call: kfree(0x123456789) } }'),
      /^f:3:6: kfree: the function ended at/,
    ],
    ['a call that is none', `${guest}\nsteps: [{ call: 3 + 4 }]`, /^f:2:17: expected a call: symbol\(argument, …\)/],
    [
      'half an expression',
      `${guest}\nsteps: [{ call: "f(1 +" }]`,
      /^f:2:17: 'f\(1 \+': expected a name or a number, found the end/,
    ],
    [
      'a copy and a call',
      `${guest}\nsteps: [{ call: f(), copy: { pointer: 0, size: 1, direction: to_user } }]`,
      /^f:2:9: expected either 'copy' or 'call', found both/,
    ],
    [
      'declared memory that ends before it starts',
      object('{ declared: { kind: stack, start: 2, end: 1 } }'),
      /^f:3:48: expected more than 'start'/,
    ],
    [
      'a declared slab without a size',
      object('{ declared: { kind: slab, start: 1, end: 9, cache: c } }'),
      /^f:3:26: expected 'objectSize' beside/,
    ],
    [
      'a field of another kind',
      object('{ declared: { kind: stack, start: 1, end: 9, cache: c } }'),
      /^f:3:51: expected none of it beside the kind 'stack', found 'cache'/,
    ],
    [
      'declared memory twice',
      `${guest}\nobjects:\n  a: { declared: { kind: stack, start: 1, end: 9 } }\n  b: { declared: { kind: stack, start: 1, end: 9 } }\n${step}`,
      /^f:\d+:\d+: declared stack .*expected addresses that no such declaration holds/,
    ],
  ])('%s', async (_what, text, message) => {
    const error = await playScenario(parseScenario(text, 'f')).then(
      () => new Error('it was played'),
      (reason: unknown) => reason as Error,
    );
    expect(error.message).toMatch(message);
    expect(error).toBeInstanceOf(UsercopyError);
  });
});
