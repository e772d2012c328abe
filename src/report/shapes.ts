/** What a line of a log is, asked of the generic shapes and of every architecture's. */
import type { OopsConvention } from '../../arch/oops.js';
import { isHeader } from './anchors.js';
import { isTraceLine } from './trace.js';

export const CUT = /-{4}\[ ?cut here ?\]/;
export const END = /--\[ ?end trace\b/;
export const BUG =
  /\b[kK]ernel BUG at |\bkernel bug at \S{1,200}\.c:\d|\bBUG: failure at |^WARNING: (?!(?:kernel )?stack |can't access registers|unrecognized unwind)|\bbugcheck! \d|\bKernel bug detected\[#/;
export const USERCOPY = /usercopy|__check_(?:object_size|heap_object)/;
/** dump_stack_print_info(): whose registers follow. */
export const TASK = /^CPU ?: ?-?\d{1,5} (?:UID: \d{1,10} )?PID: ?(-?\d{1,10}) Comm: /;
export const TRACE = /^(?:Call [Tt]race|Backtrace|Stack [Tt]race):/;
/** Where an oops can begin whose first lines are missing. */
const OOPS =
  /^(?:Entering kdb|Oops\b|Internal error: |CPU ?: ?-?\d+ |Pid: \d+, comm: |Process .{1,40} \(pid: \d|Call [Tt]race:)/;
/** What the kernel itself puts before its BUG line. */
const BEFORE_BUG = /^(?:\S{0,40}(?:\(\d{1,10}\)|\[\d{1,10}\]): |usercopy: |BUG: |\S{0,3} ?)$/;
/** Lines that tell of memory that is damaged, or of a crash before this one. */
const TROUBLE =
  /^(?:list_(?:add|del)\b.{0,60}corruption|slab error|BUG: (?:KASAN|KFENCE|KMSAN|unable to handle|Bad |kernel NULL)|=*\s?BUG \S{1,60} \(|general protection fault|Unable to handle kernel|kernel BUG at |refcount_t: |Kernel panic - not syncing: stack-protector|page dumped because|Object already free|.{0,40}\bRedzone overwritten)/;

/** Lines that begin something of their own on any architecture. */
const STARTS =
  '\\S{1,16} ?\\[#\\d|usercopy: |PAX: |Bad or missing|-{3,}|CPU ?: ?-?\\d|Pid: |Hardware name:|Modules linked in:|Tainted: \\[|Workqueue:|task: |Code:|Call [Tt]race:|Backtrace:|Stack|Process |Kernel panic|Kernel Offset|Rebooting|<\\/?(?:TASK|IRQ|NMI)>|Oops|Internal error|[kK]ernel BUG|WARNING:|BUG:|Entering kdb|due to|Dumping ftrace|\\d+: |\\[?\\.\\.\\.|crash>|PID: |#\\d+ \\[|more>|Message from |[\\w./-]+\\[\\d+\\]: ';

export interface Shapes {
  /** Begins something: no continuation of a broken line. */
  startsItem(text: string): boolean;
  /** An oops can begin here. */
  startsOops(text: string): boolean;
}

export function shapesOf(conventions: readonly OopsConvention[]): Shapes {
  const starts = new RegExp(`^(?:${[STARTS, ...conventions.map(({ lineStarts }) => lineStarts)].join('|')})`);
  return {
    startsItem: (text) => starts.test(text) || END.test(text) || CUT.test(text) || isTraceLine(text),
    startsOops: (text) => OOPS.test(text) || isTraceLine(text) || conventions.some(({ pc }) => pc.test(text)),
  };
}

/** A BUG line as the kernel prints it; false for one that a person quotes in a sentence or a subject. */
export function isOwnBug(text: string): boolean {
  const found = BUG.exec(text);
  return found !== null && !isHeader(text) && (found.index === 0 || BEFORE_BUG.test(text.slice(0, found.index)));
}

export const isTrouble = (text: string): boolean => TROUBLE.test(text) && !USERCOPY.test(text);
