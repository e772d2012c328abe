import { UsercopyError } from '../../../src/errors.js';

/** @throws UsercopyError `unsupported`, always. */
export function refuse(what: string): never {
  throw new UsercopyError('unsupported', `${what}: a page has none`);
}
