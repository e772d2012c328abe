import { badInput } from '../errors.js';
import type { Kernel, TypeTable } from './kernel.js';

/**
 * The types of a kernel, for something that cannot do without.
 * @param what names it in the error
 * @throws UsercopyError `bad-input` when they are not known: what to do about it.
 */
export function requireTypes({ types, typesAbsence, version: { release } }: Kernel, what: string): TypeTable {
  if (types !== null) return types;
  const why = typesAbsence === undefined ? '' : ` (${typesAbsence})`;
  throw badInput(
    what,
    'a kernel whose types are known (BTF in the image, --btf FILE, or a table of its release)',
    `none for release ${release || 'unknown'}${why}; 'usercopy kernel types ${release || '<release>'}' makes them of Debian's debug symbols`,
  );
}
