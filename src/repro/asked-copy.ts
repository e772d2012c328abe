/** Which copy of a dump is meant: one that is named, that registers hold, that a log tells, or that the stack of a BUG() tells. */
import { machineOf } from '../diagnosis/machine.js';
import type { DumpJudge } from '../dump/judge.js';
import { readDumpLog } from '../dump/log.js';
import type { Dump } from '../dump/open-dump.js';
import { badInput, hex, isOfEmulator, type UsercopyError } from '../errors.js';
import { writeWhole } from '../image/files.js';
import { type KernelLog, logText } from '../introspect/printk.js';
import { chooseLastReport, parseReports } from '../report/parse.js';
import type { AskedPlace, DumpQuestion } from './dump-question.js';
import { copyFromTrap, type TrapTools } from './from-trap.js';
import { givenCopy, standAtCheck } from './stand-at-check.js';
import { toldInLog } from './told-in-log.js';

/** The dump as it was when the kernel was asked about a copy. */
export interface AskedCopy extends Pick<AskedPlace, 'copy' | 'report' | 'maybe' | 'notes'> {
  readonly dump: Dump;
  /** Who judged the copy already. */
  readonly judge: DumpJudge | null;
}

/** `task` is there only where something else than the registers tells it. */
export const placeOfAsked = ({ dump: { registers, task, atCheck }, judge, ...told }: AskedCopy): AskedPlace => ({
  registers,
  ...(task === undefined ? {} : { task }),
  atCheck,
  ...told,
});

const askedAgain = (opened: Dump, { registers, task, atCheck, ...told }: AskedPlace): AskedCopy => ({
  dump: { ...opened, registers, ...(task === undefined ? {} : { task }), atCheck },
  judge: null,
  ...told,
});

/**
 * The given copy; of a CPU at the check the one in its registers; else the one that the log tells, or the log inside the
 * dump. A copy that was given need not be the one that the log inside tells of: it is held against it only where its numbers
 * are the same. `withoutEmulator`: why no code of the dump is to be run; null when it may be.
 */
export async function askedCopy(
  opened: Dump,
  { input, copy, report: given, asked }: DumpQuestion,
  tools: TrapTools,
  withoutEmulator: string | null,
): Promise<AskedCopy> {
  const isTold = opened.atCheck || given !== null;
  const log = input.log !== undefined || !isTold ? readDumpLog(opened) : null;
  if (input.log !== undefined) {
    if (log === null) throw badInput(input.dump, "the kernel's log in its memory, for --log", 'none');
    writeWhole(input.log, logText(log));
  }
  if (asked !== undefined) return askedAgain(opened, asked);
  if (opened.atCheck) {
    return { dump: opened, copy: copy && givenCopy(copy), judge: null, report: given, notes: [] };
  }
  const inside = given === null && log !== null ? parseReports(logText(log)) : [];
  const from = inside.length === 0 ? [] : [`the report is from the log in the dump (${log?.layout})`];
  if (copy !== null && given === null) {
    const { report, maybe } = toldInLog(inside, copy, machineOf(opened.variant.bits, opened.variant));
    if (report === null) {
      return { dump: opened, copy: givenCopy(copy), judge: null, report, maybe, notes: maybe === null ? [] : [MAYBE] };
    }
    const { notes, ...standing } = await standAtCheck(opened, report, copy, tools.judgeOf);
    return { ...standing, report, notes: [...from, ...notes] };
  }
  const report = given ?? chooseLastReport(inside);
  if (report === null) {
    const standing = withoutEmulator ?? (await copyFromTrap(opened, tools).catch(whyNoEmulator));
    if (typeof standing === 'string') throw noCopy(opened, log, standing);
    return { ...standing, report: null };
  }
  const { release } = opened.kernel.version;
  if (report.kernelVersion !== null && report.kernelVersion !== release) {
    throw badInput(input.dump, `a dump of kernel ${report.kernelVersion}, as the log's`, `kernel ${release}`);
  }
  const { notes, ...standing } = await standAtCheck(opened, report, copy, tools.judgeOf);
  return { ...standing, report, notes: [...from, ...notes] };
}

const MAYBE = 'the log in the dump has a refused copy, but lacks its address, size or direction: it may be this one';

/** Where no emulator can be had, or none that runs this kernel's check, that is why the stack does not tell the copy. */
function whyNoEmulator(error: unknown): string {
  if (isOfEmulator(error)) return `this needs an emulator: ${error.message}`;
  throw error;
}

function noCopy({ path, variant, registers, kernel }: Dump, log: KernelLog | null, why: string): UsercopyError {
  const pc = registers.get(variant.registers.pc);
  const found =
    log === null ? 'no log in its memory' : `a log of ${log.records.length} records without one in its memory`;
  // The log's own structures are found by the kernel's types.
  const hint =
    log === null && kernel.types === null
      ? "; the log cannot be found without the kernel's types: give --kernel IMAGE, and --btf FILE if the image has none"
      : '';
  return badInput(
    path,
    'a CPU at the first instruction of __check_object_size (--regs), or a usercopy report (--report, or in its own log)',
    `${pc === undefined ? 'no registers' : `${variant.registers.pc} ${hex(pc)}`} and ${found}, and its stack does not show the copy (${why}); say which copy with --at, --size and --to-user or --from-user${hint}`,
  );
}
