/** Members and enumerators of a kernel's types, as the check wants them. */
import type { Slot } from '../check/parameters.js';
import { badInput, UsercopyError } from '../errors.js';
import type { Kernel, StructType, TypeTable } from '../kernel/kernel.js';

export function slot(struct: StructType, path: string): Slot {
  const field = struct.field(path);
  if (!field) throw new UsercopyError('bad-input', `struct ${struct.name}: expected a member ${path}, found none`);
  return { offset: field.offset, size: field.size };
}

export const slotIfAny = (struct: StructType, path: string): Slot | null =>
  struct.has(path) ? slot(struct, path) : null;

export const shifted = (base: Slot, by: number): Slot => ({ offset: base.offset + by, size: base.size });

export const flagOf = (types: TypeTable, name: string): bigint | undefined => {
  const bit = types.enumerator(name);
  return bit === undefined || bit >= 64n ? undefined : 1n << bit;
};

export function requireFlag(types: TypeTable, name: string): bigint {
  const mask = flagOf(types, name);
  if (mask === undefined)
    throw new UsercopyError('bad-input', `kernel types: expected an enumerator ${name}, found none`);
  return mask;
}

/**
 * Address of a variable that the check reads.
 * @throws UsercopyError `bad-input` that says what was looked for, and in what.
 */
export function requireSymbol({ symbols, version }: Kernel, name: string): bigint {
  const address = symbols.address(name);
  if (address !== undefined) return address;
  const where = `kernel ${version.release}`;
  if (symbols.count === 0)
    throw badInput(where, `a symbol table (kallsyms or .symtab) with ${name}`, 'no table that can be read');
  const functionsOnly =
    symbols.address('init_task') === undefined ? ', which have functions only (no KALLSYMS_ALL)' : '';
  throw badInput(where, `a symbol ${name}`, `none among the ${symbols.count} of its ${symbols.source}${functionsOnly}`);
}
