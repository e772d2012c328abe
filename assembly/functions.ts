/** Which function holds an address of the kernel's code. */
import { Context } from './context';

/** Index of the first function that begins above the address. */
function above(c: Context, address: u64): u32 {
  const wanted = address - c.functionBase;
  if (address < c.functionBase || wanted > 0xffffffff) return 0;
  let low: u32 = 0;
  let high = c.functionCount;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (<u64>load<u32>(<usize>c.functions + <usize>middle * 4) > wanted) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** First byte of the function at an address; 0 where none is known, as of the last one, whose end nothing says. */
export function functionStart(c: Context, address: u64): u64 {
  const index = above(c, address);
  if (!index || index == c.functionCount) return 0;
  return c.functionBase + load<u32>(<usize>c.functions + <usize>(index - 1) * 4);
}

/** First byte after the function at an address whose start is known. */
export function functionEnd(c: Context, address: u64): u64 {
  return c.functionBase + load<u32>(<usize>c.functions + <usize>above(c, address) * 4);
}
