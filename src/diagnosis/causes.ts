/** Likely causes of a refused copy: the classes of docs/causes.md, and what in a report speaks for each. */

import { findVariant } from '../../arch/index.js';
import { oopsConventions } from '../../arch/oopses.js';
import { chooseReport, parseReports } from '../report/parse.js';
import type { UsercopyReport } from '../report/report.js';
import { callerOf } from '../report/trace.js';
import { type CacheFacts, cacheFacts } from './cache-name.js';
import { damageOf } from './damage.js';
import { versionOf } from './era.js';
import { isInternalCache, knownCauseOf } from './known-causes.js';
import { machineOf, objectOffset } from './machine.js';
import { explainNumbers } from './numbers.js';
import type { LikelyCause, ReproducedCopy, Reproduction } from './outcome.js';

/** What the questions ask about. */
interface Evidence {
  readonly report: UsercopyReport;
  readonly copy: ReproducedCopy;
  /** Where in its object the copy begins, below 0 where before it. */
  readonly offset: bigint;
  readonly facts: CacheFacts;
  /** Why the whole kernel cannot be trusted; null where nothing says so. */
  readonly damage: string | null;
  /** Nobody copies between user memory and objects of the message's cache. */
  readonly internal: boolean;
}

type Question = (evidence: Evidence) => string | null;

const WHITELIST = 'whitelist missing or too small';
const LENGTH = 'wrong length or pointer';
const FALSE_POSITIVE = 'false positive of the check';
const CORRUPTION = 'corruption elsewhere';
const MODULE = 'out-of-tree module';
const TEST = 'deliberate test';

/** Whether a cause is read off the message; the others have more of the log behind them. */
export const isOfMessage = (cause: string): boolean => ![TEST, CORRUPTION, MODULE].includes(cause);

/** In the order in which a reader should think of them. */
const QUESTIONS: readonly (readonly [cause: string, question: Question])[] = [
  [
    TEST,
    ({ report }) =>
      report.trace.some(({ symbol }) => /^(?:lkdtm|do_usercopy_)/.test(symbol)) ? 'lkdtm is in the call trace' : null,
  ],
  [CORRUPTION, ({ damage }) => damage],
  [MODULE, foreignModule],
  [FALSE_POSITIVE, severalObjects],
  [FALSE_POSITIVE, checkItself],
  [WHITELIST, whitelist],
  [LENGTH, length],
  [
    CORRUPTION,
    ({ internal, report }) =>
      internal ? `or memory that was still in use was freed and became ${report.message?.cache}` : null,
  ],
];

function foreignModule({ report }: Evidence): string | null {
  const caller = callerOf(report.trace, report.pc);
  if (caller?.module && report.foreignModules.includes(caller.module)) {
    return `${caller.symbol}() of ${caller.module} made the copy, which is not part of the kernel's tree`;
  }
  const cache = report.message?.cache;
  const owner = cache == null ? undefined : report.foreignModules.find((module) => isNamedAfter(cache, module));
  return owner === undefined
    ? null
    : `the cache ${cache} is named after ${owner}, which is not part of the kernel's tree`;
}

/** `nvidia_stack_cache` after nvidia; a first word of two letters is no name. */
function isNamedAfter(cache: string, module: string): boolean {
  const first = (name: string): string => name.toLowerCase().split(/[-_.]/)[0] ?? '';
  return (
    first(module).length >= 3 &&
    first(cache) === first(module) &&
    !/^(?:kmalloc|dma|size|task|mm|net|snd)$/.test(first(cache))
  );
}

function severalObjects({ report, copy, facts: { objectSize } }: Evidence): string | null {
  const skb = report.trace.some(({ symbol }) =>
    /^(?:_*skb_copy_datagram|skb_copy_\w+_iter|copy_page_to_iter|__skb_datagram_iter)/.test(symbol),
  );
  return skb && objectSize !== null && copy.size !== null && copy.size > objectSize && copy.size % objectSize === 0n
    ? `${copy.size / objectSize} whole objects of ${report.message?.cache} lie in one fragment of a socket buffer`
    : null;
}

/** Kernels whose text begins with memory that is given back after boot. */
const freesText = (arch: string | null): boolean =>
  arch === null || oopsConventions.some(({ initMemoryInText }) => initMemoryInText?.includes(arch) === true);

function checkItself({ report: { message, arch } }: Evidence): string | null {
  switch (message?.refusal) {
    case 'slab object not in slab page':
      return 'the page found for the address is not its own: virt_addr_valid() was true for an address outside the linear map';
    case 'vmalloc, no area':
      return 'areas without a vm_struct (vm_map_ram) or addresses that only look like vmalloc';
    case 'kernel text':
      if (!freesText(arch)) return null;
      return arch === null
        ? 'on some architectures memory inside [_stext, _etext) is freed after boot and given to others'
        : `memory inside [_stext, _etext) that ${arch} frees after boot and gives to others`;
    case 'spans multiple pages':
    case 'spans CMA and non-CMA pages':
    case 'spans Reserved and non-Reserved pages':
      return 'buffers of several pages that were allocated without __GFP_COMP';
    case 'wrapped address':
      return message.size === 0n ? 'the copy ends at the last byte of memory' : null;
    default:
      return null;
  }
}

function whitelist({
  report: { message },
  offset,
  facts: { objectSize, window },
  damage,
  internal,
}: Evidence): string | null {
  if (message?.cache == null || damage !== null || internal) return null;
  // Up to 4.15 no cache had one, and a copy that leaves its object is refused in any case.
  const leaves = objectSize !== null && (offset < 0n || offset + (message.size ?? 0n) > objectSize);
  if (message.format === 'old' || leaves) return null;
  if (window === 'none') return 'caches of this kind had no whitelist on this kernel';
  if (message.format === 'whitelist warning') return 'the copy lies inside the object, and only the whitelist objects';
  if (message.refusal !== 'slab object' || window !== 'unknown' || message.format !== 'new') return null;
  if (objectSize !== null)
    return 'caches of this kind had no whitelist before 5.8, and the report does not give the release';
  return `${message.cache} is a cache of its own: user copies may touch only what its creator named`;
}

function length({ report: { message }, offset, facts: { objectSize }, internal }: Evidence): string | null {
  switch (message?.refusal) {
    case 'wrapped address':
      return message.size === 0n ? null : 'a negative length, or an error number taken for one';
    case 'null address':
      return 'a pointer that was never set';
    case 'page alloc':
    case 'vmalloc':
    case 'kmap':
      return 'the copy ends past the memory that its pointer belongs to';
    case 'process stack':
      return 'a length or index beyond a variable on the stack';
    case 'kernel text':
    case 'linear kernel text':
      return message.direction === 'to_user'
        ? "the pointer leads into the kernel's own code"
        : "the pointer leads into the kernel's own code, which nobody may write";
    case 'rodata':
      return 'the pointer leads into read-only data';
    case 'slab object in left red zone':
      return 'the pointer lies before the object that it was made for';
    case 'slab object': {
      if (offset < 0n) return 'the copy begins before its object, which lies in the KFENCE pool';
      if (objectSize !== null && offset + (message.size ?? 0n) > objectSize) {
        return `the copy ends past the ${objectSize} bytes of its object`;
      }
      if (internal)
        return `nobody copies between user memory and ${message.cache}: the pointer or the length is not what was meant`;
      // Up to 4.15 a cache had no whitelist: only what leaves its object is refused.
      return message.format === 'old' && message.size !== null && message.cache !== null
        ? 'the copy leaves the object that it begins in'
        : null;
    }
    default:
      return null;
  }
}

export function likelyCauses(report: UsercopyReport, copy: ReproducedCopy): LikelyCause[] {
  const { message, kernelVersion } = report;
  const cache = message?.cache ?? '';
  const evidence: Evidence = {
    report,
    copy,
    offset: message === null ? 0n : objectOffset(message, machineOf(report.bits, findVariant(report.arch))),
    facts: cacheFacts(cache, kernelVersion === null ? null : versionOf(kernelVersion)),
    damage: damageOf(report),
    internal: isInternalCache(cache),
  };
  const causes: LikelyCause[] = [];
  for (const [cause, question] of QUESTIONS) {
    const because = question(evidence);
    if (because !== null && !causes.some((known) => known.cause === cause)) causes.push({ cause, because });
  }
  return causes;
}

/**
 * A dump's reproduction with likely causes and the meaning of its numbers: of the report that came with it, else of the line
 * that its check prints.
 */
export function withCauses(reproduction: Reproduction): Reproduction {
  const { report, check, copy, explanation } = reproduction;
  const said = report ?? chooseReport(parseReports(check?.message ?? ''));
  if (said?.message == null) return reproduction;
  const variant = findVariant(reproduction.variant);
  const numbers = explainNumbers(said, machineOf(said.bits, variant));
  const causes = explanation.causes.length > 0 ? explanation.causes : likelyCauses(said, copy);
  return {
    ...reproduction,
    explanation: {
      ...explanation,
      lines: [...explanation.lines, ...numbers],
      causes,
      known: explanation.known ?? knownCauseOf(said),
    },
  };
}
