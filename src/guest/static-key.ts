/** Static keys of a kernel that does not run: its jump labels are patched by hand. */
import { hex, UsercopyError } from '../errors.js';
import { jumpBranches, jumpEntryOf, LARGEST_JUMP_TABLE } from '../introspect/jump-entry.js';
import type { Guest } from './guest.js';

/**
 * Enables the static key at `key`: its counter, and every place in the code that asks it (`jump_label_update()`).
 * @throws UsercopyError `bad-input` when the kernel's jump table cannot be found, or nothing in it asks the key.
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
  if (stop - start > LARGEST_JUMP_TABLE) {
    throw new UsercopyError(
      'bad-input',
      `static keys: expected a jump table of sane size, found ${stop - start} bytes`,
    );
  }
  memory.writeUnsigned(key, 4, 1n);
  const table = memory.read(start, Number(stop - start));
  let asked = 0;
  for (const branch of jumpBranches(table, start, jumpEntryOf(kernel, staticBranch), kernel)) {
    if (branch.key !== key) continue;
    asked++;
    const { code, target, likely } = branch;
    const existing = memory.tryRead(code, 8);
    // Code of the initial sections may be gone.
    if (!existing) continue;
    memory.write(code, likely ? staticBranch.nop(existing) : staticBranch.jump(code, target, existing));
  }
  if (asked === 0)
    throw new UsercopyError('bad-input', `static keys: expected branches that ask the key at ${hex(key)}, found none`);
}
