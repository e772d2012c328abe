/** Static keys of a kernel that does not run: its jump labels are patched by hand. */
import { UsercopyError } from '../errors.js';
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
  const start = kernel.symbols.address('__start___jump_table');
  const stop = kernel.symbols.address('__stop___jump_table');
  if (start === undefined || stop === undefined || stop < start) {
    throw new UsercopyError(
      'bad-input',
      'static keys: expected symbols __start___jump_table and __stop___jump_table, found none',
    );
  }
  memory.writeUnsigned(key, 4, 1n);
  const word = BigInt(kernel.bits / 8);
  const relative = staticBranch.relativeEntries(kernel);
  const size = relative ? 8n + word : 3n * word;
  if ((stop - start) / size > MOST_ENTRIES) {
    throw new UsercopyError(
      'bad-input',
      `static keys: expected a jump table of sane size, found ${stop - start} bytes`,
    );
  }
  const signed = (address: bigint, bytes: number): bigint =>
    address + BigInt.asIntN(bytes * 8, memory.readUnsigned(address, bytes));
  for (let entry = start; entry + size <= stop; entry += size) {
    const keyAt = entry + (relative ? 8n : 2n * word);
    const flags = memory.readWord(keyAt) & KEY_FLAGS;
    const found = relative
      ? BigInt.asUintN(kernel.bits, keyAt + (memory.readWord(keyAt) & ~KEY_FLAGS))
      : memory.readWord(keyAt) & ~KEY_FLAGS;
    if (found !== key) continue;
    const code = BigInt.asUintN(kernel.bits, relative ? signed(entry, 4) : memory.readWord(entry));
    const target = BigInt.asUintN(kernel.bits, relative ? signed(entry + 4n, 4) : memory.readWord(entry + word));
    const existing = memory.tryRead(code, 8);
    // Code of the initial sections may be gone.
    if (!existing) continue;
    const takes = (flags & BRANCH_TAKEN_BY_DEFAULT) === 0n;
    memory.write(code, takes ? staticBranch.jump(code, target, existing) : staticBranch.nop(existing));
  }
}
