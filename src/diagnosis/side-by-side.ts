/** A report's copy under the rules of every era: what each kernel would have printed, and what would make the copy pass. */
import { findVariant } from '../../arch/index.js';
import type { Check } from '../check/check.js';
import { type Profile, parseProfile, profileList } from '../check/profiles.js';
import type { Copy } from '../check/verdict.js';
import type { ReportJudgement } from './from-report.js';
import { type ReportedMemory, reportedMemory } from './reported-memory.js';
import { judgeSmall, type SmallVerdict } from './small-memory.js';

export interface ByProfile {
  readonly profile: string;
  /** Releases that it stands for. */
  readonly kernels: string;
  /** Whether the reported kernel followed these rules. */
  readonly isOwn: boolean;
  readonly verdict: SmallVerdict;
}

export interface SideBySide {
  /** Oldest first; profiles of the patch series are left out. */
  readonly rows: readonly ByProfile[];
  readonly memory: ReportedMemory;
}

const MAINLINE = profileList.filter(({ name }) => /^\d/.test(name));

/** Every profile's verdict on the memory and the copy that a consistent report describes; a sentence where that cannot be had. */
export function sideBySide(judgement: ReportJudgement, check: Check): SideBySide | string {
  const { whole, machine, reproduction } = judgement;
  if (whole === null)
    return `the report is ${reproduction.outcome}: there is no copy that other rules could be asked about`;
  const memory = reportedMemory(
    whole.message,
    machine,
    findVariant(reproduction.variant),
    reproduction.copy,
    reproduction.explanation.object?.size ?? null,
  );
  if (typeof memory === 'string') return memory;
  // PaX's own check is none of these.
  const own = whole.message.format === 'pax' ? null : whole.profile.name.split(',')[0];
  const rows = MAINLINE.map(({ name, kernels }) => {
    const isOwn = name === own;
    const profile = isOwn ? whole.profile : parseProfile(name);
    return { profile: profile.name, kernels, isOwn, verdict: judgeSmall(check, memory.memory, profile, memory.copy) };
  });
  if (!whole.profile.switches.fallback) return { rows, memory };
  const note =
    'HARDENED_USERCOPY_FALLBACK (4.16 to 5.15) made the reported kernel warn where others refuse: the other rows are of kernels without it';
  return { rows, memory: { ...memory, notes: [...memory.notes, note] } };
}

export interface Remedy {
  readonly text: string;
  /** Code or a number that would do it; null where nothing would. */
  readonly code: string | null;
}

const bytes = (count: bigint): string => (count === 1n ? '1 byte' : `${count} bytes`);

/** What would make the copy pass under its kernel's rules, without a warning, each held against the check itself. */
export function remedies(judgement: ReportJudgement, { memory: { memory, copy } }: SideBySide, check: Check): Remedy[] {
  const profile = judgement.whole?.profile;
  if (profile === undefined) return [];
  const passes = (changed: typeof memory, other: Copy): boolean => {
    const { verdict, warning } = judgeSmall(check, changed, profile, other);
    return verdict.outcome === 'good' && warning === null;
  };
  if (passes(memory, copy)) return [];
  return [...byWhitelist(memory, copy, profile, passes), ...byLength(memory, copy, passes)];
}

type Passes = (memory: ReportedMemory['memory'], copy: Copy) => boolean;

function byWhitelist(memory: ReportedMemory['memory'], copy: Copy, { switches }: Profile, passes: Passes): Remedy[] {
  const slab = memory.declarations.find((declaration) => declaration.kind === 'slab');
  if (slab === undefined || !switches.whitelist) return [];
  const offset = copy.pointer - slab.start - (slab.redLeftPad ?? 0n);
  const end = offset + copy.size;
  if (offset < 0n || end > slab.objectSize) {
    return [{ text: 'No whitelist helps: the copy leaves its object.', code: null }];
  }
  const changed = { ...slab, useroffset: offset, usersize: copy.size };
  if (!passes({ ...memory, declarations: [changed] }, copy)) return [];
  return [
    {
      text: `The cache made with a whitelist that holds these bytes, if user space may have them: useroffset ${offset}, usersize ${copy.size}.`,
      code: `kmem_cache_create_usercopy("${slab.cache}", size, align, flags, ${offset}, ${copy.size}, ctor)`,
    },
  ];
}

/** The longest copy from the same pointer that passes. */
function byLength(memory: ReportedMemory['memory'], copy: Copy, passes: Passes): Remedy[] {
  if (!passes(memory, { ...copy, size: 1n })) {
    return [{ text: 'No length helps: not even one byte passes at this pointer.', code: null }];
  }
  let low = 1n;
  let high = copy.size;
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (passes(memory, { ...copy, size: middle })) low = middle;
    else high = middle;
  }
  return [{ text: `A shorter copy: at most ${bytes(low)} from the same pointer.`, code: `size <= ${low}` }];
}
