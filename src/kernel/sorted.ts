/** Things in order. */

/** How many items at the start satisfy `isBefore`: all of those that do come before all that do not. */
export function countBefore<T>(items: ArrayLike<T>, isBefore: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    // Between low and high, so that there is one.
    if (isBefore(items[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}
