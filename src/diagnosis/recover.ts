/** The copy that a report is about: printed, found in its registers, or known only as far as the message bounds it. */

import type { Direction } from '../check/verdict.js';
import type { UsercopyMessage, UsercopyReport } from '../report/report.js';
import { cacheFacts } from './cache-name.js';
import { hasHashedAddress } from './hashed.js';
import { isPageMultiple, type Machine, objectOffset } from './machine.js';
import type { CopySource, ReproducedCopy } from './outcome.js';

/** Registers below are counters, flags and sizes, not pointers. */
const LOWEST_POINTER = 1n << 16n;
/** Bytes between the stack pointer in the oops and the one that the check printed by: usercopy_abort()'s frame and more. */
const LARGEST_ABORT_FRAMES = 1024n;

const TO_USER =
  /^(?:_*copy_to_user\w*|put_cmsg|simple_copy_to_iter|_*copy_to_iter|copyout\w*|put_user\w*|skb_copy_datagram_iter|memcpy_toiovec\w*|copy_page_to_iter\w*|simple_read_from_buffer)$/;
const FROM_USER =
  /^(?:_*copy_from_user\w*|strncpy_from_user|_*copy_from_iter\w*|copyin\w*|memdup_user\w*|getname_flags|memcpy_fromiovec\w*|skb_copy_datagram_from_iter|copy_uabi_\w*to_xstate|copy_sigframe_from_user_to_xstate|simple_write_to_buffer|persistent_ram_update_user)$/;

function directionOfTrace(report: UsercopyReport): Direction | null {
  for (const { symbol, reliable } of report.trace) {
    if (!reliable) continue;
    if (TO_USER.test(symbol)) return 'to_user';
    if (FROM_USER.test(symbol)) return 'from_user';
  }
  return null;
}

/** Registers are of the message's own crash unless the log mixes two. */
const registersBelong = (report: UsercopyReport): boolean => !report.mixed;

export function recoverCopy(report: UsercopyReport, machine: Machine): ReproducedCopy {
  const { message, registerText } = report;
  const direction = message?.direction ?? registerText?.direction ?? directionOfTrace(report);
  const directionFrom: CopySource | null =
    direction === null ? null : message !== null ? 'printed' : registerText?.direction ? 'registers' : 'trace';
  const wrapped = message?.refusal === 'wrapped address' && message.format === 'new';
  const printedSize = message === null || wrapped ? null : message.size;
  const pointer = printedPointer(report);
  if (pointer !== null) {
    return {
      pointer,
      size: printedSize,
      direction,
      pointerFrom: 'printed',
      sizeFrom: printedSize === null ? null : 'printed',
      directionFrom,
    };
  }
  const found = registersBelong(report) ? fromRegisters(report, machine, printedSize) : null;
  const size = printedSize ?? found?.size ?? null;
  return {
    pointer: found?.pointer ?? null,
    size,
    direction,
    pointerFrom: found === null ? null : 'registers',
    sizeFrom: printedSize !== null ? 'printed' : size === null ? null : 'registers',
    directionFrom,
  };
}

function printedPointer(report: UsercopyReport): bigint | null {
  const { message } = report;
  if (message === null) return null;
  if (message.refusal === 'null address' && message.offset !== null) return message.offset;
  return hasHashedAddress(report) ? null : message.address;
}

interface Found {
  readonly pointer: bigint;
  readonly size: bigint;
}

/**
 * A pointer in a register is believed when more than its being there speaks for it: its end is in another, its alignment
 * fits the printed offset, or the kernel itself said of which object it is.
 */
function fromRegisters(report: UsercopyReport, machine: Machine, size: bigint | null): Found | null {
  const { message } = report;
  const values = [...new Set(report.registers.values())];
  const wrap = (value: bigint): bigint => BigInt.asUintN(machine.bits, value);
  /** ERR_PTR(): the last 4095 addresses are error numbers. */
  const isError = (value: bigint): boolean => wrap(-value) <= 4095n;
  if (message !== null && message.refusal === 'wrapped address' && message.size !== null) {
    const { size: printed } = message;
    return only(
      values
        .filter((pointer) => pointer >> BigInt(machine.bits - 1) === 1n && pointer > printed && !isError(pointer))
        .map((pointer) => ({ pointer, size: wrap(printed - pointer) }))
        .filter((pair) => values.includes(pair.size) && pair.size !== 0n),
    );
  }
  const pointers = values.filter(
    (value) => value >= LOWEST_POINTER && value !== message?.offset && value !== size && !isError(value),
  );
  if (size !== null && message !== null) {
    const told = report.registerObjects.find(
      (object) => object.cache === message.cache && BigInt(object.offset) === message.offset,
    );
    if (told !== undefined) return { pointer: told.start + BigInt(told.offset), size };
    const fits = pointers.filter((pointer) => fitsMessage(pointer, message, report, machine) !== false);
    const ended = fits.filter((pointer) => values.includes(wrap(pointer + size)));
    const byEnd = only(ended.map((pointer) => ({ pointer, size })));
    if (byEnd !== null) return byEnd;
    // Without its end, what fits could be the end itself.
    const sure = fits.filter(
      (pointer) =>
        fitsMessage(pointer, message, report, machine) === true &&
        fitsMessage(wrap(pointer - size), message, report, machine) !== true,
    );
    return only(sure.map((pointer) => ({ pointer, size })));
  }
  // Without a message: a pointer, a size and their sum, all three in registers.
  const LARGEST_PLAUSIBLE = 1n << 32n;
  return only(
    pointers.flatMap((pointer) =>
      values
        .filter(
          (bytes) =>
            bytes > 1n && bytes < LARGEST_PLAUSIBLE && bytes < pointer && values.includes(wrap(pointer + bytes)),
        )
        .map((bytes) => ({ pointer, size: bytes })),
    ),
  );
}

function only(found: readonly Found[]): Found | null {
  const [first] = found;
  return first !== undefined && found.every(({ pointer, size }) => pointer === first.pointer && size === first.size)
    ? first
    : null;
}

/** false: cannot be the pointer; true: its alignment speaks for it; null: nothing speaks against it. */
function fitsMessage(
  pointer: bigint,
  message: UsercopyMessage,
  report: UsercopyReport,
  machine: Machine,
): boolean | null {
  const offset = message.offset ?? 0n;
  const wrap = (value: bigint): bigint => BigInt.asUintN(machine.bits, value);
  /** An offset of whole pages fits too much to be evidence. */
  const byPage = (): boolean | null => {
    if (!isPageMultiple(wrap(pointer - offset), machine)) return false;
    return isPageMultiple(offset, machine) ? null : true;
  };
  switch (message.refusal) {
    case 'kernel text':
    case 'linear kernel text':
    case 'vmalloc':
    case 'page alloc':
      return byPage();
    case 'kmap':
      return machine.pageSizes.some((page) => pointer % page === offset) ? (offset === 0n ? null : true) : false;
    case 'process stack': {
      const sp = report.stackPointer;
      if (sp === null || offset === 0n) return null;
      const distance = BigInt.asIntN(machine.bits, wrap(pointer + offset - sp));
      return distance >= 0n && distance <= LARGEST_ABORT_FRAMES;
    }
    case 'slab object': {
      const { objectSize } = cacheFacts(message.cache ?? '');
      if (message.format === 'old' || objectSize === null || (objectSize & (objectSize - 1n)) !== 0n) return null;
      if (objectOffset(message, machine) < 0n) return null;
      return pointer % objectSize === offset ? null : false;
    }
    default:
      return null;
  }
}
