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
export const SILICON_PATHS = ['n=0', 'disabled', 'stack', 'slab', 'page', 'vmalloc'];
/** Pieces of code each of which shows one rule of a core: chains of additions, loads and divisions; the rest is independent. */
export const PIECES = [
  ...['24 additions', '8 loads', '8 loads, index', '24 stores', '24 jumps', '12 calls', '6 pops'],
  ...['4 divisions, 9 bits', '4 divisions, 64 bits'],
];

/** What is compiled. */
export interface Build {
  readonly compiler?: string;
  /** What plays its programs, where it is for another machine. */
  readonly runner?: readonly string[];
  /** How far the check is optimized, as the compiler's -O says it; as the guests are when absent. */
  readonly optimize?: string;
  /** What is traced and timed is `PIECES`. */
  readonly isInPieces?: boolean;
}

/** As the guests are built (guests/Makefile), for a process. */
const GUEST_FLAGS =
  '-std=gnu11 -ffreestanding -fno-pic -fno-pie -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-stack-protector -fno-strict-aliasing -fno-strict-overflow -fno-delete-null-pointer-checks -fno-tree-loop-distribute-patterns -fno-jump-tables -fno-common -w -mgeneral-regs-only -DHARDENED_USERCOPY';
const HOST_FLAGS = '-std=gnu11 -O2 -fno-pie -fno-omit-frame-pointer -fno-stack-protector -w';
const X86_FLAGS = '-mno-red-zone -fcf-protection=none';
/** What the guests' linker script defines. */
const SYMBOLS = {
  ...{ _text: '__executable_start', _stext: '__executable_start', __start_rodata: '__executable_start' },
  ...{ __end_rodata: 'etext', _sdata: '__data_start', __bss_stop: '_end', guest_image_size: '0x200000' },
};

/** An instruction of a path, as it ran. */
export interface Step {
  /** It alone. */
  readonly block: CodeBlock;
  /** What it left in rax. */
  readonly rax: bigint;
}

/** Two chains of additions are of one clock when the longer one takes less than so many times the shorter one's ticks. */
const STEADY = 1.01;

/** The program, built; `close()` removes it. */
export class Silicon {
  readonly #folder = mkdtempSync(join(tmpdir(), 'usercopy-silicon-'));
  readonly #program = join(this.#folder, 'silicon');

  /** Of what is traced and timed. */
  readonly names: readonly string[];
  readonly #runner: readonly string[];
  readonly #words: readonly string[];

  /** @throws UsercopyError `missing-dependency` without the compiler. */
  constructor({ compiler = 'cc', runner = [], optimize = '2', isInPieces = false }: Build = {}) {
    this.names = isInPieces ? PIECES : SILICON_PATHS;
    this.#runner = runner;
    this.#words = isInPieces ? ['pieces'] : [];
    const machine = this.#run([compiler, '-dumpmachine']).trim();
    const x86 = machine.startsWith('x86_64') ? X86_FLAGS.split(' ') : [];
    const object = (name: string) => join(this.#folder, name);
    const compile = (flags: string, source: string, to: string, more: readonly string[] = []) =>
      this.#run([compiler, ...flags.split(' '), ...x86, ...more, '-c', packageFile(source), '-o', object(to)]);
    compile(GUEST_FLAGS, 'guests/kernel.c', 'kernel.o', [
      ...[`-O${optimize}`, `-DARCH_HEADER="${packageFile('bench/silicon/host.h')}"`],
    ]);
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

  /** The instructions of each path. */
  trace(model: CycleModel): Map<string, Step[]> {
    const paths = this.names.map((): Step[] => []);
    for (const line of this.#play('trace', ...this.#words)
      .trim()
      .split('\n')) {
      const [path, address, bytes, rax] = line.split(' ');
      const code = Buffer.from(present(bytes), 'hex');
      const at = BigInt(`0x${address}`);
      const { size } = present(model.analyse(code, at)[0]);
      const block = { address: at, code: code.subarray(0, size), instructions: 1, thumb: false };
      present(paths[Number(path)]).push({ block, rax: BigInt(`0x${rax}`) });
    }
    return new Map(this.names.map((name, index) => [name, present(paths[index])]));
  }

  /** Samples of all paths, one after the other: what the loop around a call adds, as ten additions in it tell, is taken off. */
  samples(count: number): Sample[] {
    const calls = 1000;
    const links = 500;
    return this.#play('time', String(count), String(calls), String(links), ...this.#words)
      .trim()
      .split('\n')
      .map((line) => {
        const [chainBefore = 0, ten = 0, noOpsBefore = 0, ...ticks] = line.split(' ').map(Number);
        const [noOpsAfter, chainAfter] = ticks.splice(-2).map(present);
        const chain = Math.min(chainBefore, present(chainAfter));
        // A chain of additions takes a cycle a link.
        const ticksOfCycle = chain / (100 * links);
        return {
          cycles: new Map(
            this.names.map((path, index) => [path, 10 + (present(ticks[index]) - ten) / calls / ticksOfCycle]),
          ),
          noOps: (100 * calls * ticksOfCycle) / Math.max(noOpsBefore, present(noOpsAfter)),
          isClocked: Math.max(chainBefore, present(chainAfter)) < STEADY * chain,
        };
      });
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #play(...words: readonly string[]): string {
    return this.#run([...this.#runner, this.#program, ...words]);
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

export interface Sample {
  /** Core cycles of one call. */
  readonly cycles: ReadonlyMap<string, number>;
  /** No-ops that passed in a cycle before it and after it, the lower figure: the core's width, when nobody else takes a turn. */
  readonly noOps: number;
  /** The clock was the same before it and after it. */
  readonly isClocked: boolean;
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

/** A sample counts when so much of the flow of no-ops was there; with another thread on the core it is some two thirds. */
const WHOLE = 0.95;
/** And a run when so many of its samples count. */
const ENOUGH = 0.05;

/** Of samples on a core of which it is not known, the no-ops that all but so many had, from the most down, are its width. */
const BEST = 0.1;

export interface Settled {
  /** Null: too noisy. */
  readonly figures: ReadonlyMap<string, Timed | null>;
  /** No-ops in a cycle that a sample must have nearly had. */
  readonly noOps: number;
  /** Of all samples, the part that had them. */
  readonly counted: number;
}

/**
 * Repeats runs until two in a row agree; what none do on is too noisy. The figure is the lower of the two. Samples during which
 * another hardware thread took a part of the core, or the clock changed, do not count.
 *
 * @param known No-ops that the core takes in a cycle; 0 when that is not known.
 */
export function settled(
  names: readonly string[],
  run: () => readonly Sample[],
  { most, known = 0 }: { readonly most: number; readonly known?: number },
): Settled {
  const figures = new Map<string, Timed | null>(names.map((name) => [name, null]));
  const runs: (readonly Sample[])[] = [];
  const width = () => {
    const flows = runs.flatMap((samples) => samples.flatMap(({ isClocked, noOps }) => (isClocked ? noOps : [])));
    return known || (flows.sort((one, two) => two - one)[Math.floor(BEST * flows.length)] ?? 0);
  };
  const alone = (samples: readonly Sample[], noOps: number) =>
    samples.filter((sample) => sample.isClocked && sample.noOps >= WHOLE * noOps);
  while (runs.length < most && [...figures.values()].includes(null)) {
    runs.push(run());
    const noOps = width();
    const [before = [], now = []] = runs.slice(-2).map((samples) => {
      const counting = alone(samples, noOps);
      return counting.length < ENOUGH * samples.length ? [] : counting;
    });
    if (before.length === 0 || now.length === 0) continue;
    for (const path of names) {
      const [one, two] = [before, now].map((samples) => timed(samples.map(({ cycles }) => present(cycles.get(path)))));
      if (one === undefined || two === undefined || figures.get(path) !== null || !agree(one.cycles, two.cycles))
        continue;
      figures.set(path, one.cycles < two.cycles ? one : two);
    }
  }
  const all = runs.flat();
  return { figures, noOps: width(), counted: all.length === 0 ? 0 : alone(all, width()).length / all.length };
}

/** What the model says of a path, its call and return included. */
export const predicted = (model: CycleModel, path: readonly Step[]): number =>
  pathCycles(
    model,
    path.map(({ block }) => block),
    { left: (instruction) => present(path[instruction]).rax },
  );
