/** What attaching to a kernel comes to: rules, the check's parameters, the wording, and the entry points to hook. */
import type { UaccessEntry, Variant } from '../../arch/driver.js';
import { variants } from '../../arch/index.js';
import type { CheckParameters } from '../check/parameters.js';
import { type Profile, parseProfile, profileForVersion } from '../check/profiles.js';
import { badInput, UsercopyError } from '../errors.js';
import { checkParametersOf, withMemory } from '../introspect/parameters.js';
import type { Kernel } from '../kernel/kernel.js';
import type { MessageStyle } from '../report/format.js';
import { entryPointOf } from '../stack/entry-point.js';

/** `kernel`: what the kernel itself judges. `all`: every copy. */
export type JudgeMode = 'kernel' | 'all';

export interface RuleOptions {
  /** A profile's name, with switches (`4.16,pagespan`); `auto` (default) picks by version and config. */
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
}

export interface Plan extends Rules {
  readonly variant: Variant;
  /** The kernel over the memory that is judged. */
  readonly live: Kernel;
  readonly judge: JudgeMode;
  /** What to hook; one at least, each address once. */
  readonly entries: readonly PlannedEntry[];
}

/** @throws UsercopyError `unsupported` for a name that is none. */
export function variantOf(name: string): Variant {
  const variant = variants.find((candidate) => candidate.name === name);
  if (!variant) {
    const known = variants.map((candidate) => candidate.name).join(', ');
    throw new UsercopyError('unsupported', `architecture: expected one of ${known}, found ${name}`);
  }
  return variant;
}

/**
 * The rules for a kernel. `kernel.read` must show the memory that is judged, since some of the layout is kept in variables.
 * @throws UsercopyError `bad-input` for an unknown profile, or when the kernel lacks what its own check would use.
 */
export function rulesOf(kernel: Kernel, variant: Variant, options: RuleOptions): Rules {
  const wanted = options.profile ?? 'auto';
  const profile = wanted === 'auto' ? profileForVersion(kernel.version, kernel.config) : parseProfile(wanted);
  const parameters = checkParametersOf(kernel, variant, {
    switches: profile.switches,
    declaredOnly: options.declaredOnly,
    frames: options.frames,
    depthOfCheck: options.stackDepth?.check,
    depthOfPrint: options.stackDepth?.print,
  });
  const allocator = profile.switches.allocator ?? parameters.introspection?.slab.allocator ?? 'SLUB';
  return { profile, parameters, style: { format: profile.switches.format, bits: kernel.bits, allocator } };
}

/**
 * Everything that attaching to this kernel needs to know of it, for a live attachment as for a prepared one.
 * @throws UsercopyError `bad-input` as `rulesOf`, when the kernel cannot be judged as asked, and when it has no entry point.
 */
export function planOf(kernel: Kernel, options: PlanOptions): Plan {
  const variant = variantOf(kernel.variant);
  const judge = chooseJudge(kernel, variant, options.judge);
  const live = options.read ? withMemory(kernel, options.read) : kernel;
  const rules = rulesOf(live, variant, { ...options, declaredOnly: kernel.types === null && options.declares });
  return { ...rules, variant, live, judge, entries: plannedEntries(kernel, variant, judge) };
}

/** The entry points to hook for a way of judging; those whose symbol the kernel has. */
export function entriesFor(kernel: Kernel, variant: Variant, judge: JudgeMode): UaccessEntry[] {
  return variant.uaccess.filter(
    (entry) => (entry.role === 'judge') === (judge === 'kernel') && kernel.symbols.address(entry.symbol) !== undefined,
  );
}

/** Aliases of one function (arm's weak arm_copy_to_user) are one entry. */
function plannedEntries(kernel: Kernel, variant: Variant, judge: JudgeMode): PlannedEntry[] {
  const byAddress = new Map<bigint, PlannedEntry>();
  for (const entry of entriesFor(kernel, variant, judge)) {
    const address = entryPointOf(kernel, variant, entry.symbol);
    if (address !== undefined && !byAddress.has(address)) byAddress.set(address, { entry, address });
  }
  if (byAddress.size > 0) return [...byAddress.values()];
  const expected = variant.uaccess.map(({ symbol }) => symbol).join(', ');
  throw badInput(`kernel ${kernel.version.release}`, `a symbol among ${expected}`, 'none to hook');
}

/** How to judge: as wanted; else what the kernel itself judges, where it judges. */
function chooseJudge(kernel: Kernel, variant: Variant, wanted: JudgeMode | undefined): JudgeMode {
  const hasCheck = entriesFor(kernel, variant, 'kernel').length > 0;
  if (wanted === 'kernel' && !hasCheck) {
    throw new UsercopyError(
      'bad-input',
      `kernel ${kernel.version.release}: judge 'kernel' expects a function __check_object_size, found none; it was built without HARDENED_USERCOPY: use judge 'all'`,
    );
  }
  return wanted ?? (hasCheck ? 'kernel' : 'all');
}
