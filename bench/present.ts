/**
 * What must be there: of a measurement, a table's row, a word of another program's output. The benchmark's own code; the product's says
 * in a comment why a value cannot be absent.
 * @throws TypeError where it is not, rather than a figure that is NaN.
 */
export function present<T>(value: T): NonNullable<T> {
  if (value === undefined || value === null) throw new TypeError('expected a value, found none');
  return value;
}
