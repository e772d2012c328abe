/** Lines of source for places in a kernel, out of its debug information: by llvm-symbolizer or addr2line, where one of them is. */
import type { Reproduction } from '../diagnosis/outcome.js';
import { badInput, hex } from '../errors.js';
import type { TraceEntry, UsercopyReport } from '../report/report.js';
import { DebugFile, type KernelTold, type NoAddress, type Place } from './debug-file.js';
import { findSymbolizers, framesAt, type SourceFrame, type Symbolized } from './symbolizer.js';

export interface SourceLines {
  /**
   * Frames at each place, innermost first; for one that has no address, why. What was not asked for before takes a run of the
   * program, which reads the whole file, for every `MOST_ASKED` places.
   */
  at(places: readonly Place[]): readonly (readonly SourceFrame[] | NoAddress)[];
  /** What was opened. */
  readonly file: DebugFile;
  /** Of the programs: the one that told them last, and the first line of what it complained of. */
  readonly by: string;
  readonly complaint: string | null;
}

/** Addresses that one run of the program is asked about: each has a few inlined functions. */
const MOST_ASKED = 16_384;

/**
 * Opens a vmlinux or a module, or the .debug file of one.
 * @throws UsercopyError `bad-input` for a file without symbols, `missing-dependency` where no program is there.
 */
export function openSourceLines(path: string): SourceLines {
  const file = new DebugFile(path);
  const tools = findSymbolizers(file.module !== null);
  let [tool] = tools;
  let complaint: string | null = null;
  const known = new Map<bigint, readonly SourceFrame[]>();
  const askModule = (addresses: readonly bigint[]): void => {
    const bySection = new Map<string, Map<bigint, bigint>>();
    for (const address of addresses) {
      const place = file.inSection(address);
      if (place === null) continue;
      const own = bySection.get(place.section) ?? new Map<bigint, bigint>();
      bySection.set(place.section, own.set(place.offset, address));
    }
    for (const [section, own] of bySection) {
      const answer = framesAt(tool, path, [...own.keys()], section);
      complaint = answer.complaint ?? complaint;
      for (const [offset, address] of own) known.set(address, answer.frames.get(offset) ?? []);
    }
  };
  const ask = (addresses: readonly bigint[]): void => {
    if (file.module !== null) {
      askModule(addresses);
      return;
    }
    let answer = framesAt(tool, path, addresses);
    for (const other of tools) {
      if (other === tool || hasLine(answer) || !file.hasLines) continue;
      const second = framesAt(other, path, addresses);
      if (!hasLine(second)) continue;
      answer = second;
      tool = other;
    }
    complaint = answer.complaint;
    for (const [address, frames] of answer.frames) known.set(address, frames);
  };
  return {
    file,
    get by() {
      return tool.program;
    },
    get complaint() {
      return complaint;
    },
    at(places) {
      const addresses = places.map((place) => file.addressOf(place));
      const asked = [...new Set(addresses)].flatMap((address) =>
        typeof address === 'bigint' && !known.has(address) ? address : [],
      );
      for (let from = 0; from < asked.length; from += MOST_ASKED) ask(asked.slice(from, from + MOST_ASKED));
      return addresses.map((address) => (typeof address === 'bigint' ? (known.get(address) ?? []) : address));
    },
  };
}

const hasLine = ({ frames }: Symbolized): boolean =>
  [...frames.values()].some((found) => found.some(({ source }) => source !== null));

/** Has all lines of these reports told at once, for who looks at them one by one afterwards. */
export function askLines(reports: readonly UsercopyReport[], lines: SourceLines): void {
  const { module } = lines.file;
  lines.at(
    reports.flatMap(({ pc, trace }) => [
      ...placesOf(pc === null ? [] : [pc], module, false),
      ...placesOf(trace, module, true),
    ]),
  );
}

/**
 * The report with lines and inlined functions in its trace. Entries of other files, and what is not told, stay as they are, and a
 * note says so.
 * @throws UsercopyError `bad-input` when the file is of another architecture, release or build.
 */
export function withSourceLines(report: UsercopyReport, lines: SourceLines): UsercopyReport {
  lines.file.requireKernel({ variant: report.arch, release: report.kernelVersion });
  requireSameBuild([...(report.pc ? [report.pc] : []), ...report.trace], lines);
  askLines([report], lines);
  const pc = report.pc && (expanded(report.pc, lines, false).at(-1) ?? report.pc);
  return {
    ...report,
    pc,
    trace: report.trace.flatMap((entry) => expanded(entry, lines, true)),
    notes: [...report.notes, ...notTold(report.trace, lines)],
  };
}

function requireSameBuild(entries: readonly TraceEntry[], { file }: SourceLines): void {
  for (const { symbol, size, module, inlined } of entries) {
    if (size === null || module !== file.module || inlined || file.hasSize(symbol, size) !== false) continue;
    const found = file.sizes(symbol).map(hex).join(', ');
    throw badInput(
      file.path,
      file.module === null ? "debug information of the report's own kernel" : `that of the report's own ${file.module}`,
      `another build's: ${symbol} has ${hex(BigInt(size))} bytes in the report, ${found} here`,
    );
  }
}

const WHY: Readonly<Record<NoAddress | 'no line', string>> = {
  'no such function': 'it does not know',
  'several functions': 'it has several functions named',
  'outside of it': 'these places lie outside of their functions:',
  'no line': 'it has none for',
};

/** Entries of a trace that have no line, in sentences. */
function notTold(trace: readonly TraceEntry[], lines: SourceLines): string[] {
  const { module: own, path } = lines.file;
  const others = trace.flatMap(({ module }) => (module === own || module === null ? [] : [module]));
  const modules = [...new Set(others)];
  const left = new Map<string, Set<string>>();
  let told = 0;
  for (const entry of trace) {
    const [place] = placesOf([entry], own, true);
    if (place === undefined) continue;
    const [frames = []] = lines.at([place]);
    const why = typeof frames === 'string' ? frames : frames.some(({ source }) => source !== null) ? null : 'no line';
    if (why === null) told++;
    else left.set(WHY[why], (left.get(WHY[why]) ?? new Set()).add(nameOf(place, why)));
  }
  const { hasLines } = lines.file;
  const { by, complaint } = lines;
  return [
    ...(own === null ? [] : [`lines of source are those of module ${own}, which ${path} is of`]),
    ...(own === null || trace.some(({ module }) => module === own) ? [] : [`no function of ${own} is in the trace`]),
    ...(modules.length === 0
      ? []
      : [`functions of modules have no lines: ${modules.join(', ')}; a module's own .ko.debug has them`]),
    ...(told > 0 || left.size === 0 || hasLines ? [] : [`${path} has no lines of source (DWARF) in it`]),
    ...(complaint === null || left.size === 0 ? [] : [`${by} said: ${complaint}`]),
    ...[...left].map(([why, names]) => `lines of source from ${path}: ${why} ${[...names].join(', ')}`),
  ];
}

const nameOf = ({ symbol, offset }: Place, why: NoAddress | 'no line'): string =>
  why === 'outside of it' ? `${symbol}+${hex(offset)}` : symbol;

/** Of entries that have a line to be told. */
const placesOf = (entries: readonly TraceEntry[], own: string | null, isCall: boolean): Place[] =>
  entries.flatMap(({ symbol, offset, size, module, inlined, source }) =>
    offset === null || module !== own || inlined || source !== null ? [] : [{ symbol, offset, size, isCall }],
  );

function expanded(entry: TraceEntry, lines: SourceLines, isCall: boolean): TraceEntry[] {
  const frames = toldFrames(lines, placesOf([entry], lines.file.module, isCall));
  const own = frames.at(-1);
  if (own === undefined) return [entry];
  const unplaced = { offset: null, size: null, address: null };
  const inlined = frames
    .slice(0, -1)
    .flatMap(({ symbol, source }) =>
      symbol === null ? [] : [{ ...entry, ...unplaced, symbol, source, inlined: true }],
    );
  return [...inlined, { ...entry, ...(isBehind(entry, isCall) ? caller(own, unplaced) : {}), source: own.source }];
}

/** Behind a call that does not return another function may begin: the address names that one, and the line is of the call. */
const isBehind = ({ offset }: { readonly offset: number | null }, isCall: boolean): boolean => isCall && offset === 0;

const caller = ({ symbol }: SourceFrame, unplaced: Partial<TraceEntry>): Partial<TraceEntry> =>
  symbol === null ? {} : { ...unplaced, symbol };

/** Frames of the one place; none where nothing is told. */
function toldFrames(lines: SourceLines, places: readonly Place[]): readonly SourceFrame[] {
  const [frames = []] = lines.at(places);
  return typeof frames !== 'string' && frames.some(({ source }) => source !== null) ? frames : [];
}

const CALL = /^(\? )?([^\s+]+)\+0x([0-9a-f]+)(?: \[([\w-]+)\])?$/;

/**
 * The callers of a dump with their lines, a function a line. What has one, and code of other files, stays as it is.
 * @throws UsercopyError `bad-input` when the file is of another architecture, release or build.
 */
export function withCallLines(reproduction: Reproduction, lines: SourceLines): Reproduction {
  const { surroundings } = reproduction.explanation;
  if (!surroundings) return reproduction;
  const { buildId = null } = surroundings;
  const kernel: KernelTold = { variant: reproduction.variant, release: reproduction.kernel, buildId };
  lines.file.requireKernel(kernel);
  const parsed = surroundings.calls.map((call) => {
    const [, guessed = '', symbol, offset, module = null] = CALL.exec(call) ?? [];
    const place =
      symbol === undefined || offset === undefined || module !== lines.file.module
        ? null
        : { symbol, offset: Number.parseInt(offset, 16), size: null, isCall: true };
    return { call, guessed, place };
  });
  lines.at(parsed.flatMap(({ place }) => place ?? []));
  const calls = parsed.flatMap(({ call, guessed, place }) => {
    const frames = place === null ? [] : toldFrames(lines, [place]);
    const own = frames.at(-1);
    if (place === null || own === undefined) return [call];
    const inlined = frames.slice(0, -1).map(({ symbol, source }) => `${guessed}${symbol} (${source ?? '?'}) (inlined)`);
    const name = isBehind(place, true) ? `${guessed}${own.symbol}, before ${call}` : call;
    return [...inlined, `${name} (${own.source ?? '?'})`];
  });
  return {
    ...reproduction,
    explanation: { ...reproduction.explanation, surroundings: { ...surroundings, calls } },
  };
}
