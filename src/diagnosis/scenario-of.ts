/** The scenario that a consistent report describes, for a built-in guest: which guest, by which rules. */
import { variants } from '../../arch/index.js';
import { type Described, describeReport, type GuestFacts } from './describe.js';
import { versionOf } from './era.js';
import { messageFollows } from './follows.js';
import type { ReportJudgement } from './from-report.js';
import { machineOf } from './machine.js';

export interface GuestToPlay {
  readonly variant: string;
  /** Why this one, where it is not the report's own. */
  readonly note: string | null;
}

/** Bases of profiles that the built-in guests' own check knows. */
export const GUEST_PROFILES: readonly string[] = ['v3', 'v3-cma', '6.1'];

/** The guest of `own` that a report is played on; a sentence where there is none. */
export function guestToPlay({ reproduction, whole }: ReportJudgement, own: readonly string[]): GuestToPlay | string {
  const { variant, report, kernel } = reproduction;
  if (whole === null) return `the report is ${reproduction.outcome}, so there is nothing to play`;
  if (variant !== null && own.includes(variant)) return { variant, note: null };
  const why =
    variant === null ? 'the report does not give the architecture' : `there is no built-in guest of ${variant}`;
  // Where every one of them prints this line, any will do.
  const candidates = variants.filter(
    ({ name, bits }) => own.includes(name) && (report?.bits == null || bits === report.bits),
  );
  const version = kernel === null ? null : versionOf(kernel);
  const others = candidates.filter(
    (candidate) =>
      !messageFollows(
        whole.message,
        whole.profile.switches,
        machineOf(candidate.bits, candidate),
        report?.registerObjects ?? [],
        version,
      ).follows,
  );
  const [first] = candidates;
  if (first === undefined) return `${why}, and none of its width`;
  if (others.length > 0) {
    const names = others.map(({ name }) => name).join(', ');
    return `${why}, and ${names} would not print this line${variant === null ? ' (--variant says which it was)' : ''}`;
  }
  return {
    variant: first.name,
    note: `${why}: all ${candidates.length} built-in guests' rules print this line, ${first.name} played it`,
  };
}

/** Switches that only matter to vmalloc and kmap: without them the guests' own check knows the rules, and judges too. */
function profileToPlay(profile: string, refusal: string): string {
  const [base = ''] = profile.split(',');
  return GUEST_PROFILES.includes(base) && !refusal.startsWith('vmalloc') && refusal !== 'kmap' ? base : profile;
}

/** The scenario, or a sentence that says why a built-in guest cannot be brought into such a state. */
export function scenarioOf(
  judgement: ReportJudgement,
  { variant }: GuestToPlay,
  guest: GuestFacts,
): Described | string {
  const { reproduction, whole, machine } = judgement;
  if (whole === null) return `the report is ${reproduction.outcome}, so there is nothing to play`;
  return describeReport(whole.message, {
    variant,
    profile: profileToPlay(whole.profile.name, whole.message.refusal),
    machine,
    guest,
    copy: reproduction.copy,
    objectSize: reproduction.explanation.object?.size ?? null,
  });
}

/** Lines that stand before a written scenario. */
export function scenarioHead({ reproduction: { report } }: ReportJudgement, { notes }: Described): string[] {
  return [
    `Reported by a kernel ${report?.kernelVersion ?? 'of an unknown release'}:`,
    report?.message?.text ?? '',
    ...notes,
  ];
}
