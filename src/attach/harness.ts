/**
 * An attachment written down for harnesses that are not written in JavaScript: everything that `usercopy_attach()` of
 * libusercopy (native/harness.h) needs to hook a guest's entry points and judge its copies, worked out beforehand.
 */

import { createHash } from 'node:crypto';
import type { Variant } from '../../arch/driver.js';
import { Check, type CheckImage } from '../check/check.js';
import type { CheckedObject, Direction, Verdict } from '../check/verdict.js';
import { builtCheck } from '../engine/built-check.js';
import { hex, UsercopyError } from '../errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { aKernel, requireValue } from '../options.js';
import { formatMessage, type MessageStyle } from '../report/format.js';
import { noPagesNote } from './blind-spots.js';
import { CODE_BYTES, type HarnessFile, harnessSymbols } from './harness-file.js';
import { notesOf, nothingJudged } from './notes.js';
import { type HarnessOptions, requireHarnessOptions } from './options.js';
import { pageArrayGap } from './page-array.js';
import { functionStarts, type Plan, planOf } from './plan.js';
import { argumentRegisterOrNull, requestRegisters } from './requests.js';
import { SANITIZERS, sanitizerNotes } from './sanitizers.js';

/** Pieces of memory that are zero are left out. */
const PIECE = 4096;
/** Bytes of code that say which function it is. */
const LEAST_CODE = 16;

/**
 * Works an attachment out. `kernel.read` must show the memory of the guest as it is when the harness attaches: some of
 * the layout is kept in variables.
 * @throws UsercopyError as `attach` does.
 */
export async function prepareHarness(kernel: Kernel, options: HarnessOptions = {}): Promise<HarnessFile> {
  requireValue('prepareHarness: kernel', kernel, aKernel);
  requireHarnessOptions(options);
  const declarations = options.declarations ?? [];
  const plan = planOf(kernel, { ...options, declares: declarations.length > 0 });
  const { variant, parameters, style } = plan;
  const check = await Check.create({ source: builtCheck, guestBytes: 0, requestCapacity: 1, ringCapacity: 1 });
  check.configure(parameters);
  // All guest memory is read through the harness.
  check.foreignReader = () => undefined;
  for (const declaration of declarations) check.declare(declaration);
  if (plan.judge === 'all' && plan.kernelJudges) check.knowFunctions(functionStarts(kernel));
  const image = check.image();
  const name = parameters.introspection?.slab.name ?? null;
  return {
    variant: variant.name,
    kernel: kernel.version.release,
    profile: plan.profile.name,
    judge: plan.judge,
    bits: kernel.bits,
    endian: kernel.endian,
    unicorn: unicornOf(variant),
    digest: createHash('sha256').update(image.module).digest('hex'),
    memory: { bytes: image.bytes.length, context: image.context, pieces: piecesOf(image.bytes) },
    call: callOf(kernel, variant),
    entries: hookedEntries(plan),
    copying: copyingFunctions(plan),
    verdicts: verdictsOf(image, style),
    warnings: warningsOf(plan),
    notes: [...notesOf(plan, options.stackDepth !== undefined), ...blindSpotsOf(plan)],
    declaredCaches: Object.fromEntries(image.declaredCaches),
    sanitizers: sanitizersOf(plan, image),
    cacheName: name && { offset: name.offset, size: name.size },
    frames: framesOf(kernel, variant),
    text: parameters.text && { start: hex(parameters.text.start), end: hex(parameters.text.end) },
    symbols: harnessSymbols(kernel),
  };
}

function unicornOf(variant: Variant): HarnessFile['unicorn'] {
  if ('unsupported' in variant.engine) throw new UsercopyError('unsupported', variant.engine.unsupported);
  return { arch: variant.engine.arch, mode: variant.engine.mode };
}

function callOf(kernel: Kernel, variant: Variant): HarnessFile['call'] {
  const { registers, call } = variant;
  return {
    pc: registers.pc,
    sp: registers.sp,
    fp: registers.fp,
    compared: registers.all,
    link: registers.link,
    returnValue: registers.returnValue,
    stackBias: call.stackBias ?? 0,
    returnOffset: call.returnOffset ?? 0,
    pushesReturnAddress: call.pushesReturnAddress,
    threadSize: Number(variant.threadSize(kernel)),
  };
}

function framesOf(kernel: Kernel, variant: Variant): HarnessFile['frames'] {
  const layout = variant.frames.layout(kernel);
  return layout && { ...layout, returnRegister: layout.returnRegister ?? null };
}

function sanitizersOf(plan: Plan, { look, unknownStates }: CheckImage): HarnessFile['sanitizers'] {
  if (plan.parameters.introspection === null) return null;
  return { look, unknown: Object.fromEntries(unknownStates), notes: sanitizerNotes(plan, SANITIZERS) };
}

/** Where a copy that is to fail is caught. */
function copyingFunctions({ entries, unjudged, variant }: Plan): HarnessFile['copying'] {
  const argument = argumentRegisterOrNull(variant);
  return [...entries, ...unjudged].flatMap(({ entry, address }) => {
    const [kernelPointer, size] = [argument(entry.kernelPointer), argument(entry.size)];
    if (entry.role === 'judge' || kernelPointer === null || size === null) return [];
    const userPointer = argument(entry.userPointer);
    return [{ address: hex(address), kernelPointer, userPointer, size, sizeBits: entry.sizeBits ?? 64 }];
  });
}

/** Why the attachment judges nothing, or hardly anything. */
function warningsOf(plan: Plan): string[] {
  const gap = pageArrayGap(plan.parameters, plan.live);
  return [
    ...nothingJudged(plan),
    ...(gap === null ? [] : [`${noPagesNote(gap)}; unless the harness brings memory in which there is one`]),
  ];
}

/** What a library that only judges cannot find out for itself. */
function blindSpotsOf({ unjudged }: Plan): string[] {
  return [
    ...(unjudged.length === 0
      ? []
      : ["judges only what the guest's own check is asked about; copies that reach no check are not noticed"]),
  ];
}

/** null where nothing is there yet, or too little to know it by. */
function codeAt(kernel: Kernel, address: bigint, end: bigint): string | null {
  const length = Math.min(CODE_BYTES, Number(end - address));
  const bytes = length < LEAST_CODE ? undefined : kernel.read(address, length);
  return bytes?.some((byte) => byte !== 0) ? Buffer.from(bytes).toString('base64') : null;
}

function hookedEntries({ entries, variant, parameters, judge, live }: Plan): HarnessFile['entries'] {
  return entries.map(({ entry, address, body }) => ({
    symbol: entry.symbol,
    address: hex(address),
    role: entry.role,
    direction: typeof entry.direction === 'object' ? 'register' : entry.direction,
    sizeBits: entry.sizeBits ?? 64,
    body: { start: hex(body.start), end: hex(body.end) },
    code: codeAt(live, address, body.end),
    registers: requestRegisters(entry, variant, { parameters, nested: judge === 'all', caller: false }),
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
          by: reason.outcome === 'unreadable' ? 'unreadable' : reason.by,
          messages: { to_user: messages('to_user'), from_user: messages('from_user') },
        },
      ];
    }),
  );
}
