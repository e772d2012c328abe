/** The contract of `usercopy repro --json`: every key is always there, what is not known is null. */

import type { ExplainedObject, Reproduction } from '../diagnosis/outcome.js';
import { summaryOf } from '../diagnosis/summary.js';
import { hex } from '../errors.js';
import type { TraceEntry, UsercopyReport } from '../report/report.js';
import type { Code } from '../repro/code-lines.js';
import { count } from './output.js';

const bytesJson = (value: bigint | null): number | string | null => (value === null ? null : count(value));
export const addressJson = (value: bigint | null): string | null => (value === null ? null : hex(value));
const entryJson = (entry: TraceEntry): unknown => ({ ...entry, address: addressJson(entry.address) });

/** A report's fields under the names that reports are catalogued by. */
export function reportJson(report: UsercopyReport): Record<string, unknown> {
  const { message } = report;
  return {
    message: message?.text ?? null,
    canonical: message?.canonical ?? null,
    format: message?.format ?? null,
    direction: message?.direction ?? null,
    region: message?.region ?? null,
    region_kind: message?.regionKind ?? null,
    cache: message?.cache ?? null,
    address: addressJson(message?.address ?? null),
    offset: bytesJson(message?.offset ?? null),
    size: bytesJson(message?.size ?? null),
    bug_line: report.bugLine,
    kernel_version: report.kernelVersion,
    arch: report.arch,
    bits: report.bits,
    arch_from: report.archFrom,
    cpu: report.cpu,
    pid: report.pid,
    comm: report.comm,
    taint: report.taint,
    hardware: report.hardware,
    modules: report.modules,
    foreign_modules: report.foreignModules,
    registers: Object.fromEntries([...report.registers].map(([name, value]) => [name, addressJson(value)])),
    stack_pointer: addressJson(report.stackPointer),
    pc: report.pc === null ? null : entryJson(report.pc),
    code: report.code,
    trace: report.trace.map(entryJson),
    register_objects: report.registerObjects.map((object) => ({ ...object, start: addressJson(object.start) })),
    register_text:
      report.registerText === null
        ? null
        : { ...report.registerText, pieces: Object.fromEntries(report.registerText.pieces) },
    return_length: report.returnLength,
    stamp: report.stamp,
    earlier_trouble: report.trouble,
    mixed: report.mixed,
    lines: report.lines,
    notes: report.notes,
  };
}

/** `code`: the report's Code: line as instructions. */
export function reproductionJson(reproduction: Reproduction, code: Code | null = null): Record<string, unknown> {
  const { outcome, variant, profile, kernel, copy, report, check, replay } = reproduction;
  const { known, ...summary } = summaryOf(reproduction);
  return {
    verdict: { ...summary, known_cause: known },
    outcome,
    variant,
    profile,
    kernel,
    copy: {
      pointer: addressJson(copy.pointer),
      size: bytesJson(copy.size),
      direction: copy.direction,
    },
    report: report === null ? null : reportJson(report),
    check,
    replay,
    explanation: explanationJson(reproduction),
    code,
  };
}

/** What is known of the place of a copy. */
export function explanationJson({ copy, explanation }: Reproduction): Record<string, unknown> {
  const { object, field, surroundings } = explanation;
  return {
    ...explanation,
    copy_from: { pointer: copy.pointerFrom, size: copy.sizeFrom, direction: copy.directionFrom },
    object: objectJson(object),
    field,
    surroundings: surroundings
      ? {
          ...surroundings,
          redZone: bytesJson(surroundings.redZone),
          outside: surroundings.outside && {
            before: count(surroundings.outside.before),
            after: count(surroundings.outside.after),
          },
        }
      : null,
  };
}

/** Who called the check, a caller a line. */
export function callLines({ surroundings }: Reproduction['explanation']): string[] {
  const calls = surroundings?.calls ?? [];
  return calls.length === 0 ? [] : ['called from:', ...calls.map((call) => `  ${call}`)];
}

export function objectJson(object: ExplainedObject | null): unknown {
  if (object === null) return null;
  const { start, end, size, window } = object;
  return {
    ...object,
    start: addressJson(start),
    end: addressJson(end),
    size: bytesJson(size),
    window: window === null ? null : { start: addressJson(window.start), end: addressJson(window.end) },
  };
}
