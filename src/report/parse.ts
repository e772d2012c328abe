/** Any text with a kernel's log in it → the usercopy reports in it. */

import { oopsConventions } from '../../arch/oopses.js';
import { aCount, anArray, aText, requireValue } from '../options.js';
import { architectureOf } from './architecture.js';
import { SEAM } from './join.js';
import { type LogLine, logLines } from './log-lines.js';
import { isReportOfCheck } from './of-check.js';
import { isBare, once } from './once.js';
import { withoutAnswers } from './quoted-answers.js';
import { registerText } from './register-text.js';
import type { RegisterObject, TraceEntry, UsercopyMessage, UsercopyReport } from './report.js';
import { measure } from './return-length.js';
import { unseamed, type Whole, wholeOf, withKnownSeams } from './seams.js';
import { type Block, isShortenedMessage, SHORTENED, splitReports } from './split.js';
import { hardwareOf, modulesOf, taskOf } from './task.js';
import { lostUnderscores, traceOf } from './trace.js';

const BUG_LINE =
  /\b[kK]ernel (?:BUG|bug) at +[\w./][^\s!]{0,300}:\d{1,7}(?:!|(?=\D))|\b[kK]ernel BUG at \.?\S{1,300}(?: \[verbose debug info unavailable\]|!)|^WARNING: .{0,40}\bat +\S{0,300}usercopy\.c:\d{1,7}(?=\D)(?: \S{1,200}\+0x[0-9a-f]{1,8}\/0x[0-9a-f]{1,8})?(?: +\S{1,300}:\d{1,7})?/m;
const REGISTER_OBJECT =
  /^Register (\w{1,6}) information: slab (\S{1,120}) start ([0-9a-f]{8,16}) (?:data offset \d{1,6} )?pointer offset (\d{1,9}) size (\d{1,9})/gm;

/**
 * Reads every usercopy report in a text: dmesg, syslog, a mail, a page out of a tracker. In the order of the log, each
 * crash once; empty where nothing speaks of usercopy. Never throws, and takes time in proportion to the text.
 *
 * `before`: lines that stand in front of an excerpt, which its line numbers count too.
 */
export function parseReports(text: string, before = 0): UsercopyReport[] {
  requireValue('parseReports: text', text, aText);
  requireValue('parseReports: before', before, aCount);
  const lines = withoutAnswers(logLines(text, before));
  // What has no line's end behind it may be cut off.
  const open = text.endsWith('\n') ? null : (lines.at(-1)?.last ?? null);
  const blocks = splitReports(lines, oopsConventions);
  const isShortened = lines.some(isShortenedMessage);
  const reports = once(
    blocks.map((block) => {
      const report = reportOf(block, block.numbers.last === open);
      const lacks = isShortened && report.message === null && !report.notes.includes(SHORTENED);
      return lacks ? { ...report, notes: [...report.notes, SHORTENED] } : report;
    }),
  );
  const lacking = reports.some(({ kernelVersion, arch }) => kernelVersion === null || arch === null);
  if (!lacking) return reports;
  const edges = new Set(blocks.map(({ edge }) => edge));
  return fromRestOfLog(
    reports,
    lines.filter(({ width, cut }) => !cut && !edges.has(width)),
    open !== null,
  );
}

/**
 * The report to take where one is wanted: the first with a message, else the first. A message alone, as in a mail's subject,
 * gives way to the same message with its crash. Null where there is none.
 */
export function chooseReport(reports: readonly UsercopyReport[]): UsercopyReport | null {
  requireValue('chooseReport: reports', reports, anArray);
  const first = reports.find((report) => report.message !== null) ?? reports[0] ?? null;
  if (first === null || !isBare(first)) return first;
  return reports.find((report) => report.message?.canonical === first.message?.canonical && !isBare(report)) ?? first;
}

/**
 * The report that a memory dump belongs to: the last in the log that tells more than a line of its crash, since a kernel may
 * go on after a BUG(). One that is not of the check but has it as a leftover on its stack gives way. Where none is whole, the one that `chooseReport` takes. Null where there is none.
 */
export function chooseLastReport(reports: readonly UsercopyReport[]): UsercopyReport | null {
  requireValue('chooseLastReport: reports', reports, anArray);
  const isWhole = (report: UsercopyReport): boolean =>
    !isBare(report) && (report.message !== null || report.trace.length > 0);
  return (
    reports.findLast((report) => isWhole(report) && isReportOfCheck(report)) ??
    reports.findLast(isWhole) ??
    chooseReport(reports)
  );
}

/** @param isOpen nothing says that the last line is whole. */
const textOf = (lines: readonly string[], isOpen: boolean): string => `${lines.join('\n')}${isOpen ? '' : '\n'}`;

function reportOf(block: Block, isOpen: boolean): UsercopyReport {
  const seamed = withKnownSeams(
    textOf(
      block.lines.map((line) => line.text),
      isOpen,
    ),
  );
  const text = unseamed(seamed);
  const found = architectureOf(text, oopsConventions);
  const userMode = found?.convention.userMode?.exec(text)?.index ?? text.length;
  const kernelText = text.slice(0, userMode);
  const bits = found?.convention.bits(found.variant) ?? null;
  const registers = block.mixed ? new Map<string, bigint>() : (found?.convention.registers(kernelText) ?? new Map());
  const task = taskOf(text);
  const modules = modulesOf(seamed);
  const comm = wholeOf(taskOf(seamed).comm, "the task's name");
  const hardware = wholeOf(hardwareOf(seamed), "the hardware's name");
  const code = codeOf(seamed, kernelText.length, found?.convention.bugCode ?? null);
  const bugLine = wholeOf(bugLineOf(seamed, found?.convention.bugLines ?? []), 'the BUG line');
  const pc = pcOf(text, found?.convention.pc ?? null);
  const trace = traceOf(kernelText.trimEnd().split('\n'), isOpen && kernelText === text);
  const measured = measure(block.message, registers, found?.convention.returnValue ?? [], pc);
  const { message, notes } = withWholeAddress(measured.message, bits);
  const assumed = found?.convention.assumption?.(text) ?? null;
  return {
    message,
    bugLine: bugLine.value,
    arch: found?.variant ?? null,
    bits: bits ?? bitsOfAddress(message),
    archFrom: found === null ? null : found.sign.what,
    archAssumed: assumed,
    kernelVersion: task.release,
    cpu: block.mixed ? null : task.cpu,
    pid: block.mixed ? null : task.pid,
    comm: block.mixed || comm.value === null ? null : task.comm,
    taint: task.taint,
    hardware: hardware.value,
    modules: modules?.entries.map(({ name }) => name) ?? null,
    foreignModules: modules?.entries.filter(({ flags }) => /[OP]/.test(flags)).map(({ name }) => name) ?? [],
    registers,
    stackPointer: stackPointerOf(registers, found?.convention.stackPointer ?? []),
    returnLength: measured.length,
    pc: block.mixed ? null : pc,
    code: code.value,
    trace,
    registerObjects: block.mixed ? [] : registerObjectsOf(kernelText),
    registerText:
      found === null || message !== null
        ? null
        : registerText(registers, found.convention.bits(found.variant) / 8, found.convention.isLittle(found.variant)),
    mixed: block.mixed,
    stamp: block.stamp,
    trouble: block.trouble,
    lines: block.numbers,
    notes: [
      ...(block.message?.notes ?? []),
      ...measured.notes,
      ...notes,
      ...block.notes,
      ...[comm, hardware, code, bugLine].flatMap(({ note }) => note ?? []),
      ...(modules?.notes ?? []),
      ...(assumed === null ? [] : [assumed]),
      ...([pc, ...trace].some((entry) => entry !== null && lostUnderscores(entry.symbol)) ? [EMPHASIS] : []),
    ],
  };
}

const EMPHASIS =
  'the names have lost underscores, which a page took for emphasis: those of functions, modules and caches may lack some';

/** An address of a 64-bit kernel that shows eight digits lost the others. */
function withWholeAddress(
  message: UsercopyMessage | null,
  bits: 32 | 64 | null,
): { readonly message: UsercopyMessage | null; readonly notes: readonly string[] } {
  const digits = message?.addressDigits ?? null;
  if (message === null || digits === null || message.address === null || bits === null || digits === bits / 4) {
    return { message, notes: [] };
  }
  const notes = [`the address has ${digits} digits, where %p of ${bits} bits prints ${bits / 4}: it is not taken`];
  return { message: { ...message, address: null, canonical: null }, notes };
}

const bitsOfAddress = (message: UsercopyMessage | null): 32 | 64 | null =>
  message?.address == null ? null : message.addressDigits === 16 ? 64 : message.addressDigits === 8 ? 32 : null;

/**
 * Postings put several spaces between the bytes, or break the line. powerpc's words stand behind the registers of user mode:
 * under a heading on several lines, or, in newer kernels, on one.
 */
function codeOf(seamed: string, kernelLength: number, bugCode: RegExp | null): Whole {
  const CODE = /^(?:Code|Instruction DUMP):[ \0]{0,4}((?:[0-9a-fX<>()]{1,20}(?=[ \0\n]|$)[ \0]{0,40}){1,80})/m;
  const INSTRUCTIONS =
    /^(?:Instruction dump|Code):[ \0]{0,4}\n?((?:(?:[0-9a-f]{8}|[<(][0-9a-f]{8}[>)]|X{8})[ \0\n]{0,40}){1,40})/m;
  const bytes = CODE.exec(seamed.slice(0, kernelLength))?.[1] ?? INSTRUCTIONS.exec(seamed)?.[1];
  if (bytes !== undefined) return wholeOf(wholeGroups(bytes), 'the code');
  const behind = CODE.exec(seamed.slice(kernelLength))?.[1];
  const told = behind === undefined ? '' : wholeGroups(behind);
  return bugCode?.test(told) ? wholeOf(told, 'the code') : { value: null, note: null };
}

/** All groups have as many digits as most: where two parts have them together no blank stood between, where each has them one did. */
function wholeGroups(bytes: string): string {
  const digitsOf = (group: string): number => group.replace(/[^0-9a-fX]/g, '').length;
  const plain = bytes.trim().replace(/[ \n]+/g, ' ');
  const widths = plain.split(/[ \0]/).map(digitsOf);
  const width = [...widths].sort((left, right) => left - right)[widths.length >> 1] ?? 0;
  const whole = plain.replace(/([^ \0]*)\0([^ \0]*)/g, (seam, left: string, right: string) => {
    if (digitsOf(left) + digitsOf(right) === width) return left + right;
    return digitsOf(left) === width ? `${left} ${right}` : seam;
  });
  // A mark that was taken for one of quoting.
  const marked = whole.replace(/<([0-9a-f]{2,8})(?= |$)/g, '<$1>');
  // The last one may be cut.
  const [, last = ''] = / ([^ ]*)$/.exec(marked) ?? [];
  const groups = (last !== '' && digitsOf(last) < width ? marked.slice(0, -last.length - 1) : marked).split(' ');
  // Blanks are missing where a group has the digits of several; one that has not is none.
  const one = new RegExp(`[<(]?[0-9a-fX]{${width}}[>)]?(?=.)`, 'g');
  const spaced = groups.map((group) => {
    const digits = digitsOf(group);
    if (digits === width || width === 0 || group.includes(SEAM)) return group;
    return digits % width === 0 && digits > 0 ? group.replace(one, '$& ') : `${group}${SEAM}`;
  });
  return spaced.join(' ');
}

function stackPointerOf(registers: ReadonlyMap<string, bigint>, names: readonly string[]): bigint | null {
  return names.map((name) => registers.get(name)).find((value) => value !== undefined) ?? null;
}

function bugLineOf(text: string, more: readonly RegExp[]): string | null {
  const candidates = [BUG_LINE, ...more]
    .map((pattern) => pattern.exec(text))
    .filter((match) => match !== null)
    .sort((left, right) => left.index - right.index);
  const [first] = candidates;
  if (first === undefined) return null;
  // Digits of the line's number may stand behind a seam.
  const rest = text.slice(first.index + first[0].length, first.index + first[0].length + 2);
  const cut = rest.startsWith(SEAM) && !rest.endsWith('[') ? SEAM : '';
  return `${first[0]}${cut}`.replace(/\s+/g, ' ').trim();
}

function pcOf(text: string, pattern: RegExp | null): TraceEntry | null {
  const found = pattern?.exec(text) ?? null;
  const [told = '', symbol, offset, size] = found ?? [];
  // A symbol that nothing follows on its line may have lost its end.
  const isCut = offset === undefined && /^(?:\+|[>)]?\s*(?:\n|$))/.test(text.slice((found?.index ?? 0) + told.length));
  if (symbol === undefined || isCut) return null;
  return {
    symbol,
    offset: offset === undefined ? null : Number.parseInt(offset, 16),
    size: size === undefined ? null : Number.parseInt(size, 16),
    module: null,
    address: null,
    source: null,
    inlined: false,
    reliable: true,
  };
}

function registerObjectsOf(text: string): RegisterObject[] {
  return [...text.matchAll(REGISTER_OBJECT)].map(([, register = '', cache = '', start, offset, size]) => ({
    register,
    cache,
    start: BigInt(`0x${start}`),
    offset: Number(offset),
    size: Number(size),
  }));
}

/** One log is of one kernel: what a report lacks of it is taken from the rest of the text, and said. */
function fromRestOfLog(
  reports: readonly UsercopyReport[],
  lines: readonly LogLine[],
  isOpen: boolean,
): UsercopyReport[] {
  const text = textOf(
    lines.map((line) => line.text),
    isOpen,
  );
  const release = reports.find((other) => other.kernelVersion !== null)?.kernelVersion ?? taskOf(text).release;
  const found = architectureOf(text, oopsConventions);
  return reports.map((report) => {
    const notes = [...report.notes];
    let { kernelVersion, arch, bits, archFrom, archAssumed } = report;
    if (kernelVersion === null && release !== null) {
      kernelVersion = release;
      notes.push('the release comes from elsewhere in the log');
    }
    if (arch === null && found !== null) {
      arch = found.variant;
      bits = found.convention.bits(found.variant);
      archFrom = found.sign.what;
      archAssumed = found.convention.assumption?.(text) ?? null;
      notes.push('the architecture comes from elsewhere in the log');
      if (archAssumed !== null) notes.push(archAssumed);
    }
    return { ...report, kernelVersion, arch, bits, archFrom, archAssumed, notes };
  });
}
