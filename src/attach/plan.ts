/** What attaching to a kernel comes to: rules, the check's parameters, the wording, and the entry points to hook. */
import type { UaccessEntry, Variant } from '../../arch/driver.js';
import { variantOf } from '../../arch/index.js';
import type { CheckParameters } from '../check/parameters.js';
import { type Profile, parseProfile } from '../check/profiles.js';
import { badInput, UsercopyError } from '../errors.js';
import { type Gate, gateOf } from '../introspect/gate.js';
import { checkParametersOf, withMemory } from '../introspect/parameters.js';
import { profileOf } from '../introspect/profile.js';
import type { Kernel } from '../kernel/kernel.js';
import { requireTypes } from '../kernel/require-types.js';
import type { MessageStyle } from '../report/format.js';
import { entryPointOf, withoutState } from '../stack/entry-point.js';

/** `kernel`: what the kernel itself judges. `all`: every copy. */
export type JudgeMode = 'kernel' | 'all';

export interface RuleOptions {
  /** A profile's name, with switches (`4.16,pagespan`); `auto` (default) picks by the kernel's contents, its vendor, its version. */
  readonly profile?: string | undefined;
  /** Check stack frames, or not; default: as the profile says, else as the kernel does. An error where it does not link them. */
  readonly frames?: boolean | undefined;
  /** Bytes of stack that the kernel's own check uses (`measureStackDepth`); 0n each when absent. */
  readonly stackDepth?: { readonly check: bigint; readonly print: bigint } | undefined;
  /** Only declared memory is judged: the kernel's types and structures are not asked for. */
  readonly declaredOnly?: boolean | undefined;
}

/** How a kernel's copies are judged, and in which words. */
export interface Rules {
  readonly profile: Profile;
  /** What `auto` picked it by, in a sentence; null when it was named. */
  readonly profileBy: string | null;
  readonly parameters: CheckParameters;
  readonly style: MessageStyle;
}

export interface PlanOptions extends Omit<RuleOptions, 'declaredOnly'> {
  /** Default: `kernel` where the kernel has the check. */
  readonly judge?: JudgeMode | undefined;
  /** Whether memory is declared: a kernel without types is then judged by that alone. */
  readonly declares: boolean;
  /** Reads the memory that is judged; the image's own when absent. */
  readonly read?: Kernel['read'] | undefined;
}

/** An entry point with the address that every call of it passes. */
export interface PlannedEntry {
  readonly entry: UaccessEntry;
  readonly address: bigint;
  /** The function's code: first byte, and first byte after it. */
  readonly body: { readonly start: bigint; readonly end: bigint };
}

export interface Plan extends Rules {
  readonly variant: Variant;
  /** The kernel over the memory that is judged. */
  readonly live: Kernel;
  readonly judge: JudgeMode;
  /** Where copies are judged; one at least, each address once. */
  readonly entries: readonly PlannedEntry[];
  /** Other functions that copy: what passes them and not the kernel's check is not judged. */
  readonly unjudged: readonly PlannedEntry[];
  /** Whether the kernel has the check itself. */
  readonly kernelJudges: boolean;
  /** `hardened_usercopy=` of the kernel; null where it has no such key. */
  readonly gate: Gate | null;
}

/**
 * The rules for a kernel. `kernel.read` must show the memory that is judged, since some of the layout is kept in variables.
 * @throws UsercopyError `bad-input` for an unknown profile, or when the kernel lacks what its own check would use.
 */
export function rulesOf(kernel: Kernel, variant: Variant, options: RuleOptions): Rules {
  const wanted = options.profile ?? 'auto';
  const { profile, by } = wanted === 'auto' ? profileOf(kernel, variant) : { profile: parseProfile(wanted), by: null };
  const parameters = checkParametersOf(kernel, variant, {
    switches: profile.switches,
    declaredOnly: options.declaredOnly,
    frames: options.frames,
    depthOfCheck: options.stackDepth?.check,
    depthOfPrint: options.stackDepth?.print,
  });
  const allocator = profile.switches.allocator ?? parameters.introspection?.slab.allocator ?? 'SLUB';
  return {
    profile,
    profileBy: by,
    parameters,
    style: {
      format: profile.switches.format,
      bits: kernel.bits,
      allocator,
      noAddress: profile.switches.noAddress ?? false,
    },
  };
}

/**
 * Everything that attaching to this kernel needs to know of it, for a live attachment as for a prepared one.
 * @throws UsercopyError `bad-input` as `rulesOf`, when the kernel cannot be judged as asked, and when it has no entry point.
 */
export function planOf(kernel: Kernel, options: PlanOptions): Plan {
  const variant = variantOf(kernel.variant);
  const present = plannedEntries(kernel, variant);
  const judge = chooseJudge(kernel, variant, options.judge);
  const live = options.read ? withMemory(kernel, options.read) : kernel;
  // Nothing could be judged, and it would look as if nothing was wrong.
  if (!options.declares) requireTypes(kernel, 'attach without declared memory');
  const found = rulesOf(live, variant, { ...options, declaredOnly: kernel.types === null && options.declares });
  const rules = judge === 'all' ? withoutGate(found) : found;
  const isHooked = ({ entry }: PlannedEntry): boolean => judge === 'all' || entry.role === 'judge';
  const entries = present.filter(isHooked);
  if (entries.length === 0) {
    const expected = variant.uaccess.map(({ symbol }) => symbol).join(', ');
    throw badInput(`kernel ${kernel.version.release}`, `a symbol among ${expected}`, 'none to hook');
  }
  const unjudged = present.filter((entry) => !isHooked(entry));
  return {
    ...rules,
    variant,
    live,
    judge,
    entries,
    unjudged,
    kernelJudges: hasCheck(kernel, variant),
    gate: gateOf(live),
  };
}

/** The rules of a kernel whose own check is switched off, for who is to be answered all the same. */
export function withoutGate(rules: Rules): Rules {
  const { introspection } = rules.parameters;
  if (introspection === null) return rules;
  return { ...rules, parameters: { ...rules.parameters, introspection: { ...introspection, bypassKey: null } } };
}

/** The functions of an architecture through which this kernel copies, or judges a copy. */
export function entriesOf(kernel: Kernel, variant: Variant): UaccessEntry[] {
  return variant.uaccess.filter((entry) => kernel.symbols.address(entry.symbol) !== undefined);
}

/** Whether the kernel judges copies itself. */
export function hasCheck(kernel: Kernel, variant: Variant): boolean {
  return entriesOf(kernel, variant).some((entry) => entry.role === 'judge');
}

/** A routine that copies is not longer than this, where no symbol says how long it is. */
const MOST_ROUTINE_BYTES = 1024n;

/** Entry points with their addresses. Aliases of one function (arm's weak arm_copy_to_user) are one. */
function plannedEntries(kernel: Kernel, variant: Variant): PlannedEntry[] {
  const byAddress = new Map<bigint, PlannedEntry>();
  for (const entry of entriesOf(kernel, variant)) {
    const address = entryPointOf(kernel, variant, entry.symbol);
    if (address === undefined || byAddress.has(address)) continue;
    const symbol = kernel.symbols.get(entry.symbol);
    const start = symbol ? withoutState(variant, symbol.address) : address;
    byAddress.set(address, { entry, address, body: { start, end: start + (symbol?.size || MOST_ROUTINE_BYTES) } });
  }
  return [...byAddress.values()];
}

/** How to judge: as wanted; else what the kernel itself judges, where it judges. */
function chooseJudge(kernel: Kernel, variant: Variant, wanted: JudgeMode | undefined): JudgeMode {
  const judges = hasCheck(kernel, variant);
  if (wanted === 'kernel' && !judges) {
    throw new UsercopyError(
      'bad-input',
      `kernel ${kernel.version.release}: judge 'kernel' expects a function __check_object_size, found none; it was built without HARDENED_USERCOPY: use judge 'all'`,
    );
  }
  return wanted ?? (judges ? 'kernel' : 'all');
}

/** Where the kernel's functions begin, ascending. */
export function functionStarts(kernel: Kernel): bigint[] {
  const starts = new Set<bigint>();
  for (const { address, type } of kernel.symbols) if ('tTwW'.includes(type)) starts.add(address);
  return [...starts].sort((left, right) => (left < right ? -1 : left > right ? 1 : 0));
}
