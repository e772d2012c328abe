/**
 * How much stack the dumped kernel's own check uses, learnt by running its code in an emulator on a copy of the dump's
 * pages, which are brought in as they are touched. The dump is not changed.
 */
import type { Engine, MemoryFault } from '../engine/engine.js';
import { UsercopyError } from '../errors.js';
import type { StackDepth } from '../guest/stack-depth.js';
import { currentOffsetOf, entryPointOf } from '../stack/entry-point.js';
import type { CurrentTaskFound } from './current.js';
import type { Dump } from './open-dump.js';

const PAGE = 4096n;
/** More than the frames of the check together. */
const DEEPEST = 1024n;
/** Distance of the entry's stack pointer from the top of the stack. */
const FROM_TOP = 2048n;
/** Milliseconds. The first run of an emulator sets up its translator, for which 2 seconds were seen. */
const TIME_LIMIT = 10_000;
/** The check touches a dozen pages; a run that wants more has gone astray. */
const MAXIMUM_PAGES = 256;
/** usercopy_abort(name, detail, to_user, offset, len) */
const OFFSET_ARGUMENT = 3;

/**
 * Gives null when the kernel has no rule about the stack pointer: it accepts every byte of its stack then.
 * @throws UsercopyError `guest` when the check's code runs into something unexpected; `bad-input` without its symbols.
 */
export async function stackDepthOfDump(
  engine: Engine,
  dump: Dump,
  current: CurrentTaskFound,
): Promise<StackDepth | null> {
  const { kernel, variant } = dump;
  const check = kernel.symbols.address('__check_object_size');
  const abort = entryPointOf(kernel, variant, 'usercopy_abort');
  if (check === undefined || abort === undefined) {
    throw new UsercopyError(
      'bad-input',
      `kernel ${kernel.version.release}: expected symbols __check_object_size and usercopy_abort, found none`,
    );
  }
  const { registers, call } = variant;
  const word = BigInt(kernel.bits / 8);
  const top = current.stack + variant.threadSize(kernel) - FROM_TOP - BigInt(call.reservedBytes);
  const aligned = top - (top % BigInt(call.stackAlignment));
  const entry = call.pushesReturnAddress ? aligned - word : aligned;
  // Never executed: it lies on the stack, below everything that the check uses.
  const returnTo = current.stack;

  let printed: bigint | null = null;
  let fault: MemoryFault | null = null;
  let pages = 0;
  const hooks = [
    engine.hookMemoryFault((what) => {
      fault = what;
      return false;
    }),
    engine.hookAddress(abort, () => {
      printed = argument(engine, dump, OFFSET_ARGUMENT);
      engine.stop();
    }),
  ];
  /** What the check prints as offset for one byte at `pointer`; null when it does not object. */
  const offsetOf = async (pointer: bigint): Promise<bigint | null> => {
    const state: Record<string, bigint> = { [registers.fp]: 0n, [registers.sp]: entry };
    for (const [index, value] of [pointer, 1n, 1n].entries()) state[registers.arguments[index]!] = value;
    if (registers.link !== null) state[registers.link] = returnTo;
    for (;;) {
      printed = null;
      fault = null;
      engine.writeRegisters(state);
      if (call.pushesReturnAddress) engine.write(entry, encode(returnTo, kernel.bits / 8, kernel.endian === 'little'));
      const result = await engine.run({ start: check, until: returnTo, timeLimit: TIME_LIMIT });
      // Some emulated CPUs decode what stands at `until` before they stop, and fail there.
      if (result.reason === 'until' || result.pc === returnTo || printed !== null) return printed;
      // Brought in between two runs, the call is made anew: nothing depends on an access that is tried again.
      if (fault !== null && pages++ < MAXIMUM_PAGES && bringInAll(engine, dump, fault)) continue;
      const why = result.error?.text ?? result.reason;
      throw new UsercopyError(
        'guest',
        `__check_object_size in the dump: expected it to return or to refuse, but it ended at 0x${result.pc.toString(16)}: ${why}`,
      );
    }
  };
  try {
    variant.prepare(engine);
    enterTask(engine, dump, current);
    // What is needed in any case.
    const code = [check, check + PAGE, kernel.symbols.address('check_stack_object') ?? check, abort];
    for (const address of [entry - PAGE, entry, returnTo, ...code]) bringIn(engine, dump, address);
    const deepest = entry - DEEPEST;
    const offset = await offsetOf(deepest);
    if (offset === null) return null;
    const print = BigInt.asUintN(kernel.bits, entry - deepest - offset);
    // With frame checks no byte is judged by the stack pointer.
    if ((await offsetOf(entry)) !== null) return { check: print, print };
    let bad = deepest;
    let good = entry;
    while (good - bad > 1n) {
      const middle = (good + bad) / 2n;
      if ((await offsetOf(middle)) !== null) bad = middle;
      else good = middle;
    }
    return { check: entry - good, print };
  } finally {
    for (const hook of hooks) hook.remove();
  }
}

/** An argument of the function whose first instruction the emulator stands at; those that registers lack are on the stack. */
function argument(engine: Engine, { kernel, variant }: Dump, index: number): bigint {
  const { registers, call } = variant;
  const register = registers.arguments[index];
  if (register !== undefined) return engine.readRegister(register);
  const word = kernel.bits / 8;
  const slot = index - registers.arguments.length + (call.pushesReturnAddress ? 1 : 0);
  const first = engine.readRegister(registers.sp) + BigInt(call.reservedBytes);
  const bytes = engine.read(first + BigInt(slot * word), word);
  const view = new DataView(bytes.buffer, bytes.byteOffset, word);
  const little = kernel.endian === 'little';
  return word === 8 ? view.getBigUint64(0, little) : BigInt(view.getUint32(0, little));
}

function enterTask(engine: Engine, dump: Dump, task: CurrentTaskFound): void {
  const { current } = dump.variant;
  if (current.kind === 'register') engine.writeRegister(current.register, task.task);
  if (current.kind !== 'memory') return;
  const base = dump.variant.dump?.currentBase(dump.registers) ?? null;
  if (base === null) return;
  if (current.base !== null) engine.writeRegister(current.base, base);
  else {
    // The emulator adds no base: the CPU's own variables are put where their symbols point.
    const offset = currentOffsetOf(dump.kernel, current);
    if (offset !== undefined) mapPage(engine, dump, offset, base);
  }
}

/** Brings in what an access lacked: two pages when it crosses from one to the next. False when that changes nothing. */
function bringInAll(engine: Engine, dump: Dump, { address, size, protection }: MemoryFault): boolean {
  if (protection) return false;
  const first = bringIn(engine, dump, address);
  return bringIn(engine, dump, address + BigInt(Math.max(size, 1) - 1)) || first;
}

/** Maps a copy of the page at `address`; false when it is there already or the dump does not have it. */
function bringIn(engine: Engine, dump: Dump, address: bigint): boolean {
  return mapPage(engine, dump, address, 0n);
}

/** Maps a copy of what lies `distance` bytes above the page at `address`. */
function mapPage(engine: Engine, dump: Dump, address: bigint, distance: bigint): boolean {
  const { kernel, variant } = dump;
  const page = BigInt.asUintN(kernel.bits, address) & ~(PAGE - 1n);
  // A fault may tell the address without the bits that the CPU drops, which are those of every kernel address.
  const mask = variant.addressMask ?? -1n;
  const dropped = (kernel.symbols.address('__check_object_size') ?? 0n) & ~mask;
  const full = (page & mask) | dropped;
  if (engine.regions().some(({ start, end }) => full >= start && full < end)) return false;
  const bytes = kernel.read(BigInt.asUintN(kernel.bits, full + distance), Number(PAGE));
  if (!bytes) return false;
  for (const target of new Set([full, full & mask])) {
    engine.map(target, PAGE, 'rwx');
    engine.write(target, bytes);
  }
  return true;
}

function encode(value: bigint, size: number, little: boolean): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  if (size === 8) view.setBigUint64(0, value, little);
  else view.setUint32(0, Number(value), little);
  return bytes;
}
