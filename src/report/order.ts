/** Logs whose lines do not stand in the order in which they were printed. */
import type { LogLine } from './log-lines.js';
import { CUT, END } from './shapes.js';

/** What a block of pstore (`dmesg-erst-…`, `dmesg-ramoops-0`) begins with. Part 1 is the end of the log. */
const PART = /^([A-Z][a-z]{2,12}#\d{1,6}) Part ?(\d{1,6})\b/;
/** Lines of an oops in the order in which every architecture prints them. */
const MARKS: readonly RegExp[] = [
  /ernel memory (?:exposure|overwrite|leak) attempt/i,
  CUT,
  /\b[kK]ernel (?:BUG at |bug detected\[)|^WARNING: CPU/,
  /\bCPU: ?\d+ (?:UID: \d+ )?PID: /,
  /^(?:RIP|EIP|NIP|e?pc)\b/,
  /^(?:Call [Tt]race|Backtrace):/,
  /^(?:\W{0,3}|.{0,40}\] )(?:usercopy_(?:abort|warn)|report_usercopy|__check_heap_object)\+/,
  /^(?:\W{0,3}|.{0,40}\] )__check_object_size(?:\.[\w.]{1,40})?\+/,
  /^(?:\W{0,3}|.{0,40}\] )(?:entry_|el0|el1|do_el0|do_syscall|system_call|ret_(?:fast|from)|syscall_|__sys_trace|sysenter|start_thread|kthread\+)/,
  END,
];

/** The lines as they were printed. */
export function inOrder(lines: readonly LogLine[]): readonly LogLine[] {
  const whole = withPartsInOrder(lines);
  return isNewestFirst(whole) ? reversed(whole) : whole;
}

function withPartsInOrder(lines: readonly LogLine[]): readonly LogLine[] {
  if (!lines.some(({ text }) => text.includes(' Part') && PART.test(text))) return lines;
  const ordered: LogLine[] = [];
  let dump: string | null = null;
  let parts: { readonly part: number; readonly lines: LogLine[] }[] = [];
  const close = (): void => {
    // What stands before the first part of a dump is no part.
    for (const { lines: own } of parts.sort((left, right) => right.part - left.part))
      for (const line of own) ordered.push(line);
    parts = [];
  };
  for (const line of lines) {
    const header = PART.exec(line.text);
    if (header === null) {
      const part = parts.at(-1);
      if (part === undefined) ordered.push(line);
      else part.lines.push(line);
      continue;
    }
    if (header[1] !== dump) close();
    dump = header[1] ?? '';
    parts.push({ part: Number(header[2]), lines: [] });
  }
  close();
  return ordered;
}

/** By the kernel's stamps where they tell, else by the order of what an oops is made of. */
function isNewestFirst(lines: readonly LogLine[]): boolean {
  const ENOUGH = 3;
  let later = 0;
  let earlier = 0;
  let last: number | null = null;
  for (const { stamp } of lines) {
    if (stamp === null) continue;
    if (last !== null && stamp > last) later++;
    if (last !== null && stamp < last) earlier++;
    last = stamp;
  }
  if (later + earlier >= ENOUGH) return earlier > 2 * later;
  let up = 0;
  let down = 0;
  let before: number | null = null;
  for (const { text } of lines) {
    const mark = MARKS.findIndex((pattern) => pattern.test(text));
    if (mark < 0) continue;
    if (before !== null && mark > before) up++;
    if (before !== null && mark < before) down++;
    before = mark;
  }
  return down >= ENOUGH && down > 2 * up;
}

/** Lines that a mailer broke stay behind the line that they belong to. */
function reversed(lines: readonly LogLine[]): LogLine[] {
  const records = lines.some(({ prefixed }) => prefixed);
  const units: LogLine[][] = [];
  for (const line of lines) {
    const unit = units.at(-1);
    if (records && !line.prefixed && unit !== undefined) unit.push(line);
    else units.push([line]);
  }
  return units.reverse().flat();
}
