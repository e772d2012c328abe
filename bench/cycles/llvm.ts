/** llvm-mc and llvm-mca, asked about many instructions and blocks at once. */
import { spawnSync } from 'node:child_process';
import type { CycleTraits } from '../../arch/cycles.js';
import { UsercopyError } from '../../src/errors.js';
import { packageFile } from '../../src/paths.js';
import { present } from '../present.js';

type Llvm = NonNullable<CycleTraits['llvm']>;

/** The release that the usual tables are made with, and are judged by where it is here. */
const USUAL = '14';
/** Where the set-up for tests leaves them. */
const TOOLS = '.cache/tools/bin';
/** How to get them, for errors. */
export const HOW_TO_GET_LLVM = "npm run build -- --test brings Debian's into .cache; or apt-get install llvm-14";
const starts = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

/** `LLVM=19`: llvm-mca-19, as Debian installs several versions beside each other. */
function tool(name: string): string {
  const asked = process.env['LLVM'];
  if (asked) return `${name}-${asked}`;
  const usual = `${name}-${USUAL}`;
  return [usual, packageFile(`${TOOLS}/${usual}`)].find(starts) ?? name;
}

function run(program: string, parameters: readonly string[], input: string): { output: string; errors: string } {
  const { stdout, stderr, error } = spawnSync(program, parameters, {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    env: { ...process.env, LLVM_DISABLE_SYMBOLIZATION: '1' },
  });
  if (error) throw new UsercopyError('missing-dependency', `${program}: ${error.message} (${HOW_TO_GET_LLVM})`);
  return { output: stdout, errors: stderr };
}

const target = ({ cpu, features }: Llvm): string[] => [
  `-mcpu=${cpu}`,
  ...(features === undefined ? [] : [`-mattr=${features}`]),
];

/** `14.0.6`; null where llvm-mca is not installed. */
export function llvmVersion(): string | null {
  const { stdout, error } = spawnSync(tool('llvm-mca'), ['--version'], { encoding: 'utf8' });
  return error ? null : (/version (\S+)/.exec(stdout)?.[1] ?? null);
}

/** Printed on a line of its own where the instruction does not take it. */
const PREFIX = /^(?:lock|rep(?:ne|e|nz|z)?|data16|data32|addr32|[c-gs]s|rex64|notrack|xacquire|xrelease)$/;

/** Assembly text of each instruction as LLVM prints it; null for bytes that it does not know. */
export function disassemble(instructions: readonly Uint8Array[], llvm: Llvm): (string | null)[] {
  const hex = instructions.map((bytes) =>
    [...bytes].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' '),
  );
  const { output, errors } = run(
    tool('llvm-mc'),
    ['--disassemble', `-triple=${llvm.triple}`, ...target(llvm)],
    `${hex.join('\n')}\n`,
  );
  const bad = new Set(
    [...errors.matchAll(/<stdin>:(\d+):\d+: (?:warning|error)/g)].map((match) => Number(match[1]) - 1),
  );
  const lines: string[] = [];
  let prefix = '';
  for (const line of output.split('\n')) {
    if (!line.startsWith('\t') || line.startsWith('\t.')) continue;
    const text = line.trim();
    if (PREFIX.test(text)) prefix += `${text} `;
    else {
      lines.push(prefix + text);
      prefix = '';
    }
  }
  if (lines.length + bad.size !== instructions.length) {
    // Some bytes were printed as two instructions, or as none: they are found by halving.
    if (instructions.length === 1) return [null];
    const middle = instructions.length >> 1;
    return [...disassemble(instructions.slice(0, middle), llvm), ...disassemble(instructions.slice(middle), llvm)];
  }
  let next = 0;
  return instructions.map((_, index) => (bad.has(index) ? null : plainBranch(present(lines[next++]).trim())));
}

const CONDITIONS: Readonly<Record<string, readonly string[]>> = {
  t: ['lt', 'gt', 'eq', 'un'],
  f: ['ge', 'le', 'ne', 'nu'],
};

/**
 * powerpc's `bt 2, x` as `beq 0, x`: the same instruction. llvm-mca takes the general form for one that counts CTR down, and
 * so lets every branch wait for the one before it.
 */
function plainBranch(text: string): string {
  const [, sense, bit, target] = /^b([tf])\s+(\d+), (\S+)$/.exec(text) ?? [];
  if (sense === undefined || bit === undefined) return text;
  return `b${CONDITIONS[sense]?.[Number(bit) % 4]} ${Math.floor(Number(bit) / 4)}, ${target}`;
}

export interface Information {
  readonly latency: number;
  readonly throughput: number;
  readonly microOps: number;
  readonly loads: boolean;
  readonly stores: boolean;
  readonly sideEffects: boolean;
  /** Cycles per unit when each group's work is spread evenly over its units. */
  readonly pressure: ReadonlyMap<number, number>;
}

interface Region {
  readonly Name: string;
  readonly Instructions: readonly string[];
  readonly InstructionInfoView: {
    InstructionList: {
      Latency: number;
      RThroughput: number;
      NumMicroOpcodes: number;
      mayLoad: boolean;
      mayStore: boolean;
      hasUnmodeledSideEffects: boolean;
    }[];
  };
  readonly ResourcePressureView: {
    ResourcePressureInfo: { InstructionIndex: number; ResourceIndex: number; ResourceUsage: number }[];
  };
  readonly SummaryView: { TotalCycles: number; DispatchWidth: number };
  readonly TimelineView?: {
    TimelineInfo: {
      CycleDispatched: number;
      CycleIssued: number;
      CycleExecuted: number;
      CycleRetired: number;
      CycleReady: number;
    }[];
  };
}

interface Report {
  readonly CodeRegions: readonly Region[];
  readonly TargetInfo?: { Resources: string[] };
}

/**
 * llvm-mca on numbered regions. Text that it refuses is found by its line, or by halving where it names none (an
 * instruction without a scheduling class, a crash), and left out.
 */
function analyse(
  regions: ReadonlyMap<number, readonly string[]>,
  llvm: Llvm,
  options: readonly string[],
): { regions: Map<number, Region>; units: readonly string[] } {
  const wanted = new Map(regions);
  while (wanted.size > 0) {
    const lines: string[] = [];
    const regionOfLine: number[] = [];
    for (const [number, region] of wanted) {
      for (const line of [`# LLVM-MCA-BEGIN ${number}`, ...region, '# LLVM-MCA-END']) {
        lines.push(line);
        regionOfLine.push(number);
      }
    }
    const { output, errors } = run(
      tool('llvm-mca'),
      [`-mtriple=${llvm.triple}`, ...target(llvm), '-json', ...options],
      `${lines.join('\n')}\n`,
    );
    if (output.startsWith('{') && output.trimEnd().endsWith('}')) {
      // What -json prints.
      const report = JSON.parse(output) as Report;
      return {
        regions: new Map(report.CodeRegions.map((region) => [Number(region.Name), region])),
        units: report.TargetInfo?.Resources ?? [],
      };
    }
    const bad = [...errors.matchAll(/<stdin>:(\d+):\d+: error/g)].map((match) =>
      present(regionOfLine[Number(match[1]) - 1]),
    );
    const unsupported =
      /error: (?:found an unsupported instruction|unable to resolve scheduling class)[\s\S]*?instruction:\s+(\S+)/.exec(
        errors,
      )?.[1];
    if (unsupported !== undefined)
      for (const [number, region] of wanted)
        if (region.some((line) => line.split(/\s/)[0] === unsupported)) bad.push(number);
    if (bad.length > 0) {
      for (const number of bad) wanted.delete(number);
    } else {
      if (wanted.size === 1) break;
      const all = [...wanted];
      const halves = [all.slice(0, all.length >> 1), all.slice(all.length >> 1)].map((half) =>
        analyse(new Map(half), llvm, options),
      );
      return {
        regions: new Map(halves.flatMap((half) => [...half.regions])),
        units: halves.find(({ units }) => units.length > 0)?.units ?? [],
      };
    }
  }
  return { regions: new Map(), units: [] };
}

/** What llvm-mca's instruction info and resource pressure say of each instruction; null where it refuses one. */
export function informationOf(
  texts: readonly string[],
  llvm: Llvm,
): { information: (Information | null)[]; units: readonly string[]; width: number } {
  const { regions, units } = analyse(new Map(texts.map((text, index) => [index, [text]])), llvm, [
    '-instruction-tables',
  ]);
  let width = 0;
  const information = texts.map((_, index) => {
    const region = regions.get(index);
    const info = region?.InstructionInfoView.InstructionList[0];
    if (region === undefined || info === undefined) return null;
    width = region.SummaryView?.DispatchWidth ?? width;
    const pressure = new Map<number, number>();
    for (const { InstructionIndex, ResourceIndex, ResourceUsage } of region.ResourcePressureView.ResourcePressureInfo)
      if (InstructionIndex === 0) pressure.set(ResourceIndex, ResourceUsage);
    return {
      latency: info.Latency,
      throughput: info.RThroughput,
      microOps: info.NumMicroOpcodes,
      loads: info.mayLoad,
      stores: info.mayStore,
      sideEffects: info.hasUnmodeledSideEffects,
      pressure,
    };
  });
  return { information, units, width };
}

/** One micro-op that needs nothing special, where `nop` is not that. */
const FILLERS: readonly (readonly [triple: string, text: string])[] = [
  ['s390x', 'lghi %r0, 0'],
  ['arm', 'mov r0, #0'],
];

/**
 * Whether each instruction must be the first or the last of those that enter the core together: seen from when it and its
 * neighbours enter between two instructions of one micro-op.
 */
export function groupingOf(
  texts: readonly string[],
  microOps: readonly number[],
  width: number,
  llvm: Llvm,
): { first: boolean; last: boolean }[] {
  const filler = FILLERS.find(([triple]) => llvm.triple.startsWith(triple))?.[1] ?? 'nop';
  const judged = judge(
    texts.map((text) => [filler, text, filler]),
    llvm,
    true,
  );
  return judged.map((judgement, index) => {
    const entered = judgement?.timeline.map((entry) => entry.entered);
    if (entered?.length !== 3) return { first: false, last: false };
    const fits = (before: number) => before + present(microOps[index]) <= width;
    return {
      first: fits(1) && present(entered[1]) > present(entered[0]),
      last:
        (fits(2) && present(entered[2]) > present(entered[1]) && entered[1] === entered[0]) ||
        (fits(1) && present(entered[1]) > present(entered[0]) && present(entered[2]) > present(entered[1])),
    };
  });
}

export interface Judgement {
  readonly cycles: number;
  readonly timeline: readonly { entered: number; issued: number; executed: number; retired: number; ready: number }[];
}

/** Cycles of each block by llvm-mca, of so many iterations; null for blocks that it refuses. */
export function judge(
  blocks: readonly (readonly string[])[],
  llvm: Llvm,
  timeline = false,
  iterations = 1,
): (Judgement | null)[] {
  const options = [
    `-iterations=${iterations}`,
    '-instruction-info=0',
    '-resource-pressure=0',
    ...(timeline ? ['-timeline', '-timeline-max-cycles=100000', '-timeline-max-iterations=1'] : []),
  ];
  const numbered = [...blocks.entries()].filter(([, block]) => block.length > 0);
  const { regions } = analyse(new Map(numbered), llvm, options);
  return blocks.map((_, index) => {
    const region = regions.get(index);
    if (region === undefined) return null;
    return {
      cycles: region.SummaryView.TotalCycles,
      timeline: (region.TimelineView?.TimelineInfo ?? []).map((entry) => ({
        entered: entry.CycleDispatched,
        issued: entry.CycleIssued,
        executed: entry.CycleExecuted,
        retired: entry.CycleRetired,
        ready: entry.CycleReady,
      })),
    };
  });
}
