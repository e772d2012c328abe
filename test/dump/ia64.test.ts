/**
 * A dump of ia64 that was made by hand: no real one was to be had, so none judged this. The expected lines are written from
 * mm/usercopy.c of 6.1 (check_bogus_address, check_stack_object, check_heap_object, check_kernel_text_object) and
 * __check_heap_object() of mm/slub.c.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drivers } from '../../arch/index.js';
import type { Copy } from '../../src/check/verdict.js';
import { DumpJudge } from '../../src/dump/judge.js';
import { type Dump, openDump } from '../../src/dump/open-dump.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { loadKernel } from '../../src/image/load.js';
import { nativeZlib } from '../../src/image/native-zlib.js';
import { readConfig } from '../../src/kernel/config.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { packageFile } from '../../src/paths.js';
import { Scratch } from './core-builder.js';
import {
  CACHED,
  type Ia64Machine,
  ia64Machine,
  KERNEL_PHYSICAL,
  KERNEL_START,
  SLAB,
  STACK,
  THREAD_BYTES,
  UNTOLD,
  VMALLOC_START,
} from './ia64-machine.js';

const scratch = new Scratch();
const opened: Dump[] = [];
afterAll(() => {
  for (const dump of opened) dump.close();
  scratch.remove();
});

let machine: Ia64Machine;
let image: Kernel;
let vmlinux: string;

beforeAll(async () => {
  const guest = packageFile('guests/elf/x86_64.elf');
  machine = ia64Machine(await loadKernel(guest), guest);
  vmlinux = join(scratch.directory, 'vmlinux');
  writeFileSync(vmlinux, machine.vmlinux);
  image = await loadKernel({ bytes: machine.vmlinux, name: 'vmlinux' }, { drivers });
});

async function judgeOf(options?: Parameters<Ia64Machine['core']>[0]): Promise<DumpJudge> {
  const dump = await openDump(scratch.write(machine.core(options)), { image });
  opened.push(dump);
  return DumpJudge.create(dump, { source: builtCheck });
}

const to = (pointer: bigint, size: bigint): Copy => ({ pointer, size, direction: 'to_user' });
const from = (pointer: bigint, size: bigint): Copy => ({ pointer, size, direction: 'from_user' });
const OBJECT = SLAB + 3n * 128n;

describe('a dump of ia64, made by hand', () => {
  it('has its kernel where the banner lies, under a translation register', async () => {
    const { dump, current } = await judgeOf();
    expect(dump.variant.name).toBe('ia64');
    expect(dump.located).toMatchObject({ slide: 0n, imageOffset: KERNEL_START - KERNEL_PHYSICAL });
    expect(dump.located.memory.tables).toMatchObject({
      root: KERNEL_PHYSICAL + 0xc000n,
      pageShift: 14,
      addressBits: 47,
    });
    expect(dump.located.memory.translate(KERNEL_START + 0x3ff_ffffn)?.physical).toBe(KERNEL_PHYSICAL + 0x3ff_ffffn);
    expect(dump.located.memory.translate(KERNEL_START + 0x400_0000n)).toBeNull();
    expect(current).toMatchObject({ task: STACK, stack: STACK, by: 'registers' });
  });

  const refused: readonly (readonly [string, Copy, string])[] = [
    // By offset in the object; the whitelist is 16 to 79.
    [
      'before the whitelist',
      to(OBJECT + 8n, 16n),
      "exposure attempt detected from SLUB object 'by-hand' (offset 8, size 16)",
    ],
    [
      'over the end of an object',
      from(OBJECT + 100n, 64n),
      "overwrite attempt detected to SLUB object 'by-hand' (offset 100, size 64)",
    ],
    // By the end of the area, guard page and all.
    [
      'over the end of a vmalloc area',
      from(VMALLOC_START + 0xbff0n, 32n),
      'overwrite attempt detected to vmalloc (offset 49136, size 32)',
    ],
    [
      'in vmalloc without an area',
      to(VMALLOC_START + 0x10_0000n, 8n),
      "exposure attempt detected from vmalloc 'no area' (offset 0, size 8)",
    ],
    [
      'of kernel text',
      to(KERNEL_START + 0x100n, 8n),
      'exposure attempt detected from kernel text (offset 256, size 8)',
    ],
    // lm_alias() is __va(__pa()), and both only change the region.
    [
      'of what lm_alias() takes for text',
      to(CACHED + 0x1_0000_0100n, 8n),
      'exposure attempt detected from linear kernel text (offset 256, size 8)',
    ],
    ['of null', to(16n, 8n), 'exposure attempt detected from null address (offset 16, size 8)'],
    // No current_stack_pointer: the offset is 0.
    [
      'over the end of the stack',
      from(STACK + THREAD_BYTES - 8n, 16n),
      'overwrite attempt detected to process stack (offset 0, size 16)',
    ],
  ];

  it.each(refused)('refuses a copy %s', async (_, copy, line) => {
    const { message, warnings } = await (await judgeOf()).judge(copy);
    expect(message).toBe(`usercopy: Kernel memory ${line}!`);
    expect(warnings).toEqual([]);
  });

  it.each([
    ['within the whitelist', to(OBJECT + 16n, 64n)],
    ['within a vmalloc area', from(VMALLOC_START + 0x3ff0n, 32n)],
    ['on the stack', to(STACK + 0x7000n, 64n)],
    // The text's own place in memory is none that the check knows.
    ['of the text by its cached address', to(CACHED + KERNEL_PHYSICAL + 0x100n, 8n)],
  ])('lets a copy %s pass', async (_, copy) => {
    const { verdict, message } = await (await judgeOf()).judge(copy);
    expect([verdict.outcome, message]).toEqual(['good', null]);
  });

  it('says where it lacks the page that would tell', async () => {
    const { verdict, warnings } = await (await judgeOf()).judge(to(UNTOLD, 8n));
    // compound_head of the 257th struct page: 64 bytes for each page of 16 KiB.
    expect(verdict).toMatchObject({ outcome: 'unreadable' });
    expect(warnings.join()).toMatch(/0xa000400000004008 is not mapped/);
  });

  it('does not guess the size of its pages', async () => {
    await expect(judgeOf({ notes: false })).rejects.toThrow(/the size of the kernel's pages.*--config/);
  });

  it('takes the size of its pages from a configuration too', async () => {
    const lines = ['IA64_PAGE_SIZE_16KB', 'SPARSEMEM', 'SPARSEMEM_EXTREME', 'SPARSEMEM_VMEMMAP'];
    const text = ['CONFIG_PGTABLE_LEVELS=3', ...lines.map((name) => `CONFIG_${name}=y`)].join('\n');
    const config = await readConfig(Buffer.from(text), nativeZlib);
    const dump = await openDump(scratch.write(machine.core({ notes: false })), { image: { ...image, config } });
    opened.push(dump);
    expect(dump.located.memory.tables).toMatchObject({ pageShift: 14, addressBits: 47 });
    const { message } = await (await DumpJudge.create(dump, { source: builtCheck })).judge(from(OBJECT + 100n, 64n));
    expect(message).toContain("to SLUB object 'by-hand' (offset 100, size 64)!");
  });

  it('has no arguments in its registers, and says so', async () => {
    const judge = await judgeOf({ ip: KERNEL_START + 0x200n });
    expect(judge.dump.atCheck).toBe(true);
    expect(() => judge.copyFromRegisters()).toThrow(/no r32 among them.*--at/);
  });

  it('is judged from the command line', () => {
    const path = scratch.write(machine.core());
    const check = (...args: string[]) =>
      spawnSync(
        process.execPath,
        [packageFile('build/cli/main.js'), 'check', '--dump', path, '--kernel', vmlinux, ...args],
        { encoding: 'utf8', timeout: 100_000 },
      );
    const { status, stdout, stderr } = check('--at', `${OBJECT + 100n}`, '--size', '64', '--from-user');
    expect(stderr).toBe('');
    expect(stdout).toContain(
      "usercopy: Kernel memory overwrite attempt detected to SLUB object 'by-hand' (offset 100, size 64)!",
    );
    expect(status).toBe(1);
    // What cannot be done is not what comes next.
    expect(stdout).not.toContain('usercopy repro');
    expect(stdout).toMatch(/^not replayed .*: Unicorn has no IA-64 target$/m);
    const next = /^next: usercopy identify .* --dump .*$/m.exec(stdout)?.[0] ?? '';
    expect(next).toContain(`--dump ${path}`);
    expect(check('--at', `${OBJECT + 16n}`, '--size', '64', '--to-user').status).toBe(0);
    const without = check();
    expect(without.status).toBe(2);
    expect(without.stderr).toMatch(/--at/);
  });
});
