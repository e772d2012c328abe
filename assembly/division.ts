/** Division of u64: by a power of two, or of what fits 32 bits, it is several times faster. */

@inline
function isPowerOfTwo(value: u64): bool {
  return !(value & (value - 1));
}

/** `divisor` is not 0. */
@inline
export function quotient(value: u64, divisor: u64): u64 {
  if (isPowerOfTwo(divisor)) return value >> ctz(divisor);
  return (value | divisor) >> 32 ? value / divisor : <u64>(<u32>value / <u32>divisor);
}

/** `divisor` is not 0. */
@inline
export function remainder(value: u64, divisor: u64): u64 {
  if (isPowerOfTwo(divisor)) return value & (divisor - 1);
  return (value | divisor) >> 32 ? value % divisor : <u64>(<u32>value % <u32>divisor);
}
