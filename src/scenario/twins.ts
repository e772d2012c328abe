/** Twins: the same copy judged by the guest's own check and by ours, side by side. */
import { type Attachment, attach } from '../attach/attach.js';
import type { Declaration } from '../check/parameters.js';
import type { Copy, Direction } from '../check/verdict.js';
import type { Guest } from '../guest/guest.js';
import { usercopyLine } from '../guest/log.js';
import { measureStackDepth } from '../stack/depth.js';

/** A copy to be judged twice. */
export interface TwinCase {
  readonly name: string;
  readonly copy: Copy;
  /** The guest function that makes the copy, and its arguments; default: `__check_object_size` itself. */
  readonly call?: { readonly symbol: string; readonly arguments: readonly bigint[] };
}

export interface TwinRow {
  readonly case: string;
  readonly pointer: bigint;
  readonly size: bigint;
  readonly direction: Direction;
  /** What the guest's own printk wrote; null when its check let the copy pass. */
  readonly guest: string | null;
  readonly ours: string | null;
  readonly identical: boolean;
  /** Guest instructions of the whole call, up to BUG() for a bad copy. */
  readonly guestInstructions: number;
  /** Estimated cycles of the same, where they were asked for and there is a table of a core. */
  readonly guestCycles?: number;
}

export interface TwinRun {
  readonly variant: string;
  readonly kernel: string;
  readonly profile: string;
  /** What it was picked by, in a sentence; null when it was named. */
  readonly profileBy: string | null;
  /** Whose types these are, where they are not the kernel's own; else null. */
  readonly typesBy: string | null;
  readonly rows: readonly TwinRow[];
}

export interface TwinOptions {
  readonly profile?: string | undefined;
  readonly declarations?: readonly Declaration[];
  /** Whether ours checks stack frames; default: as the kernel does. */
  readonly frames?: boolean | undefined;
  /** Estimates cycles too, where there is a table of a core. */
  readonly cycles?: boolean;
}

/**
 * Runs every case from the same state of memory.
 * @throws UsercopyError `guest` when a case neither returns nor ends in BUG().
 */
export async function runTwins(guest: Guest, cases: readonly TwinCase[], options: TwinOptions = {}): Promise<TwinRun> {
  const before = guest.snapshot();
  const depth = await measureStackDepth(guest);
  const attachment = await attach(guest.engine, guest.kernel, {
    judge: 'kernel',
    onViolation: 'record',
    memory: guest.check,
    profile: options.profile ?? 'auto',
    declarations: options.declarations ?? [],
    frames: options.frames,
    ...(options.cycles && guest.variant.cycles !== undefined ? { cycles: 'estimate' as const } : {}),
    stackDepth: depth ?? undefined,
  });
  const warn = guest.kernel.symbols.address('usercopy_warn');
  // The fallback of 4.16 to 5.15 warns and lets the copy pass; the warning itself needs a machine.
  const hook = warn === undefined ? null : guest.engine.hookAddress(warn, () => guest.engine.stop());
  try {
    const rows: TwinRow[] = [];
    for (const twin of cases) {
      guest.restore(before);
      rows.push(await runTwin(guest, attachment, twin));
    }
    guest.restore(before);
    const { profile, profileBy } = attachment;
    return {
      variant: guest.variant.name,
      kernel: guest.kernel.version.release,
      profile,
      profileBy,
      typesBy: guest.kernel.types?.note ?? null,
      rows,
    };
  } finally {
    hook?.remove();
    attachment.detach();
  }
}

async function runTwin(guest: Guest, attachment: Attachment, twin: TwinCase): Promise<TwinRow> {
  const { copy } = twin;
  const call = twin.call ?? {
    symbol: '__check_object_size',
    arguments: [copy.pointer, copy.size, copy.direction === 'to_user' ? 1n : 0n],
  };
  const seen = attachment.statistics().checks;
  const known = attachment.violations.length;
  const outcome = await guest.call(call.symbol, call.arguments, {
    countInstructions: true,
    cycles: attachment.pricer ?? undefined,
  });
  const judged = attachment.statistics().checks > seen;
  const violation = attachment.violations.length > known ? attachment.violations.at(-1) : undefined;
  const guestLine = usercopyLine(guest);
  const ours = violation?.message ?? null;
  return {
    case: twin.name,
    pointer: violation?.copy.pointer ?? copy.pointer,
    size: violation?.copy.size ?? copy.size,
    direction: copy.direction,
    guest: guestLine,
    ours,
    // Both said the same, about a copy that both were asked about, and the guest ended as its words say.
    identical: judged && guestLine === ours && (outcome.kind === 'bug') === (violation !== undefined),
    guestInstructions: outcome.instructions ?? 0,
    ...(outcome.cycles === null ? {} : { guestCycles: Math.round(outcome.cycles) }),
  };
}
