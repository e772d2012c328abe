/** Static keys of a kernel that does not run: its jump labels are patched by hand. */
import { UsercopyError } from '../errors.js';
import { jumpEntryOf } from '../introspect/jump-entry.js';
import type { Guest } from './guest.js';

const BRANCH_TAKEN_BY_DEFAULT = 1n;
const KEY_FLAGS = 3n;
/** As many jump entries as no kernel has. */
const MOST_ENTRIES = 1_000_000n;

/**
 * Enables the static key at `key`: its counter, and every place in the code that asks it (`jump_label_update()`).
 * @throws UsercopyError `bad-input` when the kernel's jump table cannot be found.
 */
export function enableStaticKey(guest: Guest, key: bigint): void {
  const { kernel, memory } = guest;
  const { staticBranch } = guest.variant;
  // Without JUMP_LABEL code reads the counter each time.
  if (kernel.config !== null && !kernel.config.enabled('JUMP_LABEL')) {
    memory.writeUnsigned(key, 4, 1n);
    return;
  }
  const start = kernel.symbols.address('__start___jump_table');
  const stop = kernel.symbols.address('__stop___jump_table');
  if (start === undefined || stop === undefined || stop < start) {
    throw new UsercopyError(
      'bad-input',
      'static keys: expected symbols __start___jump_table and __stop___jump_table, found none',
    );
  }
  memory.writeUnsigned(key, 4, 1n);
  const { relative, addressBytes, ...entry } = jumpEntryOf(kernel, staticBranch);
  const size = BigInt(entry.size);
  if ((stop - start) / size > MOST_ENTRIES) {
    throw new UsercopyError(
      'bad-input',
      `static keys: expected a jump table of sane size, found ${stop - start} bytes`,
    );
  }
  const addressAt = (at: bigint, bytes: number): bigint => {
    const value = memory.readUnsigned(at, bytes);
    return relative ? BigInt.asUintN(kernel.bits, at + BigInt.asIntN(8 * bytes, value)) : value;
  };
  for (let at = start; at + size <= stop; at += size) {
    const keyAt = at + BigInt(entry.keyAt);
    // A distance counts from the key's word, whose two low bits are flags.
    const flags = memory.readUnsigned(keyAt, entry.keyBytes) & KEY_FLAGS;
    if (BigInt.asUintN(kernel.bits, addressAt(keyAt, entry.keyBytes) - flags) !== key) continue;
    const code = addressAt(at, addressBytes);
    const target = addressAt(at + BigInt(addressBytes), addressBytes);
    const existing = memory.tryRead(code, 8);
    // Code of the initial sections may be gone.
    if (!existing) continue;
    const takes = (flags & BRANCH_TAKEN_BY_DEFAULT) === 0n;
    memory.write(code, takes ? staticBranch.jump(code, target, existing) : staticBranch.nop(existing));
  }
}
