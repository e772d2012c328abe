/** Likely causes of a refused copy: the classes of docs/causes.md, and what in a report speaks for each. */

import { variants } from '../../arch/index.js';
import { chooseReport, parseReports } from '../report/parse.js';
import type { UsercopyReport } from '../report/report.js';
import { callerOf } from '../report/trace.js';
import { cacheFacts } from './cache-name.js';
import { machineOf } from './machine.js';
import { explainNumbers, poisonOf } from './numbers.js';
import type { LikelyCause, ReproducedCopy, Reproduction } from './outcome.js';

type Question = (report: UsercopyReport, copy: ReproducedCopy) => string | null;

const WHITELIST = 'whitelist missing or too small';
const LENGTH = 'wrong length or pointer';
const FALSE_POSITIVE = 'false positive of the check';
const CORRUPTION = 'corruption elsewhere';
const MODULE = 'out-of-tree module';
const TEST = 'deliberate test';

/** In the order in which a reader should think of them. */
const QUESTIONS: readonly (readonly [cause: string, question: Question])[] = [
  [
    TEST,
    ({ trace }) =>
      trace.some(({ symbol }) => /^(?:lkdtm|do_usercopy_)/.test(symbol)) ? 'lkdtm is in the call trace' : null,
  ],
  [
    CORRUPTION,
    ({ message }) => {
      const poison = [message?.size, message?.offset]
        .map((value) => (value == null ? null : poisonOf(value)))
        .find((found) => found !== null);
      return poison == null ? null : `a number of the message was read from ${poison}`;
    },
  ],
  [
    MODULE,
    (report) => {
      const caller = callerOf(report.trace, report.pc);
      return caller?.module && report.foreignModules.includes(caller.module)
        ? `${caller.symbol}() of ${caller.module} made the copy, which is not of the kernel's tree`
        : null;
    },
  ],
  [
    FALSE_POSITIVE,
    (report, copy) => {
      const facts = cacheFacts(report.message?.cache ?? '');
      const skb = report.trace.some(({ symbol }) =>
        /^(?:_*skb_copy_datagram|skb_copy_\w+_iter|copy_page_to_iter|__skb_datagram_iter)/.test(symbol),
      );
      return skb &&
        facts.objectSize !== null &&
        copy.size !== null &&
        copy.size > facts.objectSize &&
        copy.size % facts.objectSize === 0n
        ? `${copy.size / facts.objectSize} whole objects of ${report.message!.cache} lie in one fragment of a socket buffer`
        : null;
    },
  ],
  [
    FALSE_POSITIVE,
    ({ message }) => {
      switch (message?.refusal) {
        case 'slab object not in slab page':
          return 'the page found for the address is not its own: virt_addr_valid() was true for an address outside the linear map';
        case 'vmalloc, no area':
          return 'areas without a vm_struct (vm_map_ram) or addresses that only look like vmalloc';
        case 'kernel text':
        case 'linear kernel text':
          return 'memory inside [_stext, _etext) that was freed after boot and given to others';
        case 'spans multiple pages':
          return 'buffers of several pages that were allocated without __GFP_COMP';
        case 'wrapped address':
          return message.size === 0n ? 'the copy ends at the last byte of memory' : null;
        default:
          return null;
      }
    },
  ],
  [
    WHITELIST,
    ({ message }) => {
      if (message === null) return null;
      const { objectSize, window } = cacheFacts(message.cache ?? '');
      if (message.format === 'whitelist warning')
        return 'the copy lies inside the object, and only the whitelist objects';
      if (message.refusal !== 'slab object' || window !== 'unknown' || message.format !== 'new') return null;
      if (objectSize !== null && (message.offset ?? 0n) + (message.size ?? 0n) > objectSize) return null;
      return `${message.cache} is a cache of its own: user copies may touch only what its creator named`;
    },
  ],
  [
    LENGTH,
    ({ message }) => {
      if (message === null) return null;
      switch (message.refusal) {
        case 'wrapped address':
          return 'a negative length, or an error number taken for one';
        case 'null address':
          return 'a pointer that was never set';
        case 'page alloc':
        case 'vmalloc':
        case 'kmap':
          return 'the copy ends behind the memory that its pointer belongs to';
        case 'process stack':
          return 'a length or index beyond a variable on the stack';
        case 'slab object': {
          const { objectSize } = cacheFacts(message.cache ?? '');
          return objectSize !== null && (message.offset ?? 0n) + (message.size ?? 0n) > objectSize
            ? `the copy ends behind the ${objectSize} bytes of its object`
            : null;
        }
        default:
          return null;
      }
    },
  ],
  [CORRUPTION, ({ taint }) => (taint?.includes('D') ? 'the kernel had crashed before (taint D)' : null)],
];

export function likelyCauses(report: UsercopyReport, copy: ReproducedCopy): LikelyCause[] {
  const causes: LikelyCause[] = [];
  for (const [cause, question] of QUESTIONS) {
    const because = question(report, copy);
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
  const variant = variants.find(({ name }) => name === reproduction.variant) ?? null;
  const numbers = explainNumbers(said, machineOf(said.bits, variant));
  const causes = explanation.causes.length > 0 ? explanation.causes : likelyCauses(said, copy);
  return { ...reproduction, explanation: { ...explanation, lines: [...explanation.lines, ...numbers], causes } };
}
