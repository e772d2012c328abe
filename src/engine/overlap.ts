/** What an emulator does not say of memory that it refuses to map: what is there already. */
import { hex, UsercopyError } from '../errors.js';
import type { Engine } from './engine.js';

/** Maps; a refusal names the memory that is in the way. @throws UsercopyError `engine` as the emulator's own. */
export function mapTold(
  regions: () => ReturnType<Engine['regions']>,
  address: bigint,
  size: bigint,
  map: () => void,
): void {
  try {
    map();
  } catch (error) {
    if (!(error instanceof UsercopyError) || error.kind !== 'engine') throw error;
    const there = regions().find(({ start, end }) => start < address + size && address < end);
    if (there === undefined) throw error;
    const { start, end } = there;
    throw new UsercopyError(
      'engine',
      `${error.message}: expected nothing there, found memory mapped at [${hex(start)}, ${hex(end)}): unmap it first, or map elsewhere`,
      { cause: error },
    );
  }
}
