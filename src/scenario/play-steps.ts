/** Plays a scenario: every step from the same memory, judged by us and, where it can, by the guest's own check. */

import { type Attachment, attach } from '../attach/attach.js';
import { entriesOf, hasCheck } from '../attach/plan.js';
import type { Finding, Sanitizer, SanitizerStatistics } from '../attach/sanitizers.js';
import type { Violation, ViolationHandler } from '../attach/violation.js';
import type { Acceptance, Copy, Direction, Refusal } from '../check/verdict.js';
import { badInput, UsercopyError } from '../errors.js';
import type { CallOutcome, Guest } from '../guest/guest.js';
import { usercopyLine } from '../guest/log.js';
import { measureStackDepth } from '../stack/depth.js';
import { evaluate, parseCall, parseExpression, wordOf } from './expression.js';
import type { Expectation, Scenario, ScenarioCopy, ScenarioStep } from './format.js';
import type { World } from './furnish.js';
import { located, type Positions } from './positions.js';
import type { ScenarioFile } from './read.js';

export interface ScenarioRow {
  readonly case: string;
  /** The copy; null for a call whose copies all passed. */
  readonly pointer: bigint | null;
  readonly size: bigint | null;
  readonly direction: Direction | null;
  /** What the guest's own printk wrote; null when its check let the copy pass or was not asked. */
  readonly guest: string | null;
  readonly ours: string | null;
  /** Whether both say the same; null where the guest's own check was not asked, or knows other rules. */
  readonly identical: boolean | null;
  /** null: nothing was judged. */
  readonly outcome: 'good' | 'bad' | 'unreadable' | null;
  /** The rule that settled it; null where there is none, or several copies passed by several. */
  readonly region: Refusal | Acceptance | null;
  readonly ends: CallOutcome['kind'];
  /** Where BUG() was hit, as `symbol+0x1c`; null when it was not. */
  readonly bug: string | null;
  readonly returns: bigint | null;
  readonly guestInstructions: number;
  readonly explanation: readonly string[];
  /** What sanitizers found beside the check, which lets it pass; empty without them. */
  readonly findings: readonly Finding[];
  /** What came out otherwise than expected, in words; empty when all did. */
  readonly unmet: readonly string[];
}

export interface ScenarioRun {
  readonly file: string;
  readonly name: string | null;
  readonly variant: string;
  readonly kernel: string;
  readonly profile: string;
  /** What it was picked by, in a sentence; null when it was named. */
  readonly profileBy: string | null;
  readonly judge: 'kernel' | 'all';
  readonly notes: readonly string[];
  readonly rows: readonly ScenarioRow[];
  /** Looks of the sanitizers at all rows' copies; null without them. */
  readonly sanitizers: SanitizerStatistics | null;
  /** Every expectation is met, nothing differs from the guest's own check, and no sanitizer found anything. */
  readonly ok: boolean;
}

/** Findings of a step that are told: more than a person's scenario has. Counts go on beyond. */
const MOST_FINDINGS = 100_000;

/** What one step came to, whatever the steps before it were told. */
class StepEvents {
  violation: Violation | undefined;
  findings: Finding[] = [];

  reset(): void {
    this.violation = undefined;
    this.findings = [];
  }

  /** Hears of a violation; the first one of a step is the one that counts. */
  recorder(answer: NonNullable<Scenario['onViolation']>): ViolationHandler {
    const decision = answer === 'record' ? 'continue' : answer;
    return (violation) => {
      this.violation ??= violation;
      return decision;
    };
  }

  find(finding: Finding): 'continue' {
    if (this.findings.length < MOST_FINDINGS) this.findings.push(finding);
    return 'continue';
  }
}

interface PreparedStep {
  readonly name: string;
  readonly copy: Copy | null;
  readonly symbol: string;
  readonly arguments: readonly bigint[];
  readonly expect: Expectation;
}

export interface StepOptions {
  /** Sanitizers to look at what the check lets pass; findings are recorded, and the step goes on. */
  readonly sanitize?: readonly Sanitizer[] | undefined;
  /** The steps are about to be played. */
  readonly onReady?: (guest: Guest) => void;
  /** They have been; the guest is about to be closed. */
  readonly onDone?: () => void;
}

/**
 * Plays the steps of a scenario in its world, whose guest is closed at the end. The same scenario gives the same rows every time,
 * instruction counts included.
 * @throws UsercopyError with file, line and column: `bad-input` for what cannot be, `guest` when a call neither returns
 *   nor ends in BUG().
 */
export async function playIn(
  world: World,
  { scenario, positions }: ScenarioFile,
  options: StepOptions = {},
): Promise<ScenarioRun> {
  const { guest } = world;
  try {
    const judge = scenario.judge ?? (hasCheck(guest.kernel, guest.variant) ? 'kernel' : 'all');
    const steps = scenario.steps.map((step, index) => prepareStep(step, index, world, judge, positions));
    // It reads all of the guest's memory, which takes longer than a step.
    const before = steps.length > 1 ? guest.snapshot() : null;
    const events = new StepEvents();
    const attachment = await located(positions, ['guest', 'profile'], () =>
      attachTo(world, scenario, judge, positions, events, options.sanitize),
    );
    try {
      const rows: ScenarioRow[] = [];
      options.onReady?.(guest);
      for (const [index, step] of steps.entries()) {
        if (before !== null) guest.restore(before);
        rows.push(await located(positions, ['steps', index], () => playStep(world, attachment, events, step)));
      }
      options.onDone?.();
      return {
        file: positions.file,
        name: scenario.name ?? null,
        variant: guest.variant.name,
        kernel: guest.kernel.version.release,
        profile: attachment.profile,
        profileBy: attachment.profileBy,
        judge,
        notes: attachment.notes,
        rows,
        sanitizers: attachment.sanitizerStatistics(),
        ok: rows.every((row) => row.identical !== false && row.unmet.length === 0 && row.findings.length === 0),
      };
    } finally {
      attachment.detach();
    }
  } finally {
    guest.close();
  }
}

async function attachTo(
  { guest, kernel, profile, declarations, ownCheckKnows, stackDepth }: World,
  scenario: Scenario,
  judge: 'kernel' | 'all',
  positions: Positions,
  events: StepEvents,
  sanitize: readonly Sanitizer[] | undefined,
): Promise<Attachment> {
  const { stackDepth: given, frames } = scenario.guest;
  const at = positions.at(['guest', 'stackDepth']);
  const depth = given
    ? { check: wordOf(given.check, at), print: wordOf(given.print, at) }
    : stackDepth === undefined
      ? await measureStackDepth(guest)
      : stackDepth;
  return attach(guest.engine, kernel, {
    judge,
    onViolation: events.recorder(scenario.onViolation ?? (judge === 'kernel' && ownCheckKnows ? 'record' : 'stop')),
    keep: 0,
    memory: guest.check,
    declarations,
    profile: profile ?? 'auto',
    frames,
    stackDepth: depth ?? undefined,
    ...(sanitize === undefined ? {} : { sanitize, onFinding: (finding: Finding) => events.find(finding) }),
    // They are among the notes.
    onBlindSpot: () => undefined,
  });
}

function prepareStep(
  step: ScenarioStep,
  index: number,
  { guest, names }: World,
  judge: 'kernel' | 'all',
  positions: Positions,
): PreparedStep {
  const { bits } = guest.kernel;
  const { copy, call, expect = {} } = step;
  if (copy !== undefined && call !== undefined) {
    throw positions.refuse(['steps', index], "either 'copy' or 'call'", 'both');
  }
  if (call !== undefined) {
    const where = positions.at(['steps', index, 'call']);
    return { name: step.name ?? call, copy: null, ...guestCallOf(call, { guest, names }, where), expect };
  }
  if (copy === undefined) throw positions.refuse(['steps', index], "either 'copy' or 'call'", 'neither');
  const prepared = prepareCopy(copy, index, names, bits, positions);
  const name = step.name ?? `${copy.pointer}, ${copy.size} bytes, ${prepared.direction.replace('_', ' ')}`;
  return { name, copy: prepared, ...callOf(prepared, guest, judge), expect };
}

/** Reads `symbol(argument, …)`, with what the names in it stand for. @throws UsercopyError `bad-input` that begins with `where`. */
export function guestCallOf(
  call: string,
  { guest, names }: Pick<World, 'guest' | 'names'>,
  where: string,
): { readonly symbol: string; readonly arguments: readonly bigint[] } {
  const { symbol, arguments: terms } = parseCall(call, where);
  if (guest.kernel.symbols.address(symbol) === undefined) {
    throw badInput(where, `a function of kernel ${guest.kernel.version.release}`, `'${symbol}'`);
  }
  return { symbol, arguments: terms.map((term) => evaluate(term, names, guest.kernel.bits, where)) };
}

function prepareCopy(
  { pointer, size, direction }: ScenarioCopy,
  index: number,
  names: World['names'],
  bits: number,
  positions: Positions,
): Copy {
  const at = (field: string): string => positions.at(['steps', index, 'copy', field]);
  const bytes = wordOf(size, at('size'));
  if (bytes >> BigInt(bits) !== 0n) {
    throw positions.refuse(['steps', index, 'copy', 'size'], `a word of ${bits} bits`, `${size}`);
  }
  return {
    pointer: evaluate(parseExpression(pointer, at('pointer')), names, bits, at('pointer')),
    size: bytes,
    direction,
  };
}

/** The guest function that is asked about a copy: the check itself, or the outermost one that copies. */
function callOf(
  { pointer, size, direction }: Copy,
  guest: Guest,
  judge: 'kernel' | 'all',
): { symbol: string; arguments: bigint[] } {
  const { kernel, variant, user } = guest;
  const entries = entriesOf(kernel, variant).filter(({ role }) => (role === 'judge') === (judge === 'kernel'));
  const entry =
    entries.find((candidate) => candidate.direction === direction) ??
    entries.find((candidate) => candidate.direction !== 'to_user' && candidate.direction !== 'from_user');
  if (!entry) {
    const tried = variant.uaccess.map((candidate) => candidate.symbol).join(', ');
    throw new UsercopyError(
      'bad-input',
      `kernel ${kernel.version.release}: expected a function that copies ${direction} (one of ${tried}), found none`,
    );
  }
  const args: bigint[] = [];
  const toUser = direction === 'to_user';
  // A routine that goes both ways takes destination and source, not kernel and user.
  const swapped = entry.direction === 'by address' && toUser;
  args[entry.kernelPointer] = swapped ? user.address : pointer;
  if (entry.userPointer !== undefined) args[entry.userPointer] = swapped ? pointer : user.address;
  args[entry.size] = size;
  if (typeof entry.direction === 'object') args[entry.direction.argument] = toUser ? 1n : 0n;
  return { symbol: entry.symbol, arguments: Array.from(args, (value) => value ?? 0n) };
}

async function playStep(
  world: World,
  attachment: Attachment,
  events: StepEvents,
  step: PreparedStep,
): Promise<ScenarioRow> {
  const { guest, ownCheckKnows } = world;
  const { check } = attachment;
  check.resetStatistics();
  events.reset();
  const outcome = await guest.call(step.symbol, step.arguments, { countInstructions: true });
  const { checks, reasons } = check.statistics();
  const { violation } = events;
  const asked = attachment.judge === 'kernel' && ownCheckKnows && outcome.kind !== 'stopped';
  const guestLine = asked ? usercopyLine(guest) : null;
  const ours = violation?.message ?? null;
  const passedBy = reasons.filter((reason) => reason.outcome === 'good').map((reason) => reason.by);
  const copy = violation?.copy ?? step.copy;
  const row = {
    case: step.name,
    pointer: copy?.pointer ?? null,
    size: copy?.size ?? null,
    direction: copy?.direction ?? null,
    guest: guestLine,
    ours,
    identical:
      !asked || (checks === 0 && guestLine === null)
        ? null
        : checks > 0 && guestLine === ours && (outcome.kind === 'bug') === (violation !== undefined),
    outcome: violation?.verdict.outcome ?? (checks > 0 ? ('good' as const) : null),
    region: violation ? ruleOf(violation.verdict) : passedBy.length === 1 ? (passedBy[0] ?? null) : null,
    ends: outcome.kind,
    bug: outcome.kind === 'bug' ? outcome.symbol : null,
    returns: outcome.kind === 'returned' ? outcome.value : null,
    guestInstructions: outcome.instructions ?? 0,
    explanation: violation?.explanation ?? [],
    findings: events.findings,
  };
  return { ...row, unmet: unmetOf(row, step.expect) };
}

function ruleOf(verdict: Violation['verdict']): Refusal | null {
  return verdict.outcome === 'bad' ? verdict.by : null;
}

/** Expectations that are not met, in words. A refusal that nothing foresaw is one. */
function unmetOf(row: Omit<ScenarioRow, 'unmet'>, expect: Expectation): string[] {
  const unmet: string[] = [];
  const compare = (what: string, expected: unknown, found: unknown): void => {
    if (expected !== undefined && expected !== found) {
      unmet.push(`${what}: expected ${expected ?? 'none'}, found ${found ?? 'none'}`);
    }
  };
  compare('message', expect.message, row.ours);
  compare('outcome', expect.outcome, row.outcome);
  compare('region', expect.region, row.region);
  compare('guest', expect.guest, row.guest);
  compare('ends', expect.ends, row.ends);
  compare('returns', expect.returns === undefined ? undefined : wordOf(expect.returns, 'returns'), row.returns);
  compare('instructions', expect.instructions, row.guestInstructions);
  const foreseen = [expect.message, expect.outcome, expect.region].some((field) => field !== undefined);
  if (!foreseen && (row.outcome === 'bad' || row.outcome === 'unreadable')) {
    unmet.push(`no refusal was expected, found ${row.ours ?? row.region ?? row.outcome}`);
  }
  // The guest's own check ends so after the line that it prints; any other BUG() must have been expected.
  const isOfCheck = row.guest !== null && (row.outcome === 'bad' || row.outcome === 'unreadable');
  if (row.bug !== null && expect.ends === undefined && !expect.guest && !isOfCheck) {
    unmet.push(`no BUG() was expected, found one at ${row.bug}`);
  }
  return unmet;
}
