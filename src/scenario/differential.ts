/**
 * Random copies, most of them near a boundary, put to a guest's own `__check_object_size` and to ours: the run stops where
 * the guest begins to say what is wrong, and its arguments are compared with our verdict.
 */
import { attachListener } from '../attach/attach.js';
import type { Declaration } from '../check/parameters.js';
import type { Copy } from '../check/verdict.js';
import { nextTurn } from '../engine/turn.js';
import { hex, UsercopyError } from '../errors.js';
import type { Guest } from '../guest/guest.js';
import type { KernelObjects } from '../guest/objects.js';
import { countBefore } from '../kernel/sorted.js';
import { measureStackDepth } from '../stack/depth.js';
import { entryPointOf } from '../stack/entry-point.js';
import { asksForPageSpans } from './lkdtm.js';
import type { SeededRandom } from './random.js';

/** Pointers of this share lie within `NEAR` bytes of a boundary. */
const NEAR_SHARE = 0.8;
const NEAR = 64;
const TIME_LIMIT = 10_000;

export interface DifferentialOptions {
  readonly copies: number;
  readonly seed: number;
  readonly profile?: string | undefined;
  readonly declarations?: readonly Declaration[];
  /** Whether ours checks stack frames; default: as the guest's kernel does. */
  readonly frames?: boolean | undefined;
  /** Called now and then with the number of copies done. */
  readonly onProgress?: (done: number) => void;
}

export interface Mismatch {
  readonly copy: Copy;
  readonly guest: string | null;
  readonly ours: string | null;
  readonly stackPointer: bigint;
}

export interface DifferentialResult {
  readonly variant: string;
  readonly kernel: string;
  readonly profile: string;
  /** What it was picked by, in a sentence; null when it was named. */
  readonly profileBy: string | null;
  /** Whose types these are, where they are not the kernel's own; else null. */
  readonly typesBy: string | null;
  readonly seed: number;
  readonly copies: number;
  /** Copies that the kernel refused. */
  readonly refused: number;
  /** Copies whose pointer or end lay within 64 bytes of a boundary. */
  readonly nearBoundary: number;
  /** At most the first hundred. */
  readonly mismatches: readonly Mismatch[];
  readonly mismatchCount: number;
}

/** A world of objects with the addresses at which something changes. */
export interface Boundaries {
  /** In ascending order. */
  readonly boundaries: readonly bigint[];
  /** Ranges in which far pointers are drawn. */
  readonly ranges: readonly { readonly start: bigint; readonly end: bigint }[];
}

/** Fills a guest with random objects of every kind. */
export function buildRandomWorld(guest: Guest, objects: KernelObjects, random: SeededRandom): Boundaries {
  const world = new WorldBuilder();
  const { boundaries } = world;
  const range = (start: bigint, end: bigint): void => world.range(start, end);
  objects.enableSlubDebug();
  for (let index = 0; index < 24; index++) addRandomSlab(objects, random, boundaries, range, index);
  for (let order = 1; order <= 5; order++) {
    const { start, end } = objects.makeCompoundPage(order);
    range(start, end);
  }
  const plain = objects.makePages(4);
  range(plain.start, plain.end);
  const reserved = objects.makePages(4);
  objects.setReserved(reserved.start, 2);
  range(reserved.start, reserved.end);
  const cma = asksForPageSpans(guest) ? objects.makeCmaBlock() : null;
  if (cma !== null) range(cma.start, cma.end);
  for (let index = 0; index < 40; index++) {
    const area = objects.makeVmallocArea(random.between(1, 6));
    boundaries.push(area.end);
    range(area.start, area.guardEnd);
  }
  return world.finish(guest);
}

/** Collects what changes where. */
export class WorldBuilder {
  readonly boundaries: bigint[] = [];
  readonly #ranges: { start: bigint; end: bigint }[] = [];

  /** Both ends are boundaries; far pointers are drawn from between. */
  range(start: bigint, end: bigint): void {
    this.boundaries.push(start, end);
    this.#ranges.push({ start, end });
  }

  /** With what every guest has: layout, image, stack, RAM. */
  finish(guest: Guest): Boundaries {
    addFixedBoundaries(guest, this);
    return {
      boundaries: this.boundaries.sort((left, right) => (left < right ? -1 : left > right ? 1 : 0)),
      ranges: this.#ranges,
    };
  }
}

function addFixedBoundaries(guest: Guest, world: WorldBuilder): void {
  const { boundaries } = world;
  const range = (start: bigint, end: bigint): void => world.range(start, end);
  const { layout, kernel } = guest;
  boundaries.push(layout.vmallocStart, layout.vmallocEnd, layout.pageOffset, layout.modulesStart, layout.modulesEnd);
  const symbol = (name: string): bigint | undefined => kernel.symbols.address(name);
  const text = symbol('_stext');
  const textEnd = symbol('_etext');
  if (text !== undefined && textEnd !== undefined) {
    range(text, textEnd);
    const linear = guest.memory.linearAddress - layout.imageOffset - guest.memory.ram.physicalBase;
    range(BigInt.asUintN(kernel.bits, text + linear), BigInt.asUintN(kernel.bits, textEnd + linear));
  }
  for (const name of ['__start_rodata', '__end_rodata', '_sdata', '_edata', '__bss_start', '__bss_stop', '_end']) {
    const address = symbol(name);
    if (address !== undefined) boundaries.push(address);
  }
  range(guest.stack.start, guest.stack.end);
  boundaries.push(guest.stackPointer, guest.stackPointer - 64n, guest.stackPointer - 128n);
  const { ram } = guest.memory;
  range(guest.memory.linearAddress, guest.memory.linearAddress + ram.bytes);
  const top = (1n << BigInt(kernel.bits)) - 1n;
  boundaries.push(0n, 16n, top, guest.user.address, layout.taskSize);
  for (const { start, end } of layout.kmap) range(start, end);
}

function addRandomSlab(
  objects: KernelObjects,
  random: SeededRandom,
  boundaries: bigint[],
  range: (start: bigint, end: bigint) => void,
  index: number,
): void {
  const redLeftPad = index % 3 === 0 ? 8 * random.between(1, 16) : 0;
  const objectSize = random.pick([8, 32, 40, 64, 96, 192, 256, 512, 1000, 1024, 2048, 4096]) + 8 * random.below(4);
  const size = objectSize + redLeftPad * 2 + 8 * random.below(3);
  const useroffset = random.below(3) === 0 ? 0 : random.below(objectSize);
  const usersize = random.below(4) === 0 ? 0 : random.below(objectSize - useroffset + 1);
  const slab = objects.makeSlab({
    name: `slab-${index}-${objectSize}`,
    objectSize,
    size,
    useroffset,
    usersize,
    redLeftPad,
    order: size > 3000 ? 3 : random.below(3),
  });
  range(slab.start, slab.end);
  for (let count = 0; count < 12; count++) {
    const object = slab.object(random.below(Math.max(1, Math.floor(Number(slab.end - slab.start) / size))));
    const window = object + BigInt(useroffset);
    boundaries.push(object, object + BigInt(objectSize), window, window + BigInt(usersize));
  }
}

/** One copy over a world: most of them near a boundary. */
export function randomCopy(random: SeededRandom, world: Boundaries, bits: number): { copy: Copy; near: boolean } {
  const near = random.next() / 2 ** 32 < NEAR_SHARE;
  const anchor = near ? random.pick(world.boundaries) : randomAddress(random, world);
  const pointer = BigInt.asUintN(bits, anchor + BigInt(near ? random.between(-NEAR, NEAR) : 0));
  let size: bigint;
  switch (random.below(8)) {
    case 0:
      size = BigInt(random.below(3 * NEAR));
      break;
    case 1:
      size = BigInt(random.below(1 << random.between(1, 16)));
      break;
    case 2:
    case 3:
      // Ends near one of the next boundaries.
      size = boundaryAbove(world.boundaries, pointer, random.below(4)) - pointer + BigInt(random.between(-NEAR, NEAR));
      break;
    case 4:
    case 5:
    case 6: {
      // Stays within what the next boundary ends.
      const room = boundaryAbove(world.boundaries, pointer, 0) - pointer;
      size = room > 0n ? BigInt(random.next()) % (room + 1n) : 1n;
      break;
    }
    default:
      size = (BigInt(random.next()) << 32n) | BigInt(random.next());
      size >>= BigInt(random.below(64));
  }
  const direction = random.below(2) === 0 ? 'to_user' : 'from_user';
  return { copy: { pointer, size: BigInt.asUintN(bits, size), direction }, near };
}

/** The boundary `skip` places above the first one that is higher than an address; the last one at most. */
function boundaryAbove(boundaries: readonly bigint[], address: bigint, skip: number): bigint {
  const above = countBefore(boundaries, (boundary) => boundary <= address);
  return boundaries[above + skip] ?? boundaries.at(-1) ?? address;
}

function randomAddress(random: SeededRandom, world: Boundaries): bigint {
  const { start, end } = random.pick(world.ranges);
  return start + (((BigInt(random.next()) << 32n) | BigInt(random.next())) % (end - start));
}

/** Where a guest begins to say what is wrong, and the line that it would print, from the arguments there. */
interface Complaint {
  readonly symbol: string;
  line(guest: Guest): string;
}

const COMPLAINTS: readonly Complaint[] = [
  // b394d468e7d7 (4.16)
  { symbol: 'usercopy_abort', line: abortLine },
  // 4.8 to 4.15
  { symbol: 'report_usercopy', line: reportLine },
];

/** report_usercopy(ptr, len, to_user, type) */
function reportLine(guest: Guest): string {
  const { bits } = guest.variant;
  const [pointer = 0n, length = 0n, toUser = 0n, type = 0n] = guest.arguments(4);
  const words = (toUser & 0xffn) === 0n ? 'overwrite attempt detected to' : 'exposure attempt detected from';
  const digits = bits / 4;
  const printed = pointer === 0n ? '(null)'.padStart(digits) : pointer.toString(16).padStart(digits, '0');
  return `usercopy: kernel memory ${words} ${printed} (${guest.memory.readString(type)}) (${length} bytes)`;
}

/** usercopy_abort(name, detail, to_user, offset, len) */
function abortLine(guest: Guest): string {
  const [name = 0n, detail = 0n, toUser = 0n, offset = 0n, length = 0n] = guest.arguments(5);
  // A name that is not there has no text to compare.
  const isThere = detail !== 0n && guest.memory.isMapped(detail);
  const quoted = isThere ? ` '${guest.memory.readString(detail)}'` : '';
  const words = (toUser & 0xffn) === 0n ? ['overwrite', 'to'] : ['exposure', 'from'];
  return `usercopy: Kernel memory ${words[0]} attempt detected ${words[1]} ${guest.memory.readString(name)}${quoted} (offset ${offset}, size ${length})!`;
}

/**
 * Calls the guest's own check. What comes back is why it did not end: the rules before 5.18 look at the last page of a
 * copy without asking whether there is one.
 */
function callCheck(guest: Guest, check: bigint, { pointer, size, direction }: Copy, timeLimit: number): string | null {
  try {
    guest.callOnce(check, [pointer, size, direction === 'to_user' ? 1n : 0n], timeLimit);
    return null;
  } catch (error) {
    if (error instanceof UsercopyError && error.kind === 'guest') return error.message;
    throw error;
  }
}

/** What both checks say of one copy. */
export interface BothVerdicts {
  /** The guest's line; null when its check came back. Where it did not end, why. */
  readonly guest: string | null;
  readonly ours: string | null;
  /** The guest faulted: it has no verdict, and ours must not let that copy pass. */
  readonly faulted: boolean;
  /** Where ours has none: the address of what cannot be read, or with which it cannot go on. */
  readonly unreadable: bigint | null;
  readonly agree: boolean;
}

export interface AskOptions {
  readonly profile?: string | undefined;
  readonly declarations?: readonly Declaration[] | undefined;
  readonly frames?: boolean | undefined;
  /** Milliseconds for one call; default 10 000. */
  readonly timeLimit?: number | undefined;
}

/** A guest's own check and ours, asked the same. */
export interface BothChecks {
  readonly profile: string;
  readonly profileBy: string | null;
  ask(copy: Copy): BothVerdicts;
  close(): void;
}

/**
 * Nothing is printed, since a run ends where the guest begins to complain.
 * @throws UsercopyError `bad-input` when the kernel has no function for that, `guest` when it does not come back.
 */
export async function openBothChecks(guest: Guest, options: AskOptions = {}): Promise<BothChecks> {
  const { kernel, engine, variant } = guest;
  const complaints = COMPLAINTS.flatMap(({ symbol, line }) => {
    const address = entryPointOf(kernel, variant, symbol);
    return address === undefined ? [] : [{ address, line }];
  });
  if (complaints.length === 0) {
    const expected = COMPLAINTS.map(({ symbol }) => symbol).join(' or ');
    throw new UsercopyError('bad-input', `kernel ${kernel.version.release}: expected a symbol ${expected}, found none`);
  }
  const depth = await measureStackDepth(guest);
  let ours: string | null = null;
  let unreadable: bigint | null = null;
  const attachment = await attachListener(
    engine,
    kernel,
    {
      judge: 'kernel',
      memory: guest.check,
      declarations: options.declarations ?? [],
      frames: options.frames,
      profile: options.profile,
      stackDepth: depth ?? undefined,
    },
    (verdict, message) => {
      unreadable = verdict.outcome === 'unreadable' ? verdict.address : null;
      ours = unreadable === null ? message : `unreadable ${hex(unreadable)}`;
      return 'continue';
    },
  );
  let guestLine: string | null = null;
  const hooks = complaints.map(({ address, line }) =>
    engine.hookAddress(address, () => {
      guestLine = line(guest);
      engine.stop();
    }),
  );
  const warn = kernel.symbols.address('usercopy_warn');
  // The fallback of 4.16 to 5.15 warns and lets the copy pass; the warning itself needs a machine.
  if (warn !== undefined) hooks.push(engine.hookAddress(warn, () => engine.stop()));
  const check = guest.symbol('__check_object_size');
  return {
    profile: attachment.profile,
    profileBy: attachment.profileBy,
    ask(copy) {
      guestLine = null;
      ours = null;
      unreadable = null;
      const fault = callCheck(guest, check, copy, options.timeLimit ?? TIME_LIMIT);
      const agree = fault === null ? guestLine === ours : ours !== null;
      return { guest: guestLine ?? fault, ours, faulted: fault !== null, unreadable, agree };
    },
    close() {
      for (const hook of hooks) hook.remove();
      attachment.detach();
    },
  };
}

/**
 * Judges `copies` random copies twice. Memory that the kernel's check changes (its stack frames) plays no part in later
 * verdicts; nothing is printed, since the run ends where the guest begins to complain. A guest that faults has
 * no verdict: ours must not let that copy pass.
 * @throws UsercopyError `bad-input` when the kernel has no function for that, `guest` when it does not come back.
 */
export async function runDifferential(
  guest: Guest,
  world: Boundaries,
  random: SeededRandom,
  options: DifferentialOptions,
): Promise<DifferentialResult> {
  const { kernel, engine, variant } = guest;
  const checks = await openBothChecks(guest, options);
  try {
    const mismatches: Mismatch[] = [];
    let mismatchCount = 0;
    let refused = 0;
    let nearBoundary = 0;
    for (let done = 0; done < options.copies; done++) {
      const { copy, near } = randomCopy(random, world, kernel.bits);
      const { guest: line, ours, faulted, agree } = checks.ask(copy);
      if (near) nearBoundary++;
      if (line !== null && !faulted) refused++;
      if (!agree) {
        mismatchCount++;
        if (mismatches.length < 100) {
          mismatches.push({ copy, guest: line, ours, stackPointer: engine.readRegister(variant.registers.sp) });
        }
      }
      if (done % 4096 === 4095) {
        options.onProgress?.(done + 1);
        await nextTurn();
      }
    }
    return {
      variant: variant.name,
      kernel: kernel.version.release,
      profile: checks.profile,
      profileBy: checks.profileBy,
      typesBy: kernel.types?.note ?? null,
      seed: options.seed,
      copies: options.copies,
      refused,
      nearBoundary,
      mismatches,
      mismatchCount,
    };
  } finally {
    checks.close();
  }
}
