/** Our cycles of blocks against llvm-mca's: how far apart, and whether both put blocks in the same order. */
import type { CycleTraits } from '../../arch/cycles.js';
import type { Variant } from '../../arch/driver.js';
import type { CycleModel } from '../../src/cycles/price.js';
import { simulate, type Timing } from '../../src/cycles/scoreboard.js';
import { present } from '../present.js';
import { type Block, isCall, isForTuning } from './corpus.js';
import { asJudged } from './judged.js';
import { disassemble, type Judgement, judge } from './llvm.js';

export interface Half {
  readonly name: 'tuning' | 'held out';
  readonly blocks: number;
  readonly refused: number;
  /** Mean absolute error, as a part of llvm-mca's cycles. */
  readonly mape: number;
  /** The same with the cycles of filling and draining the pipeline taken off both. */
  readonly mapeLessFill: number;
  /** Mean error with its sign: above 0 we say more. */
  readonly bias: number;
  /** Kendall's tau-b. */
  readonly tau: number;
  /** Part of the blocks on which both agree to the cycle. */
  readonly exact: number;
  /** Host processor time to price one block, mean. */
  readonly microseconds: number;
}

export interface Comparison {
  readonly variant: string;
  readonly kernel: string;
  readonly core: string;
  readonly halves: readonly Half[];
  readonly worst: readonly { readonly what: string; readonly count: number; readonly example: readonly string[] }[];
}

interface Judged {
  readonly block: Block;
  readonly code: Uint8Array;
  readonly lines: readonly string[];
  readonly judgement: Judgement;
}

export function compare(
  variant: Variant,
  kernel: string,
  blocks: readonly Block[],
  model: CycleModel,
  count: number,
): Comparison {
  const traits = present(variant.cycles);
  const whole: { block: Block; timings: Timing[]; judged: Judged }[] = [];
  const halves = (['tuning', 'held out'] as const).map((name): Half => {
    const wanted = blocks.filter((block) => isForTuning(block) === (name === 'tuning'));
    const { judged, refused } = judgeBlocks(wanted, traits, count);
    const pairs = judged.map((entry) => {
      const timings: Timing[] = [];
      const seen = entry.block.instructions.slice(0, entry.lines.length);
      const ours = simulate(
        seen.map((instruction) => model.operation(asJudged(instruction, traits))),
        model.pipeline,
        timings,
      );
      whole.push({ block: entry.block, timings, judged: entry });
      return { ours, theirs: entry.judgement.cycles };
    });
    const before = process.cpuUsage();
    for (const { code, block } of judged) model.price(code, block.address);
    const { user, system } = process.cpuUsage(before);
    const mean = (of: (pair: { ours: number; theirs: number }) => number) =>
      pairs.reduce((sum, pair) => sum + of(pair), 0) / Math.max(1, pairs.length);
    return {
      name,
      blocks: pairs.length,
      refused,
      mape: mean(({ ours, theirs }) => Math.abs(ours - theirs) / theirs),
      mapeLessFill: mean(({ ours, theirs }) => Math.abs(ours - theirs) / Math.max(1, theirs - model.fill)),
      bias: mean(({ ours, theirs }) => (ours - theirs) / theirs),
      tau: kendall(pairs),
      exact: mean(({ ours, theirs }) => (ours === theirs ? 1 : 0)),
      microseconds: (user + system) / Math.max(1, pairs.length),
    };
  });
  return { variant: variant.name, kernel, core: model.table.core, halves, worst: partings(whole) };
}

/** The first `count` blocks that llvm-mca accepts; a call at the end is left out on both sides. */
function judgeBlocks(
  blocks: readonly Block[],
  traits: CycleTraits,
  count: number,
): { judged: Judged[]; refused: number } {
  // Some will be refused: a third more are asked about, and what is over is dropped.
  const asked = blocks
    .map((block) => ({ block, instructions: block.instructions.filter(({ mnemonic }) => !isCall(traits, mnemonic)) }))
    .filter(
      ({ block, instructions }) => instructions.length > 0 && instructions.length >= block.instructions.length - 1,
    )
    .slice(0, Math.ceil(count * 1.5));
  const distinct = new Map<string, Uint8Array>();
  const bytesOf = (block: Block, { offset, size }: { offset: number; size: number }) => {
    const base = present(block.instructions[0]).offset;
    return block.bytes.subarray(offset - base, offset - base + size);
  };
  const key = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
  for (const { block, instructions } of asked)
    for (const instruction of instructions) distinct.set(key(bytesOf(block, instruction)), bytesOf(block, instruction));
  const texts = disassemble([...distinct.values()], present(traits.llvm));
  const textOf = new Map([...distinct.keys()].map((bytes, index) => [bytes, present(texts[index])]));
  const regions = asked.map(({ block, instructions }) => {
    const lines = instructions.map((instruction) => textOf.get(key(bytesOf(block, instruction))) ?? null);
    // None of them is null.
    return lines.includes(null) ? [] : (lines as string[]);
  });
  const judgements = judge(regions, present(traits.llvm), true);
  const judged: Judged[] = [];
  let refused = 0;
  for (const [index, { block, instructions }] of asked.entries()) {
    if (judged.length === count) break;
    const judgement = judgements[index];
    if (!judgement) refused++;
    else {
      const last = present(instructions.at(-1));
      const code = block.bytes.subarray(0, last.offset + last.size - present(block.instructions[0]).offset);
      judged.push({ block, code, lines: present(regions[index]), judgement });
    }
  }
  return { judged, refused };
}

/** Kendall's tau-b: pairs that both order alike less those that they order otherwise, ties taken into account. */
function kendall(pairs: readonly { readonly ours: number; readonly theirs: number }[]): number {
  let agree = 0;
  let differ = 0;
  let onlyOurs = 0;
  let onlyTheirs = 0;
  for (let i = 0; i < pairs.length; i++) {
    for (let j = i + 1; j < pairs.length; j++) {
      const ours = Math.sign(present(pairs[i]).ours - present(pairs[j]).ours);
      const theirs = Math.sign(present(pairs[i]).theirs - present(pairs[j]).theirs);
      if (ours * theirs > 0) agree++;
      else if (ours * theirs < 0) differ++;
      else if (ours === 0 && theirs !== 0) onlyOurs++;
      else if (theirs === 0 && ours !== 0) onlyTheirs++;
    }
  }
  return (agree - differ) / Math.sqrt((agree + differ + onlyOurs) * (agree + differ + onlyTheirs));
}

/** What the blocks that differ have in common: the class of the first instruction whose timing is another, and how. */
function partings(whole: readonly { block: Block; timings: readonly Timing[]; judged: Judged }[]): Comparison['worst'] {
  const found = new Map<string, { count: number; example: string[] }>();
  for (const { block, timings, judged } of whole) {
    const { timeline } = judged.judgement;
    const at = timings.findIndex(({ entered, issued, executed }, index) => {
      const theirs = timeline[index];
      return (
        theirs !== undefined && (entered !== theirs.entered || issued !== theirs.issued || executed !== theirs.executed)
      );
    });
    if (at < 0) continue;
    const [ours, theirs] = [present(timings[at]), present(timeline[at])];
    const how =
      ours.entered !== theirs.entered
        ? 'enters at another cycle'
        : ours.issued !== theirs.issued
          ? `issues too ${ours.issued < theirs.issued ? 'early' : 'late'}`
          : 'has another latency';
    const what = `${present(block.instructions[at]).keys[0]} ${how}`;
    const entry = found.get(what) ?? { count: 0, example: [] };
    entry.count++;
    if (entry.example.length === 0 || at + 1 < entry.example.length)
      entry.example = judged.lines
        .slice(0, at + 1)
        .map(
          (line, index) =>
            `${line.replace(/\s+/g, ' ')}   issues ${present(timings[index]).issued}, llvm-mca ${present(timeline[index]).issued}`,
        );
    found.set(what, entry);
  }
  return [...found].map(([what, entry]) => ({ what, ...entry })).sort((a, b) => b.count - a.count);
}
