/** The built-in guest's check in the host's own core: what a path takes there, and what the model says of the same instructions. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathCycles } from '../../src/cycles/path.js';
import type { CycleModel } from '../../src/cycles/price.js';
import type { CodeBlock } from '../../src/engine/engine.js';
import { UsercopyError } from '../../src/errors.js';
import { packageFile } from '../../src/paths.js';
import { present } from '../present.js';

/** As in silicon.c. */
export const SILICON_PATHS = ['n=0', 'disabled', 'stack', 'slab', 'page', 'vmalloc'] as const;
export type SiliconPath = (typeof SILICON_PATHS)[number];

/** As the guests are built (guests/Makefile), for a process. */
const GUEST_FLAGS =
  '-std=gnu11 -O2 -ffreestanding -fno-pic -fno-pie -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-stack-protector -fno-strict-aliasing -fno-strict-overflow -fno-delete-null-pointer-checks -fno-tree-loop-distribute-patterns -fno-jump-tables -fno-common -w -mgeneral-regs-only -DHARDENED_USERCOPY';
const HOST_FLAGS = '-std=gnu11 -O2 -fno-pie -fno-omit-frame-pointer -fno-stack-protector -w';
const X86_FLAGS = '-mno-red-zone -fcf-protection=none';
/** What the guests' linker script defines. */
const SYMBOLS = {
  ...{ _text: '__executable_start', _stext: '__executable_start', __start_rodata: '__executable_start' },
  ...{ __end_rodata: 'etext', _sdata: '__data_start', __bss_stop: '_end', guest_image_size: '0x200000' },
};

/** The program, built; `close()` removes it. `compiler` may be one for another machine, and `runner` what plays its programs. */
export class Silicon {
  readonly #folder = mkdtempSync(join(tmpdir(), 'usercopy-silicon-'));
  readonly #program = join(this.#folder, 'silicon');

  /** @throws UsercopyError `missing-dependency` without the compiler. */
  constructor(
    compiler = 'cc',
    private readonly runner: readonly string[] = [],
  ) {
    const machine = this.#run([compiler, '-dumpmachine']).trim();
    const x86 = machine.startsWith('x86_64') ? X86_FLAGS.split(' ') : [];
    const object = (name: string) => join(this.#folder, name);
    const compile = (flags: string, source: string, to: string, more: readonly string[] = []) =>
      this.#run([compiler, ...flags.split(' '), ...x86, ...more, '-c', packageFile(source), '-o', object(to)]);
    compile(GUEST_FLAGS, 'guests/kernel.c', 'kernel.o', [`-DARCH_HEADER="${packageFile('bench/silicon/host.h')}"`]);
    compile(HOST_FLAGS, 'bench/silicon/silicon.c', 'silicon.o');
    const symbols = Object.entries(SYMBOLS).map(([name, value]) => `-Wl,--defsym=${name}=${value}`);
    const link = [
      '-no-pie',
      ...(x86.length > 0 ? [] : ['-static', '-Wl,--allow-multiple-definition']),
      ...symbols,
      object('kernel.o'),
      object('silicon.o'),
    ];
    this.#run([compiler, '-o', this.#program, ...link]);
  }

  /** Paths on which the check let the copy pass. */
  answers(): string[] {
    return this.#play('answers')
      .trim()
      .split('\n')
      .map((line) => line.replace(/ passes$/, ''));
  }

  /** The instructions of each path, one a block. */
  trace(model: CycleModel): Map<SiliconPath, CodeBlock[]> {
    const paths = new Map<SiliconPath, CodeBlock[]>(SILICON_PATHS.map((path) => [path, []]));
    for (const line of this.#play('trace').trim().split('\n')) {
      const [name, address, bytes] = line.split(' ');
      const code = Buffer.from(present(bytes), 'hex');
      const at = BigInt(`0x${address}`);
      const { size } = present(model.analyse(code, at)[0]);
      // The program prints the names that are listed above, and present() says when it does not.
      present(paths.get(name as SiliconPath)).push({
        ...{ address: at, code: code.subarray(0, size), instructions: 1, thumb: false },
      });
    }
    return paths;
  }

  /** Core cycles of one call on each path, the loop around it taken off, one figure a sample. */
  samples(count: number): Map<SiliconPath, number[]> {
    const calls = 1000;
    const links = 500;
    const cycles = new Map<SiliconPath, number[]>(SILICON_PATHS.map((path) => [path, []]));
    for (const line of this.#play('time', String(count), String(calls), String(links)).trim().split('\n')) {
      const [chain = 0, nothing = 0, ...ticks] = line.split(' ').map(Number);
      // A chain of additions takes a cycle a link.
      const ticksOfCycle = chain / (100 * links);
      for (const [index, path] of SILICON_PATHS.entries())
        present(cycles.get(path)).push((present(ticks[index]) - nothing) / calls / ticksOfCycle);
    }
    return cycles;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #play(...words: readonly string[]): string {
    return this.#run([...this.runner, this.#program, ...words]);
  }

  #run([program = '', ...words]: readonly string[]): string {
    const { stdout, stderr, status, error } = spawnSync(program, words, { encoding: 'utf8', maxBuffer: 1 << 26 });
    if (error)
      throw new UsercopyError(
        'missing-dependency',
        `bench:silicon: expected to start ${program}, found: ${error.message}`,
      );
    if (status === 0) return stdout;
    throw new UsercopyError('missing-dependency', `bench:silicon: ${program} ended with ${status}: ${stderr.trim()}`);
  }
}

/** Of one path, core cycles: lowest quartile of the samples, and how far the middle half of them reaches above it. */
export interface Timed {
  readonly cycles: number;
  readonly spread: number;
}

export function timed(samples: readonly number[]): Timed {
  const sorted = [...samples].sort((one, two) => one - two);
  const at = (part: number) => present(sorted[Math.floor(part * (sorted.length - 1))]);
  return { cycles: at(0.25), spread: at(0.75) - at(0.25) };
}

/** Two runs agree when they differ by less than 5 %, or by less than half a cycle. */
export const agree = (one: number, two: number): boolean =>
  Math.abs(one - two) < Math.max(0.5, 0.05 * Math.min(Math.abs(one), Math.abs(two)));

/** Repeats runs until the last two agree; null, too noisy, when none of them do. The figure is the lower of the two. */
export function settled(run: () => Map<SiliconPath, number[]>, most: number): Map<SiliconPath, Timed | null> {
  const found = new Map<SiliconPath, Timed | null>(SILICON_PATHS.map((path) => [path, null]));
  let before: Map<SiliconPath, Timed> | null = null;
  for (let count = 0; count < most && [...found.values()].includes(null); count++) {
    const now = new Map([...run()].map(([path, samples]) => [path, timed(samples)]));
    for (const path of SILICON_PATHS) {
      const [one, two] = [before?.get(path), present(now.get(path))];
      if (one === undefined || found.get(path) !== null || !agree(one.cycles, two.cycles)) continue;
      found.set(path, one.cycles < two.cycles ? one : two);
    }
    before = now;
  }
  return found;
}

/** What the model says of a path, its return included. */
export const predicted = (model: CycleModel, path: readonly CodeBlock[]): number => pathCycles(model, path);
