/** What a dump tells about a judged copy beyond the verdict: its object, the members that it touches, who asked for it. */

import type { CheckedObject, Copy } from '../check/verdict.js';
import type { ExplainedField, ExplainedObject, ExplainedSurroundings, Explanation } from '../diagnosis/outcome.js';
import type { DumpJudge, DumpJudgement } from '../dump/judge.js';
import type { Dump } from '../dump/open-dump.js';
import { vmcoreinfoOf } from '../dump/vmcoreinfo.js';
import { hex } from '../errors.js';
import { MemoryReader } from '../introspect/memory-reader.js';
import type { SlabFacts } from '../introspect/slab-facts.js';
import type { StructType } from '../kernel/kernel.js';
import type { UsercopyReport } from '../report/report.js';
import { isOfCheck } from '../report/trace.js';
import { backtraceOf, describeStackAddress, placeOf } from '../stack/backtrace.js';
import { memberAt, membersAround, structOfCache } from './struct-fields.js';
import { vmapFactsOf } from './vmap-facts.js';

/** Names in a call chain at most. */
const MOST_CALLS = 24;
const COMM_LENGTH = 16;

type Surroundings = { -readonly [Key in keyof ExplainedSurroundings]: ExplainedSurroundings[Key] };

/** What a dump tells of the place that a copy touches. */
export interface PlaceFacts extends Pick<Explanation, 'object' | 'field'> {
  readonly surroundings: ExplainedSurroundings;
  /** Sentences about the place, and about the copy there. */
  readonly ofPlace: readonly string[];
  readonly ofCopy: readonly string[];
}

/** Warnings of the judgement are among the lines. */
export function explainDump(
  judge: DumpJudge,
  judgement: DumpJudgement,
  report: UsercopyReport | null = null,
): Explanation {
  const { verdict, explanation, warnings } = judgement;
  const { object, field, surroundings, ofPlace, ofCopy } = placeFactsOf(judge, judgement, report);
  return {
    region: verdict.outcome === 'unreadable' ? null : verdict.by,
    object,
    field,
    surroundings,
    lines: [...explanation, ...ofCopy, ...ofPlace, ...warnings.map((warning) => `note: ${warning}`)],
    causes: [],
    known: null,
  };
}

/** Reads only; what the dump lacks is null. */
export function placeFactsOf(
  judge: DumpJudge,
  judgement: DumpJudgement,
  report: UsercopyReport | null = null,
): PlaceFacts {
  const { verdict, copy } = judgement;
  const { dump } = judge;
  const lines: string[] = [];
  const ofCopy: string[] = [];
  const surroundings: Surroundings = {
    buildId: vmcoreinfoOf(dump.file.notes)?.text('BUILD-ID') ?? null,
    neighbours: [],
    redZone: null,
    outside: null,
    order: null,
    area: null,
    stack: null,
    symbol: null,
    calls: callsOfReport(report) ?? callsOfCopy(judge, copy),
  };
  let object: ExplainedObject | null = null;
  let field: ExplainedField | null = null;
  if (verdict.outcome !== 'unreadable') {
    const read = new MemoryReader(dump.kernel);
    const checked = verdict.object;
    if (checked) {
      object = objectOf(checked);
      surroundings.outside = outsideOf(judgement, checked);
    }
    switch (verdict.by) {
      case 'slab object':
      case 'slab object by fallback':
      case 'slab object in left red zone': {
        const slab = checked && judge.slabFacts(checked.start);
        if (!checked || !slab) break;
        object = { ...objectOf(checked), index: slab.object.index, state: slab.object.state };
        surroundings.neighbours = slab.neighbours;
        surroundings.redZone = slab.redZone;
        const struct = structOf(dump, checked);
        if (struct && slab.shared) lines.push(sharedLine(checked));
        else if (struct) {
          field = fieldOf(dump, struct, checked, judgement);
          ofCopy.push(fieldLine(field));
        }
        lines.push(...slabLines(slab));
        break;
      }
      case 'page alloc':
        if (!checked) break;
        surroundings.order = Math.round(Math.log2(Number(checked.end - checked.start))) - judge.parameters.pageShift;
        lines.push(`pages of order ${surroundings.order}`);
        break;
      case 'vmalloc':
        vmallocArea(judge, read, judgement, surroundings, lines);
        break;
      case 'process stack':
      case 'stack':
      case 'stack frame':
        stackOf(judge, read, judgement, surroundings, lines);
        break;
      case 'kernel text':
      case 'linear kernel text':
      case 'rodata':
      case 'data':
        surroundings.symbol = symbolOf(judge, copy.pointer);
        if (surroundings.symbol !== null) ofCopy.push(`the copy begins at ${surroundings.symbol}`);
        break;
      default:
    }
  }
  return { object, field, surroundings, ofPlace: lines, ofCopy };
}

/** The object of a verdict; what the dump tells of it beyond that is null. */
export function objectOf({ start, end, windowStart, windowEnd, cache }: CheckedObject): ExplainedObject {
  return {
    start,
    end,
    size: end - start,
    cache,
    index: null,
    state: null,
    window: { start: windowStart, end: windowEnd },
  };
}

/** How far the copy sticks out of what it may touch. */
function outsideOf({ copy, verdict }: DumpJudgement, object: CheckedObject): { before: bigint; after: bigint } | null {
  if (verdict.outcome !== 'bad') return null;
  const end = copy.pointer + copy.size;
  const least = (value: bigint): bigint => (value > copy.size ? copy.size : value > 0n ? value : 0n);
  return { before: least(object.windowStart - copy.pointer), after: least(end - object.windowEnd) };
}

function slabLines(slab: SlabFacts): string[] {
  const state = ({ state }: { state: string | null }): string => state ?? 'in use or free: the dump does not say';
  const lines = [`object ${slab.object.index} of ${slab.slab.objects} in its slab, ${state(slab.object)}`];
  if (slab.uncertain !== null && [slab.object, ...slab.neighbours].some((object) => object.state === null))
    lines.push(slab.uncertain);
  if (slab.redZone > 0n) lines.push(`${slab.redZone} bytes of red zone before each object`);
  for (const other of slab.neighbours) {
    const where = other.index < slab.object.index ? 'before' : 'after';
    lines.push(`the object ${where} it, at ${hex(other.start)}: ${state(other)}`);
  }
  return lines;
}

/** The structure that the cache's name and object size both tell, by types that are the kernel's own. */
function structOf({ kernel }: Dump, { cache, start, end }: CheckedObject): StructType | null {
  const { types } = kernel;
  return cache === null || types?.source !== 'btf' ? null : structOfCache(types, cache, Number(end - start));
}

/** Members of the object's structure. */
function fieldOf({ kernel }: Dump, struct: StructType, object: CheckedObject, { copy }: DumpJudgement): ExplainedField {
  const { types } = kernel;
  const at = (address: bigint): string | null =>
    types === null ? null : memberAt(types, struct, Number(address - object.start));
  const first = at(copy.pointer);
  const last = copy.size === 0n ? first : at(copy.pointer + copy.size - 1n);
  const start = Number(copy.pointer - object.start);
  const members = membersAround(struct, start, start + Number(copy.size));
  return { struct: struct.name, first, last, members };
}

function fieldLine({ struct, first, last }: ExplainedField): string {
  const name = (member: string | null): string => member ?? 'outside the structure';
  return `in struct ${struct} the copy goes from ${name(first)} to ${name(last)}`;
}

const sharedLine = ({ cache }: CheckedObject): string =>
  `cache ${cache} is shared by several users of the same size: which structure this is cannot be known`;

function vmallocArea(
  judge: DumpJudge,
  read: MemoryReader,
  { copy }: DumpJudgement,
  surroundings: Surroundings,
  lines: string[],
): void {
  const { introspection } = judge.parameters;
  const area = introspection && vmapFactsOf(judge.dump.kernel, read, introspection, copy.pointer);
  if (!area) return;
  const caller = area.caller ? (symbolOf(judge, area.caller) ?? hex(area.caller)) : null;
  surroundings.area = { start: area.start, end: area.end, caller };
  const size = area.size === null ? '' : `, ${area.size} bytes with its guard page`;
  lines.push(`vmalloc area [${hex(area.start)}, ${hex(area.end)})${size}`);
  if (caller !== null) lines.push(`it was asked for by ${caller}`);
}

function stackOf(
  judge: DumpJudge,
  read: MemoryReader,
  { copy }: DumpJudgement,
  surroundings: Surroundings,
  lines: string[],
): void {
  const { dump, current } = judge;
  const { kernel, variant } = dump;
  if (!current || !kernel.types) return;
  const type = kernel.types.struct('task_struct');
  const comm = type.has('comm') ? read.text(current.task + BigInt(type.offset('comm')), COMM_LENGTH) : null;
  const pid = read.member(current.task, type, 'pid');
  const end = current.stack + variant.threadSize(kernel);
  const frame = dump.atCheck ? describeStackAddress(registersOf(dump), kernel, variant, copy.pointer) : null;
  surroundings.stack = { comm, pid: pid === null ? null : Number(pid), start: current.stack, end, frame };
  const owner = comm === null ? '' : ` of ${comm}${pid === null ? '' : ` (pid ${pid})`}`;
  lines.push(`the stack${owner}: [${hex(current.stack)}, ${hex(end)})`);
  if (frame !== null) lines.push(frame);
}

/** `symbol+0x1c` for an address of the kernel or of its text's linear alias. */
function symbolOf({ dump, parameters }: DumpJudge, address: bigint): string | null {
  const { text, linearText } = parameters;
  const inAlias = text && linearText && address >= linearText.start && address < linearText.end;
  const { symbol, offset } = placeOf(dump.kernel, inAlias ? address - linearText.start + text.start : address);
  return symbol === null ? null : `${symbol}+${hex(offset)}`;
}

const registersOf = ({ registers }: Dump) => ({ readRegister: (name: string): bigint => registers.get(name) ?? 0n });

/** Who made the copy, where it is the one that the CPU stands at: any other has other callers, or none. */
function callsOfCopy(judge: DumpJudge, copy: Copy): readonly string[] {
  return judge.isInRegisters(copy) ? (judge.dump.calls ?? callsOf(judge.dump)) : [];
}

function callsOf(dump: Dump): string[] {
  const trace = backtraceOf(registersOf(dump), dump.kernel, dump.variant, dump.modules());
  return trace.slice(0, MOST_CALLS).map(({ symbol, offset, address, module, reliable }) => {
    const place = symbol === null ? hex(address) : `${symbol}+${hex(offset)}`;
    return `${reliable ? '' : '? '}${place}${module === null ? '' : ` [${module}]`}`;
  });
}

/** A trace that the kernel made wins over a scanned stack; null where the log has none that goes beyond the check. */
export function callsOfReport(report: UsercopyReport | null): string[] | null {
  if (report === null || report.mixed) return null;
  const entries = [...(report.pc === null ? [] : [report.pc]), ...report.trace].filter(({ reliable }) => reliable);
  const last = entries.findLastIndex(({ symbol }) => isOfCheck(symbol));
  const callers = last < 0 ? [] : entries.slice(last + 1, last + 1 + MOST_CALLS);
  if (callers.length === 0) return null;
  return callers.map(({ symbol, offset, module, source, inlined }) => {
    const place = offset === null ? symbol : `${symbol}+${hex(BigInt(offset))}`;
    const where = `${source === null ? '' : ` (${source})`}${inlined ? ' (inlined)' : ''}`;
    return `${place}${module === null ? '' : ` [${module}]`}${where}`;
  });
}
