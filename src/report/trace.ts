/** Entries of a call trace, in the shapes that kernels, decode_stacktrace.sh, syzbot and crash give them. */
import type { TraceEntry } from './report.js';

const NAME = '\\**\\.?([A-Za-z_][\\w.$]{0,200})';
/** `[<ffffffff9818dd9d>] ? memcpy_toiovec+0x4d/0xb0 [module]`, `([<…>] …)`, `[sp] [address] …`, `… file.c:12`. */
const WITH_OFFSET = new RegExp(
  `^\\(?(?:[[<]{1,2}([0-9a-f]{8,16})[>\\]]{1,2} )?(?:[[<]{1,2}([0-9a-f]{8,16})[>\\]]{1,2} )?(\\? )?${NAME}\\+0x([0-9a-f]{1,8})/0x([0-9a-f]{1,8}(?!\\w))?(.*)$`,
);
/** The same, where the line ends before the size does: that of which the end is not sure is not told. */
const CUT_OFFSET = new RegExp(
  `^\\(?(?:[[<]{1,2}([0-9a-f]{8,16})[>\\]]{1,2} )?(?:[[<]{1,2}([0-9a-f]{8,16})[>\\]]{1,2} )?(\\? )?${NAME}\\+0x([0-9a-f]{0,8})(/(?:0x?)?)?$`,
);
/** `check_object_size include/linux/thread_info.h:119 [inline]` */
const INLINE = /^(?:\? )?([A-Za-z_][\w.]{0,200}) (\S{1,200}:\d{1,7}) \[inline\]/;
/** `usercopy_abort (mm/usercopy.c:102 (discriminator 24))` */
const DECODED = /^(\? )?([A-Za-z_][\w.]{0,200}) \(((?:[\w./+-]{1,200}:(?:\d{1,7}|\?)|\?\?:\?).{0,400})\)(.*)$/;
/** `#12 [ffff800009d4fa00] usercopy_abort at ffffdf7f6be2a158 [module]` */
const CRASH = /^#\d{1,3} \[[0-9a-f]{8,16}\] ([A-Za-z_][\w.]{0,200}) at ([0-9a-f]{8,16})(.*)$/;
/** What 32-bit ARM has before the caller of a frame: the callee, with or without its address, and with its module. */
export const CALLEE_FROM =
  '^(?:\\[<[0-9a-f]{8}>\\] )?\\(?([A-Za-z_][\\w.]{0,200})(?:\\+0x[0-9a-f]+/0x[0-9a-f]+)?(?: \\[[\\w-]{1,60}\\])?\\)? from';
const FROM = new RegExp(
  `${CALLEE_FROM} (?:\\[<([0-9a-f]{8})>\\] )?\\(?([A-Za-z_][\\w.]{0,200})\\+0x([0-9a-f]{1,8})/0x([0-9a-f]{1,8})`,
);
/** powerpc puts an address in such brackets before the next frame, which a broken line may bring behind this one. */
const MODULE = /(?:^|\s)[[Ý](?!(?:[0-9a-f]{8}|[0-9a-f]{16}|inline)[\]¨])([A-Za-z][\w-]{0,60})(?: [0-9a-f]{8,64})?[\]¨]/;
/** decode_stacktrace.sh leaves the brackets away, and may put the module's build id behind it. */
const BARE_MODULE = /^ ([A-Za-z_][\w-]{0,60})(?: [0-9a-f]{8,64})?$/;
const SOURCE = /^\s?(?:\[\w[^\]]{0,100}\] )?([\w./-]{1,200}:\d{1,7})(?!\w)/;
const OPEN_SIZE = /\/0x[0-9a-f]{1,8}$/;
const MOST_ENTRIES = 256;

const entry = (symbol: string, more: Partial<TraceEntry> = {}): TraceEntry => ({
  symbol,
  offset: null,
  size: null,
  module: null,
  address: null,
  source: null,
  inlined: false,
  reliable: true,
  ...more,
});

const moduleOf = (rest: string): string | null => MODULE.exec(rest)?.[1] ?? BARE_MODULE.exec(rest)?.[1] ?? null;

const address = (text: string | undefined): bigint | null => (text === undefined ? null : BigInt(`0x${text}`));

/** The entries that one line tells; none for a line that is no part of a trace. */
function entriesOf(text: string): TraceEntry[] {
  const line = /[^\S ]| {2}/.test(text) ? text.replace(/\s+/g, ' ') : text;
  const from = line.includes(' from ') ? FROM.exec(line) : null;
  if (from !== null) {
    const [told, callee = '', at, caller = '', offset = '', size = ''] = from;
    return [
      entry(callee),
      entry(caller, {
        address: address(at),
        offset: Number.parseInt(offset, 16),
        size: Number.parseInt(size, 16),
        module: moduleOf(line.slice(told.length)),
      }),
    ];
  }
  const plain = line.includes('+0x') ? WITH_OFFSET.exec(line) : null;
  if (plain !== null) {
    const [, first, second, doubt, symbol = '', offset = '', size, rest = ''] = plain;
    return [
      entry(symbol, {
        address: address(second ?? first),
        offset: Number.parseInt(offset, 16),
        // What letters follow has lost digits.
        size: size === undefined ? null : Number.parseInt(size, 16),
        module: moduleOf(rest),
        source: SOURCE.exec(rest)?.[1] ?? null,
        reliable: doubt === undefined,
      }),
    ];
  }
  const cut = line.includes('+0x') ? CUT_OFFSET.exec(line) : null;
  if (cut !== null) {
    const [, first, second, doubt, symbol = '', offset = '', end] = cut;
    return [
      entry(symbol, {
        address: address(second ?? first),
        offset: end === undefined ? null : Number.parseInt(offset, 16),
        reliable: doubt === undefined,
      }),
    ];
  }
  const inline = line.endsWith(']') ? INLINE.exec(line) : null;
  if (inline !== null) {
    const [, symbol = '', source = null] = inline;
    return [entry(symbol, { source, inlined: true })];
  }
  const decoded = line.includes(' (') ? DECODED.exec(line) : null;
  if (decoded !== null) {
    const [, doubt, symbol = '', place = '', rest = ''] = decoded;
    const told = /^\S+/.exec(place)?.[0] ?? '';
    const source = told.endsWith('?') ? null : told;
    return [entry(symbol, { source, module: moduleOf(rest), reliable: doubt === undefined })];
  }
  const crash = line.startsWith('#') ? CRASH.exec(line) : null;
  if (crash === null) return [];
  const [, symbol = '', at, rest = ''] = crash;
  return [entry(symbol, { address: address(at), module: moduleOf(rest) })];
}

export const isTraceLine = (text: string): boolean => entriesOf(text).length > 0;

/**
 * The call trace in the lines of one oops, innermost first.
 * @param isOpen nothing says that the last line is whole.
 */
export function traceOf(lines: readonly string[], isOpen = false): TraceEntry[] {
  const trace: TraceEntry[] = [];
  let skip = false;
  for (const [index, line] of lines.entries()) {
    // s390: the line behind this one is where the last jump came from, no frame.
    if (/^Last Breaking-Event-Address\b/.test(line)) {
      skip = true;
      continue;
    }
    const entries = entriesOf(line);
    if (skip && entries.length > 0) {
      skip = false;
      continue;
    }
    const isCut = isOpen && index === lines.length - 1 && OPEN_SIZE.test(line);
    for (const told of entries) {
      const found = isCut ? { ...told, size: null } : told;
      const last = trace.at(-1);
      // A chain of "callee from caller" names every function twice.
      if (found.offset === null && found.source === null && found.address === null && last?.symbol === found.symbol)
        continue;
      if (trace.length < MOST_ENTRIES) trace.push(found);
    }
  }
  return trace;
}

/** Functions that belong to the check, and helpers that copy for whoever called them. */
const CHECK =
  /^(?:__pi_)?(?:usercopy_(?:abort|warn)|report_usercopy|_*check_(?:heap_object|object_size|stack_object|bogus_address|kernel_text_object|copy_size|page_span)|pax_report_usercopy|(?<lost>usercopyabort|_*check_?(?:heap_?object|object_?size)))(?:\.(?:part|constprop|isra|cold)[.\w]*)*$/;
const WRAPPER =
  /^(?:_*copy_(?:to|from)_user(?:_key|_nmi|_nofault)?|_*copy(?:in|out)(?:_\w+)?|simple_copy_to_iter|_*copy_(?:to|from)_iter(?:_full)?|_*copy_page_(?:to|from)_iter(?:_iovec)?|copy_(?:to|from)_iter_iovec|memcpy_(?:to|from)iovec(?:end)?|memdup_user(?:_nul)?|v?memdup_user|strncpy_from_user|strndup_user|put_user|get_user|put_cmsg(?:_\w+)?|_*copy_struct_from_user|simple_(?:read_from|write_to)_buffer|copy_(?:from|to)_buffer|memory_read_from_buffer|copy_(?:from|to|safe_from)_(?:sockptr|bpfptr)\w*|user_regset_copy(?:in|out)|_*skb_datagram_iter|skb_copy_(?:and_(?:hash|csum)_)?datagram_(?:iter|iovec|msg)|_*kfifo_(?:copy_)?(?:to|from)_user(?:_r)?|skb_copy_datagram_from_iter|iov_iter_(?:copy_from_user|get_pages)\w*)(?:\.(?:part|constprop|isra|cold)[.\w]*)*$/;

/** A page that takes `_` for emphasis leaves such names of the check. */
export const lostUnderscores = (symbol: string): boolean => CHECK.exec(symbol)?.groups?.['lost'] !== undefined;

/** Whether a function belongs to the check itself. */
export const isOfCheck = (symbol: string): boolean => CHECK.test(symbol);

/**
 * The function that made the copy: the first outside the check and the usual wrappers. Where the CPU stopped in the check
 * itself (up to 4.15) the trace begins with it. Null when the trace is cut.
 */
export function callerOf(trace: readonly TraceEntry[], pc: TraceEntry | null): TraceEntry | null {
  const last = trace.findLastIndex((candidate) => candidate.reliable && CHECK.test(candidate.symbol));
  if (last < 0 && (pc === null || !CHECK.test(pc.symbol))) return null;
  return trace.slice(last + 1).find((candidate) => candidate.reliable && !WRAPPER.test(candidate.symbol)) ?? null;
}

/**
 * An entry that names the function after the one that called: usercopy_abort() does not return, so that the return address
 * can be the first byte of what the linker put behind the caller.
 */
export function blamesNextFunction(candidate: TraceEntry): boolean {
  return candidate.offset === 0 && candidate.reliable;
}
