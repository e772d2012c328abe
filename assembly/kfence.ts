/** Objects of the KFENCE pool: one to a page, with a guard page before each (mm/kfence, 5.12 on). */
import { Context, Kind } from './context';
import { readSlot, readWord } from './memory';

/** is_kfence_address() */
export function isKfenceAddress(c: Context, address: u64): bool {
  if (!c.kfence || !c.kfencePool) return false;
  const pool = readWord(c, Kind.VARIABLE, c.kfencePool);
  return pool != 0 && ((address - pool) & c.wordMask) < c.kfencePoolSize;
}

/** kfence_object_start() of an address in the pool; 0 where its page holds no object. */
export function kfenceObjectStart(c: Context, address: u64): u64 {
  const pool = readWord(c, Kind.VARIABLE, c.kfencePool);
  const pair = ((address - pool) & c.wordMask) / (c.pageSize * 2);
  if (!pair || pair >= c.kfencePoolSize / (c.pageSize * 2)) return 0;
  const metadata = c.kfenceIndirect ? readWord(c, Kind.VARIABLE, c.kfenceMetadata) : c.kfenceMetadata;
  return readSlot(c, Kind.VARIABLE, metadata + (pair - 1) * c.kfenceMetadataSize, c.kfenceObjectAddress);
}
