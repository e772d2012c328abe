/** What a reader wants first: one paragraph, and the same in fields. */
import { findVariant } from '../../arch/index.js';
import { callerOf } from '../report/trace.js';
import { machineOf, objectOffset } from './machine.js';
import type { KnownCause, Reproduction } from './outcome.js';
import { isWarning, refusedOf } from './refused.js';

export interface Summary {
  /**
   * As syzbot titles such crashes: `BUG: bad usercopy in foo_read`; `usercopy allowed in foo_read` where nothing is bad,
   * `usercopy, verdict not known in foo_read` where nothing tells.
   */
  readonly title: string;
  /** Whether the kernel refused the copy; false where it only warned or let it pass, null where nothing tells. */
  readonly refused: boolean | null;
  /** `object of kmalloc-64 (64 bytes)`, `process stack`. */
  readonly object: string | null;
  /** Members of its structure that the copy covers: `cred.uid to cred.gid`. */
  readonly member: string | null;
  /** The function that made the copy, and its module. */
  readonly caller: string | null;
  readonly module: string | null;
  /** Whether that module is not part of the kernel's tree; null where that is not told. */
  readonly foreign: boolean | null;
  readonly cause: string | null;
  readonly known: KnownCause | null;
  readonly text: string;
}

const bytes = (count: bigint): string => (count === 1n ? '1 byte' : `${count} bytes`);

export function summaryOf(reproduction: Reproduction): Summary {
  const { report, explanation } = reproduction;
  const entry = report === null || report.mixed ? null : callerOf(report.trace, report.pc);
  const caller = entry?.symbol ?? callOf(reproduction);
  const module = entry?.module ?? null;
  const foreign =
    module === null || report === null || report.modules === null ? null : report.foreignModules.includes(module);
  const object = objectText(reproduction);
  const member = memberText(reproduction);
  const known = explanation.known;
  const [first] = explanation.causes;
  const sentences = [
    verdictText(reproduction, object, member),
    callerText(caller, module, foreign),
    first === undefined ? null : `Likely cause: ${first.cause} (${first.because}).`,
    known === null ? null : knownText(known),
  ].filter((sentence) => sentence !== null);
  return {
    title: titleOf(reproduction, caller),
    refused: refusedOf(reproduction),
    object,
    member,
    caller,
    module,
    foreign,
    cause: first?.cause ?? null,
    known,
    text: sentences.join(' '),
  };
}

function titleOf(reproduction: Reproduction, caller: string | null): string {
  const { report } = reproduction;
  const refused = refusedOf(reproduction);
  const what =
    report !== null && isWarning(report)
      ? 'WARNING: bad usercopy'
      : refused === null
        ? 'usercopy, verdict not known'
        : refused
          ? 'BUG: bad usercopy'
          : reproduction.outcome === 'clean'
            ? 'usercopy allowed'
            : 'usercopy, verdict not known';
  return `${what}${caller === null ? '' : ` in ${caller.replace(/\..*$/, '')}`}`;
}

/** Of a dump: the innermost function that is none of the check's. */
function callOf({ explanation }: Reproduction): string | null {
  const call = explanation.surroundings?.calls.find(
    (text) => !text.startsWith('?') && !/^(?:usercopy_|__check_|check_|_*copy_(?:to|from)_user)/.test(text),
  );
  return /^[\w.]+/.exec(call ?? '')?.[0] ?? null;
}

function objectText({ explanation, report }: Reproduction): string | null {
  const { object, region } = explanation;
  if (object?.cache != null) {
    return `object of ${object.cache}${object.size === null ? '' : ` (${bytes(object.size)})`}`;
  }
  return region ?? report?.message?.region ?? report?.registerText?.region ?? null;
}

function memberText({ explanation: { field } }: Reproduction): string | null {
  if (field === null) return null;
  const first = field.first === null ? field.struct : `${field.struct}.${field.first}`;
  return field.last === null || field.last === field.first ? first : `${first} to ${field.struct}.${field.last}`;
}

function verdictText(reproduction: Reproduction, object: string | null, member: string | null): string {
  const { copy, outcome, report } = reproduction;
  const size = copy.size === null ? 'A copy' : `A copy of ${bytes(copy.size)}`;
  const preposition =
    copy.direction === 'to_user'
      ? ' to user memory out of'
      : copy.direction === 'from_user'
        ? ' from user memory into'
        : ' between user memory and';
  const article = object?.startsWith('object') ? ' an ' : ' ';
  const place = object === null ? '' : `${preposition}${article}${object}${member === null ? '' : ` (${member})`}`;
  const how =
    outcome === 'clean'
      ? 'is allowed'
      : report !== null && isWarning(report)
        ? 'was let through with a warning'
        : refusedOf(reproduction)
          ? 'was refused'
          : 'was looked at';
  const miss = missText(reproduction);
  return `${size}${place}${object === null && copy.direction !== null ? (copy.direction === 'to_user' ? ' to user memory' : ' from user memory') : ''} ${how}${miss}.${doubtOf(reproduction)}`;
}

function doubtOf({ outcome, report, check }: Reproduction): string {
  switch (outcome) {
    case 'contradictory':
      return ' But this message cannot come from the rules of its kernel.';
    case 'different':
      return ' But what was found does not agree.';
    case 'unknown':
      if (check?.judged === 'dump' && check.refused === null) return ' Memory that its verdict needs cannot be read.';
      if (check?.judged === 'dump' && !check.refused) {
        return ` But ${report === null ? 'the log in the dump' : 'the report'} may be of this copy, or of another one.`;
      }
      if (report === null) return " The kernel's own code did not say the same, since it could not be run.";
      return report.message?.canonical == null ? ' Part of the message is missing.' : '';
    default:
      return '';
  }
}

/** By how much the copy misses its object, where both are told. */
function missText({ report, explanation, copy, variant }: Reproduction): string {
  const size = explanation.object?.size ?? null;
  const message = report?.message ?? null;
  if (report === null || message === null || message.offset === null) return '';
  if (size === null || copy.size === null || explanation.object?.cache == null) return '';
  const offset = objectOffset(message, machineOf(report.bits, findVariant(variant)));
  if (offset < 0n) return `: it begins ${bytes(-offset)} before the object`;
  const end = offset + copy.size;
  if (end > size) return `: it begins ${bytes(offset)} into the object and ends ${bytes(end - size)} past it`;
  return `: it lies inside the object, at [${offset}, ${end})`;
}

function callerText(caller: string | null, module: string | null, foreign: boolean | null): string | null {
  if (caller === null) return null;
  const kind = foreign === true ? ", which is not part of the kernel's tree" : '';
  return `${caller}() ${module === null ? '' : `of module ${module} `}made it${kind}.`;
}

function knownText({ was, fix, source, confidence }: KnownCause): string {
  const how = { certain: 'Known', likely: 'Probably known', possible: 'Possibly known' }[confidence];
  const commit =
    fix === null ? '' : `, mended by ${fix.commit === null ? '' : `${fix.commit} `}("${fix.title}", ${fix.version})`;
  return `${how}: ${was}${commit} (${source}).`;
}
