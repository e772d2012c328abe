/** The values of a scenario. */
import { hex } from '../errors.js';

/** As a file would have it: bigints become hexadecimal strings, since no reader of YAML or JSON then loses digits. */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return hex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== undefined)
      .map(([name, part]) => [name, plain(part)]),
  );
}
