/** Addresses that can be no object's: check_bogus_address(). */
import { Context, Request } from './context';
import { refuse } from './outcome';
import { Refusal } from './verdict';

/** ZERO_SIZE_PTR: what kmalloc(0) gives. */
const ZERO_SIZE_POINTER: u64 = 16;

/** 0, or the refusal. The end itself may be the end of memory from 951531691c4b on (5.3). */
@inline
export function checkBogus(c: Context, request: Request, pointer: u64, size: u64): i32 {
  const reach = c.wrapCountsEnd ? size : size - 1;
  if (((pointer + reach) & c.wordMask) < pointer) {
    return refuse(c, request, Refusal.WRAPPED_ADDRESS, 0, c.oldFormat ? size : pointer + size);
  }
  if (pointer <= ZERO_SIZE_POINTER) return refuse(c, request, Refusal.NULL_ADDRESS, pointer, size);
  return 0;
}
