/** Lines of source for places in a kernel, out of its debug information: by llvm-symbolizer or addr2line, where one of them is. */
import { spawnSync } from 'node:child_process';
import type { Reproduction } from '../diagnosis/outcome.js';
import { badInput, codeOf, hex, UsercopyError } from '../errors.js';
import { readWhole } from '../image/files.js';
import { parseElf, symbolsFromElf } from '../kernel/elf.js';
import type { SymbolTable } from '../kernel/kernel.js';
import type { TraceEntry, UsercopyReport } from '../report/report.js';

/** One function at an address; `inlined` into the one behind it. */
interface SourceFrame {
  readonly symbol: string;
  readonly source: string;
  readonly inlined: boolean;
}

/** A place that is asked about: `symbol+offset`; `isCall`: it lies behind a call. */
interface Place {
  readonly symbol: string;
  readonly offset: number;
  readonly size: number | null;
  readonly isCall: boolean;
}

export interface SourceLines {
  /**
   * Frames at each place, innermost first; none where nothing is told. What was not asked for before takes a run of the
   * program, which reads the whole file, for every `MOST_ASKED` places.
   */
  at(places: readonly Place[]): readonly (readonly SourceFrame[])[];
  /** Bytes of the functions of a name; none where there is no such name. */
  sizes(symbol: string): readonly bigint[];
  /** The file that was opened. */
  readonly file: string;
  /** The program that told them. */
  readonly by: string;
}

const LARGEST_DEBUG_FILE = 2 ** 31 - 1;
const TIME_LIMIT = 120_000;
/** Addresses that one run of the program is asked about, and bytes that it may answer: each has a few inlined functions. */
const MOST_ASKED = 16_384;
const LARGEST_ANSWER = 256 << 20;

/** The symbolizers, the one that reads every architecture first. */
const TOOLS = [
  ...['llvm-symbolizer', ...[21, 20, 19, 18, 17, 16, 15, 14].map((version) => `llvm-symbolizer-${version}`)].map(
    (program) => ({
      program,
      options: (file: string) => [`--obj=${file}`, '--functions=linkage', '--no-demangle', '--addresses'],
    }),
  ),
  { program: 'addr2line', options: (file: string) => ['-e', file, '-f', '-i', '-a'] },
] as const;

/**
 * Opens a vmlinux or a .debug file.
 * @throws UsercopyError `bad-input` for a file without symbols, `missing-dependency` where neither program is there.
 */
export function openSourceLines(file: string): SourceLines {
  const symbols = symbolsFromElf(parseElf(readWhole(file, LARGEST_DEBUG_FILE), file), file);
  if (symbols === null) throw badInput(file, 'a symbol table (.symtab)', 'none: it is stripped');
  const tool = TOOLS.find(({ program }) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0);
  if (tool === undefined) {
    throw new UsercopyError('missing-dependency', '--debug: expected llvm-symbolizer or addr2line, found neither');
  }
  const known = new Map<bigint, readonly SourceFrame[]>();
  const addressOf = ({ symbol, offset, size, isCall }: Place): bigint | null => {
    const start = startOf(symbols, symbol, size);
    return start === null ? null : start + BigInt(offset) - (isCall ? 1n : 0n);
  };
  return {
    file,
    by: tool.program,
    sizes: (symbol) => symbols.all(symbol).map(({ size }) => size),
    at(places) {
      const addresses = places.map(addressOf);
      const asked = [...new Set(addresses.flatMap((address) => address ?? []))].filter(
        (address) => !known.has(address),
      );
      for (let from = 0; from < asked.length; from += MOST_ASKED) {
        const part = asked.slice(from, from + MOST_ASKED);
        for (const [address, frames] of framesAt(tool, file, part)) known.set(address, frames);
      }
      return addresses.map((address) => (address === null ? [] : (known.get(address) ?? [])));
    },
  };
}

/** Functions are aligned to so many bytes at the most (FUNCTION_ALIGNMENT_64B). */
const LARGEST_PADDING = 64n;

/**
 * Whether a function of `size` bytes is one of which a trace tells `told`: kallsyms counts up to the next symbol, with the
 * padding between. 0 is a function of which the file does not tell it.
 */
function isTold(size: bigint, told: number): boolean {
  const padding = BigInt(told) - size;
  return size === 0n || (padding >= 0n && padding < LARGEST_PADDING);
}

/** Of several functions of one name the one with the size that the trace tells; null where that does not decide. */
function startOf(symbols: SymbolTable, name: string, size: number | null): bigint | null {
  const named = symbols.all(name);
  const [only, ...others] = addressesOf(named, size);
  return only === undefined || others.length > 0 ? null : only;
}

const addressesOf = (named: ReturnType<SymbolTable['all']>, size: number | null): readonly bigint[] => {
  const fitting = size === null || named.length < 2 ? named : named.filter((symbol) => isTold(symbol.size, size));
  return [...new Set(fitting.map(({ address }) => address))];
};

/**
 * Frames by address, as the program names it before them.
 * @throws UsercopyError `missing-dependency` where the program does not get done, or leaves an address out.
 */
function framesAt(
  { program, options }: (typeof TOOLS)[number],
  file: string,
  addresses: readonly bigint[],
): ReadonlyMap<bigint, readonly SourceFrame[]> {
  const { stdout, error, status } = spawnSync(program, options(file), {
    input: addresses.map((address) => `${hex(address)}\n`).join(''),
    encoding: 'utf8',
    timeout: TIME_LIMIT,
    maxBuffer: LARGEST_ANSWER,
  });
  if (error !== undefined) {
    const why = codeOf(error) === 'ETIMEDOUT' ? `none after ${TIME_LIMIT / 1000} s` : error.message;
    throw new UsercopyError('missing-dependency', `${file}: expected lines of source from ${program}, found ${why}`);
  }
  if (status !== 0) throw badInput(file, `debug information that ${program} reads`, `its status ${status}`);
  // An address is a line of its own, before its frames.
  const [, ...pieces] = stdout.split(/^(0x[0-9a-f]+)\r?$/im);
  const answers = new Map<bigint, readonly SourceFrame[]>();
  for (let at = 0; at + 1 < pieces.length; at += 2) {
    answers.set(BigInt(pieces[at] ?? 0), framesOf(pieces[at + 1] ?? ''));
  }
  const left = addresses.find((address) => !answers.has(address));
  if (left === undefined) return answers;
  throw new UsercopyError(
    'missing-dependency',
    `${file}: expected ${program} to name each address before its lines, found nothing for ${hex(left)}`,
  );
}

/** A function and its place, a line each, the innermost first. */
function framesOf(answer: string): SourceFrame[] {
  const lines = answer.split('\n').filter((line) => line !== '');
  const frames: SourceFrame[] = [];
  for (let index = 0; index < lines.length; index += 2) {
    const [symbol, place] = lines.slice(index, index + 2);
    if (symbol === undefined || place === undefined) break;
    const source = /^(.*?:\d+)(?::\d+)?(?: \(.*\))?$/.exec(place)?.[1];
    if (source === undefined || source.startsWith('?') || /:0$/.test(source)) continue;
    frames.push({ symbol, source, inlined: index + 3 < lines.length });
  }
  return frames;
}

/** Has all lines of these reports told at once, for who looks at them one by one afterwards. */
export function askLines(reports: readonly UsercopyReport[], lines: SourceLines): void {
  lines.at(reports.flatMap(({ pc, trace }) => [...placesOf(pc === null ? [] : [pc], false), ...placesOf(trace, true)]));
}

/**
 * The report with lines and inlined functions in its trace; entries of modules, and what is not told, stay as they are.
 * @throws UsercopyError `bad-input` when a function of the trace has another size in the file: it is of another build.
 */
export function withSourceLines(report: UsercopyReport, lines: SourceLines): UsercopyReport {
  requireSameBuild([...(report.pc ? [report.pc] : []), ...report.trace], lines);
  askLines([report], lines);
  const pc = report.pc && (expanded(report.pc, lines, false).at(-1) ?? report.pc);
  return { ...report, pc, trace: report.trace.flatMap((entry) => expanded(entry, lines, true)) };
}

function requireSameBuild(entries: readonly TraceEntry[], lines: SourceLines): void {
  for (const { symbol, size, module, inlined } of entries) {
    if (size === null || module !== null || inlined) continue;
    const sizes = lines.sizes(symbol);
    if (sizes.length === 0 || sizes.some((here) => isTold(here, size))) continue;
    const found = sizes.map(hex).join(', ');
    throw badInput(
      lines.file,
      "debug information of the report's own kernel",
      `another build's: ${symbol} has ${hex(BigInt(size))} bytes in the report, ${found} here`,
    );
  }
}

/** What of a report's trace `withSourceLines()` left alone, in sentences. */
export function linesNotTold(report: UsercopyReport, lines: SourceLines): string[] {
  const modules = [...new Set(report.trace.flatMap(({ module }) => (module === null ? [] : [module])))];
  const unknown = report.trace.filter(
    ({ symbol, module, inlined, source }) =>
      module === null && !inlined && source === null && lines.sizes(symbol).length === 0,
  );
  const names = [...new Set(unknown.map(({ symbol }) => symbol))];
  return [
    ...(modules.length === 0 ? [] : [`functions of modules have no lines: ${modules.join(', ')}`]),
    ...(names.length === 0 ? [] : [`${lines.file} does not know ${names.join(', ')}`]),
  ];
}

/** Of entries that have a line to be told. */
const placesOf = (entries: readonly TraceEntry[], isCall: boolean): Place[] =>
  entries.flatMap(({ symbol, offset, size, module, inlined, source }) =>
    offset === null || module !== null || inlined || source !== null ? [] : [{ symbol, offset, size, isCall }],
  );

function expanded(entry: TraceEntry, lines: SourceLines, isCall: boolean): TraceEntry[] {
  const [frames = []] = lines.at(placesOf([entry], isCall));
  const own = frames.at(-1);
  if (own === undefined) return [entry];
  const inlined = frames.slice(0, -1).map(({ symbol, source }) => ({
    ...entry,
    symbol,
    source,
    offset: null,
    size: null,
    address: null,
    inlined: true,
  }));
  return [...inlined, { ...entry, source: own.source }];
}

const CALL = /^(\? )?([^\s+]+)\+0x([0-9a-f]+)$/;

/** The callers of a dump with their lines, a function a line. What has one, and code of modules, stays as it is. */
export function withCallLines(reproduction: Reproduction, lines: SourceLines): Reproduction {
  const { surroundings } = reproduction.explanation;
  if (!surroundings) return reproduction;
  const parsed = surroundings.calls.map((call) => {
    const [, guessed = '', symbol, offset] = CALL.exec(call) ?? [];
    const place =
      symbol === undefined || offset === undefined
        ? null
        : { symbol, offset: Number.parseInt(offset, 16), size: null, isCall: true };
    return { call, guessed, place };
  });
  lines.at(parsed.flatMap(({ place }) => place ?? []));
  const calls = parsed.flatMap(({ call, guessed, place }) => {
    const [frames = []] = lines.at(place === null ? [] : [place]);
    const own = frames.at(-1);
    if (own === undefined) return [call];
    const inlined = frames.slice(0, -1).map((frame) => `${guessed}${frame.symbol} (${frame.source}) (inlined)`);
    return [...inlined, `${call} (${own.source})`];
  });
  return {
    ...reproduction,
    explanation: { ...reproduction.explanation, surroundings: { ...surroundings, calls } },
  };
}
