/** Our cycles of whole paths against llvm-mca's, three ways of composing blocks beside each other. */
import type { Variant } from '../../arch/driver.js';
import type { CycleModel } from '../../src/cycles/price.js';
import { type Operation, simulate } from '../../src/cycles/scoreboard.js';
import type { CodeBlock } from '../../src/engine/engine.js';
import { present } from '../present.js';
import { isCall } from './corpus.js';
import { asJudged } from './judged.js';
import { disassemble, informationOf, judge } from './llvm.js';
import type { Trace } from './traces.js';

export interface JudgedPath {
  readonly variant: string;
  readonly kernel: string;
  readonly name: string;
  /** Compared; calls and what llvm-mca refuses are left out on both sides. */
  readonly instructions: number;
  readonly leftOut: number;
  /** Cycles of one pass from an idle pipeline, less filling and draining it. */
  readonly llvm: number;
  /** Cycles a pass when passes follow each other without end; null for long paths. */
  readonly llvmThroughput: number | null;
  readonly path: number;
  /** Each block after the one that it follows, and blocks one after the other. */
  readonly afterOne: number;
  readonly blocks: number;
}

interface Step {
  readonly text: string;
  readonly operation: Operation;
}

const ITERATIONS = 100;
/** Longer paths are not repeated: a path of thousands of instructions fills any window by itself. */
const LONGEST_REPEATED = 500;

/** @param cpu LLVM's name of the model's core, where it is not the usual one. */
export function comparePaths(
  variant: Variant,
  kernel: string,
  traces: readonly Trace[],
  model: CycleModel,
  cpu?: string,
): JudgedPath[] {
  const traits = present(variant.cycles);
  const usual = present(traits.llvm);
  const llvmTarget = cpu === undefined ? usual : { ...usual, cpu };
  const distinct = new Map<string, Uint8Array>();
  const known = new Map<string, { readonly key: string; readonly operation: Operation }[]>();
  const key = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
  const stepsOf = (block: CodeBlock) => {
    const name = `${block.address} ${key(block.code)}`;
    let steps = known.get(name);
    if (steps === undefined) {
      steps = model.analyse(block.code, block.address).flatMap((instruction) => {
        if (isCall(traits, instruction.mnemonic)) return [];
        const bytes = block.code.subarray(instruction.offset, instruction.offset + instruction.size);
        distinct.set(key(bytes), bytes);
        return [{ key: key(bytes), operation: model.operation(asJudged(instruction, traits)) }];
      });
      known.set(name, steps);
    }
    return steps;
  };
  for (const { blocks } of traces) for (const block of blocks) stepsOf(block);
  const texts = disassemble([...distinct.values()], llvmTarget);
  const readable = texts.flatMap((text) => text ?? []);
  const { information } = informationOf(readable, llvmTarget);
  const accepted = new Set(readable.filter((_, index) => information[index] !== null));
  const textOf = new Map([...distinct.keys()].map((bytes, index) => [bytes, texts[index] ?? null]));
  const judgedSteps = (block: CodeBlock): Step[] =>
    stepsOf(block).flatMap(({ key: bytes, operation }) => {
      const text = textOf.get(bytes) ?? null;
      return text === null || !accepted.has(text) ? [] : [{ text, operation }];
    });
  const whole = traces.map(({ blocks }) => blocks.map(judgedSteps));
  const lines = whole.map((blocks) => blocks.flat().map(({ text }) => text));
  const once = judge(lines, llvmTarget);
  const short = lines.map((line) => (line.length > LONGEST_REPEATED ? [] : line));
  const often = judge(short, llvmTarget, false, ITERATIONS);
  return traces.flatMap(({ name, blocks }, index): JudgedPath[] => {
    const llvm = once[index];
    const steps = present(whole[index]);
    const judgedLines = present(lines[index]);
    if (!llvm) return [];
    const price = (operations: readonly Operation[]) => Math.max(0, simulate(operations, model.pipeline) - model.fill);
    const operations = steps.map((block) => block.map(({ operation }) => operation));
    let afterOne = 0;
    for (const [at, block] of operations.entries()) {
      const before = operations[at - 1] ?? [];
      afterOne += price([...before, ...block]) - price(before);
    }
    return [
      {
        ...{ variant: variant.name, kernel, name },
        instructions: judgedLines.length,
        leftOut: blocks.reduce((sum, { instructions }) => sum + instructions, 0) - judgedLines.length,
        llvm: llvm.cycles - model.fill,
        llvmThroughput: often[index] ? often[index].cycles / ITERATIONS : null,
        path: price(operations.flat()),
        afterOne,
        blocks: operations.reduce((sum, block) => sum + price(block), 0),
      },
    ];
  });
}
