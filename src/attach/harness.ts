/**
 * An attachment written down for harnesses that are not written in JavaScript: everything that `usercopy_attach()` of
 * libusercopy (native/harness.h) needs to hook a guest's entry points and judge its copies, worked out beforehand.
 */

import { createHash } from 'node:crypto';
import { Check, type CheckImage } from '../check/check.js';
import type { Declaration } from '../check/parameters.js';
import type { CheckedObject, Direction, Verdict } from '../check/verdict.js';
import { builtCheck } from '../engine/built-check.js';
import { hex } from '../errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { formatMessage, type MessageStyle } from '../report/format.js';
import { noPagesNote } from './blind-spots.js';
import { notesOf } from './notes.js';
import { pageArrayGap } from './page-array.js';
import { functionStarts, type Plan, type PlanOptions, planOf } from './plan.js';
import { requestPresetOf, requestRegisters } from './requests.js';

/** Version of the file; native/harness.cc knows the same one. */
const FORMAT = 1;
/** Pieces of memory that are zero are left out. */
const PIECE = 4096;

export interface HarnessOptions extends Omit<PlanOptions, 'declares' | 'read'> {
  /** Memory that no kernel structure describes. */
  readonly declarations?: readonly Declaration[] | undefined;
}

/** The JSON that `usercopy_attach()` takes. */
export interface HarnessFile {
  readonly usercopyHarness: number;
  readonly variant: string;
  readonly kernel: string;
  readonly profile: string;
  readonly judge: 'kernel' | 'all';
  readonly bits: 32 | 64;
  readonly endian: 'little' | 'big';
  /** Name of the program counter's register. */
  readonly pc: string;
  /** SHA-256 of the check.wasm that this was made with. */
  readonly digest: string;
  readonly layout: Pick<CheckImage, 'context' | 'statistics' | 'requestFieldsEnd' | 'request' | 'described'>;
  readonly memory: {
    readonly bytes: number;
    readonly pieces: readonly { readonly offset: number; readonly base64: string }[];
  };
  readonly entries: readonly {
    readonly symbol: string;
    /** 0x… */
    readonly address: string;
    /** Offset of its request. */
    readonly request: number;
    /** In the order of the request's fields; null leaves one untouched. */
    readonly registers: readonly (string | null)[];
  }[];
  /** By the verdict's number. In messages {pointer}, {bytes}, {cache}, {offset} and {size} are left open. */
  readonly verdicts: Readonly<
    Record<
      string,
      {
        readonly outcome: 'good' | 'bad' | 'unreadable';
        readonly by: string;
        readonly messages: Readonly<Record<Direction, string | null>>;
      }
    >
  >;
  readonly declaredCaches: Readonly<Record<string, string>>;
  /** What a person should know before relying on it. */
  readonly notes: readonly string[];
  /** The member of kmem_cache that points to its name. */
  readonly cacheName: { readonly offset: number; readonly size: number } | null;
}

/**
 * Works an attachment out. `kernel.read` must show the memory of the guest as it is when the harness attaches: some of
 * the layout is kept in variables.
 * @throws UsercopyError as `attach` does.
 */
export async function prepareHarness(kernel: Kernel, options: HarnessOptions = {}): Promise<HarnessFile> {
  const declarations = options.declarations ?? [];
  const plan = planOf(kernel, { ...options, declares: declarations.length > 0 });
  const { variant, parameters, style } = plan;
  const check = await Check.create({ source: builtCheck, guestBytes: 0, requestCapacity: 64 });
  check.configure(parameters);
  // All guest memory is read through the harness.
  check.foreignReader = () => undefined;
  for (const declaration of declarations) check.declare(declaration);
  if (plan.judge === 'all' && plan.kernelJudges) check.knowFunctions(functionStarts(kernel));
  const entries = hookedEntries(plan, check);
  const image = check.image();
  const name = parameters.introspection?.slab.name ?? null;
  return {
    usercopyHarness: FORMAT,
    variant: variant.name,
    kernel: kernel.version.release,
    profile: plan.profile.name,
    judge: plan.judge,
    bits: kernel.bits,
    endian: kernel.endian,
    pc: variant.registers.pc,
    digest: createHash('sha256').update(image.module).digest('hex'),
    layout: {
      context: image.context,
      statistics: image.statistics,
      requestFieldsEnd: image.requestFieldsEnd,
      request: image.request,
      described: image.described,
    },
    memory: { bytes: image.bytes.length, pieces: piecesOf(image.bytes) },
    entries,
    verdicts: verdictsOf(image, style),
    notes: [...notesOf(plan, options.stackDepth !== undefined), ...blindSpotsOf(plan)],
    declaredCaches: Object.fromEntries(image.declaredCaches),
    cacheName: name && { offset: name.offset, size: name.size },
  };
}

/** What a library that only judges cannot find out for itself. */
function blindSpotsOf({ parameters, live, unjudged }: Plan): string[] {
  const gap = pageArrayGap(parameters, live);
  return [
    ...(gap === null ? [] : [noPagesNote(gap)]),
    ...(unjudged.length === 0
      ? []
      : ["judges only what the guest's own check is asked about; copies that reach no check are not noticed"]),
  ];
}

function hookedEntries({ entries, variant, parameters, judge }: Plan, check: Check): HarnessFile['entries'] {
  return entries.map((planned) => ({
    symbol: planned.entry.symbol,
    address: hex(planned.address),
    request: check.createRequest(requestPresetOf(planned, variant, false)),
    registers: requestRegisters(planned.entry, variant, { parameters, nested: judge === 'all', caller: false }),
  }));
}

function piecesOf(bytes: Uint8Array): HarnessFile['memory']['pieces'] {
  const pieces: { offset: number; base64: string }[] = [];
  for (let offset = 0; offset < bytes.length; offset += PIECE) {
    const piece = bytes.subarray(offset, offset + PIECE);
    if (piece.some((byte) => byte !== 0)) pieces.push({ offset, base64: Buffer.from(piece).toString('base64') });
  }
  return pieces;
}

/** Numbers that no line holds by itself; in a formatted line they stand where the real ones go. */
const OPEN = { offset: 7_777_777_001n, size: 7_777_777_002n, bytes: 7_777_777_003n, pointer: 0x7777_7777_7777_0004n };
const OPEN_CACHE = '{cache}';

function verdictsOf(image: CheckImage, style: MessageStyle): HarnessFile['verdicts'] {
  const object: CheckedObject = { start: 0n, end: 0n, windowStart: 0n, windowEnd: 0n, cache: OPEN_CACHE };
  const line = (verdict: Verdict, direction: Direction): string | null => {
    const copy = { pointer: OPEN.pointer, size: OPEN.bytes, direction };
    const text = formatMessage(verdict, copy, { ...style, bits: 64 });
    return (
      text
        ?.replace(String(OPEN.offset), '{offset}')
        .replace(String(OPEN.size), '{size}')
        .replace(String(OPEN.bytes), '{bytes}')
        .replace(OPEN.pointer.toString(16), '{pointer}') ?? null
    );
  };
  return Object.fromEntries(
    [...image.verdicts].map(([code, reason]) => {
      const messages =
        reason.outcome === 'bad'
          ? (direction: Direction) =>
              line({ outcome: 'bad', by: reason.by, offset: OPEN.offset, size: OPEN.size, object }, direction)
          : () => null;
      return [
        code,
        {
          outcome: reason.outcome,
          by: reason.outcome === 'unreadable' ? 'unreadable' : reason.by,
          messages: { to_user: messages('to_user'), from_user: messages('from_user') },
        },
      ];
    }),
  );
}
