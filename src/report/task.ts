/** Who ran, on which kernel and machine: the lines that dump_stack_print_info() prints on every architecture. */
import { SEAM } from './join.js';
import { LEFT_OUT, unseamed } from './seams.js';

export interface TaskLine {
  readonly cpu: number | null;
  readonly pid: number | null;
  readonly comm: string | null;
  /** Empty for `Not tainted`; null where the line does not get that far. */
  readonly taint: string | null;
  readonly release: string | null;
}

/** One that ends where the text does may be cut off: 5.1 of 5.10. */
const RELEASE = /(?:^|[\s(])(\d{1,2}\.\d{1,3}(?:\.\d{1,5})?[\w.+~:-]{0,120})(?=[\s),])/;
/** The whole of it stands before the number of the build; a break may stand in it. */
const BEFORE_BUILD = /^ {0,8}(\d[\w.+~:-]{0,120}(?: [\w.+~:-]{1,80})?) #\d/;
const TAINT = / ?(Not tainted|Tainted: ([A-Z -]{0,60}))/;
const HEAD = /\bCPU ?: ?(-?\d{1,10}) (?:UID: \d{1,10} )?PID: ?(-?\d{1,10}) Comm: (.{0,200})/;
/** arm and arm64 up to 5.x: `Process app (pid: 1234, stack limit = 0x…)`. */
const PROCESS = /^Process (.{1,40}) \(pid: (\d{1,10})[,)]/m;
/** Before 3.10 (as remembered): `Pid: 1, comm: init Not tainted 3.2.0 #1`. */
const OLD_HEAD = /\bPid: (\d{1,10}), comm: (.{0,200})/;

function withoutKdump(comm: string): string | null {
  const name = comm.replace(/ ?\bKdump: loaded$/, '').trim();
  return name === '' ? null : name;
}

export function taskOf(text: string): TaskLine {
  const head = HEAD.exec(text);
  const old = head === null ? OLD_HEAD.exec(text) : null;
  const told = head?.[3] ?? old?.[2];
  if (told === undefined) {
    const own = PROCESS.exec(text);
    return {
      cpu: cpuAlone(text),
      pid: own === null ? null : Number(own[2]),
      comm: own?.[1] ?? null,
      taint: taintElsewhere(text),
      release: releaseElsewhere(text),
    };
  }
  const found = head ?? old;
  const isLast = found !== null && found.index + found[0].length >= text.length;
  const rest = isLast ? told : `${told}\n`;
  const taint = TAINT.exec(rest);
  const after = taint === null ? '' : rest.slice(taint.index + taint[0].length);
  return {
    cpu: head === null ? cpuAlone(text) : Number(head[1]),
    pid: Number(head?.[2] ?? old?.[1]),
    comm: withoutKdump(taint !== null ? rest.slice(0, taint.index) : isLast ? '' : nameIn(rest)),
    taint: taint === null || (taint[2] !== undefined && after.trim() === '') ? null : flagsOf(taint[2]),
    release: releaseIn(after) ?? releaseElsewhere(text),
  };
}

/** Where nothing tells its end, the first word; of a line that is not whole, all of it. */
const nameIn = (rest: string): string =>
  rest.includes(SEAM) || rest.includes(LEFT_OUT) ? rest.trim() : (rest.split(/\s/)[0] ?? '');

function releaseIn(after: string): string | null {
  const joined = BEFORE_BUILD.exec(after)?.[1]?.replace(' ', '');
  return joined !== undefined && /^\d{1,2}\.\d/.test(joined) ? joined : (RELEASE.exec(after)?.[1] ?? null);
}

/** A head that lost its first words keeps the rest: `… Tainted: G OE 6.1.0 #1`. */
function taintElsewhere(text: string): string | null {
  const found = /^.{0,80}\b(?:(Not tainted)|Tainted: ([A-Z][A-Z -]{0,60})) {1,8}\d{1,2}\.\d/m.exec(text);
  return found === null ? null : flagsOf(found[2]);
}

const flagsOf = (printed = ''): string => printed.replace(/[ -]+$/, '').trim();

function cpuAlone(text: string): number | null {
  const cpu = /\bCPU: ?(\d{1,5})(?=\W)/.exec(text)?.[1];
  return cpu === undefined ? null : Number(cpu);
}

/** Other lines that name it: powerpc's REGS, ia64's ip, a banner, or what is left of a cut CPU line. */
function releaseElsewhere(text: string): string | null {
  const found =
    /\b(?:Not tainted|Tainted: [A-Z -]{0,60}) {0,4}\((\d{1,2}\.\d{1,3}[\w.+~:-]{0,120})/.exec(text) ??
    /\bLinux version (\d{1,2}\.\d{1,3}[\w.+~:-]{0,120})/.exec(text) ??
    /^(\d{1,2}\.\d{1,3}\.\d{1,5}[\w.+~-]{0,120}) #\d/m.exec(text) ??
    / (\d{1,2}\.\d{1,3}\.\d{1,5}[\w.+~-]{0,120}) #\d{1,5}\b/.exec(text) ??
    // Where a distribution builds: `/build/linux-AbCdEf/linux-4.15.0/mm/usercopy.c`.
    /\/linux-(?:[a-z]{1,20}-)?(\d{1,2}\.\d{1,3}(?:\.\d{1,5})?(?:-[\w.+~]{1,60})?)\/mm\/usercopy\.c:\d/.exec(text);
  return found?.[1] ?? null;
}

/** Only of a line that has its end: else it may be cut off. */
export function hardwareOf(text: string): string | null {
  return /^Hardware name: (.{1,300})\n/m.exec(text)?.[1]?.trim() ?? null;
}

/** Name and taint flags of a module: `nvidia(PO)`; flags are empty where the line has none. */
export interface ModuleEntry {
  readonly name: string;
  readonly flags: string;
}

export interface ModuleList {
  readonly entries: readonly ModuleEntry[];
  readonly notes: readonly string[];
}

/**
 * Null where the log has no such line. Of one without its end the last name may be cut off, and is left out. So are, with a note, names
 * beside a seam, since nothing tells whether they are one, and all from a word on that is no name: that is another line's.
 */
export function modulesOf(text: string): ModuleList | null {
  const found = /\bModules linked in:(.{0,16000})$/m.exec(text);
  if (found === null) return null;
  const [line, told = ''] = found;
  const words = told
    .replace(/\[last unloaded:[^\]]{0,200}\]?/, '')
    .split(/[^\S\0]+/)
    .filter((word) => word.replaceAll(SEAM, '') !== '');
  const isWhole = found.index + line.length < text.length;
  const end = words.findIndex((word) => !word.includes(SEAM) && !MODULE.test(word));
  const names = words.slice(0, end >= 0 ? end : isWhole ? undefined : -1);
  const entries = names.flatMap((word) => {
    const [, name, flags = ''] = MODULE.exec(word) ?? [];
    return name === undefined ? [] : [{ name, flags }];
  });
  const shown = names.flatMap((word) => (word.includes(SEAM) ? [`'${unseamed(word).trim()}'`] : [])).join(', ');
  return {
    entries,
    notes: [
      ...(shown === '' ? [] : [`the list of modules is broken beside ${shown}, which is left out`]),
      ...(end < 0
        ? []
        : [`the list of modules ends before '${unseamed(words[end] ?? '').slice(0, 80)}', which is no module's name`]),
    ],
  };
}

/** Some begin with a digit (8021q), but none has digits alone. */
const MODULE = /^(?=[\w.-]{0,80}[A-Za-z_])(\w[\w.-]{0,80})(?:\(([A-Z+-]{1,8})\))?$/;
