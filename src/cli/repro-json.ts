/** The contract of `usercopy repro --json`: every key is always there, what is not known is null. */

import type { Reproduction } from '../diagnosis/outcome.js';
import { summaryOf } from '../diagnosis/summary.js';
import { hex } from '../errors.js';
import type { TraceEntry, UsercopyReport } from '../report/report.js';
import { count } from './output.js';

const bytesJson = (value: bigint | null): number | string | null => (value === null ? null : count(value));
const addressJson = (value: bigint | null): string | null => (value === null ? null : hex(value));
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

export function reproductionJson(reproduction: Reproduction): Record<string, unknown> {
  const { outcome, variant, profile, kernel, copy, report, check, replay, explanation } = reproduction;
  const { object, field, surroundings } = explanation;
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
    explanation: {
      ...explanation,
      copy_from: { pointer: copy.pointerFrom, size: copy.sizeFrom, direction: copy.directionFrom },
      object:
        object === null
          ? null
          : {
              ...object,
              start: addressJson(object.start),
              end: addressJson(object.end),
              size: bytesJson(object.size),
              window:
                object.window === null
                  ? null
                  : { start: addressJson(object.window.start), end: addressJson(object.window.end) },
            },
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
    },
  };
}
