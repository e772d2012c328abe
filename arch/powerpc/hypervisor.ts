/**
 * Real mode without a hypervisor above. Unicorn 2.0.1 starts powerpc without MSR.HV, and then real mode reaches a few
 * megabytes only. A write of MSR keeps HV as it is; so it is set in the opaque bytes of a saved context.
 */
import type { Engine } from '../../src/engine/engine.js';
import { UsercopyError } from '../../src/errors.js';
import { LITTLE, Words } from '../../src/kernel/words.js';

const WORD = 8;

/** MSR bits by their place from the low end. */
export const MSR = { LE: 1n, ME: 1n << 12n, HV: 1n << 60n, SF: 1n << 63n } as const;

/** What a snapshot says of MSR, HV included: a write of the register alone would leave that out. */
export function completeMsr(engine: Engine, registers: ReadonlyMap<string, bigint>): void {
  const value = registers.get('msr') ?? 0n;
  if ((value & MSR.HV) !== 0n) enterRealMode(engine, value);
}

/**
 * Sets MSR.HV and then MSR to `value`. The register's place in the saved state is where two states differ that differ
 * in MSR alone, by the very values that were written.
 * @throws UsercopyError `engine` when no word of the state follows the register: another emulator, or another version of it.
 */
export function enterRealMode(engine: Engine, value: bigint): void {
  const first = MSR.SF;
  const second = MSR.SF | MSR.ME;
  engine.writeRegister('msr', first);
  const before = engine.saveContext();
  engine.writeRegister('msr', second);
  const after = engine.saveContext();
  try {
    const old = new Words(before.bytes, LITTLE);
    const now = new Words(after.bytes, LITTLE);
    let patched = 0;
    for (let at = 0; at + WORD <= now.length; at += WORD) {
      if (old.uint64(at) !== first || now.uint64(at) !== second) continue;
      now.setUint64(at, second | MSR.HV);
      patched++;
    }
    if (patched === 0) {
      const version = `${engine.name} ${engine.version}`;
      throw new UsercopyError('engine', `powerpc: expected MSR in the saved state of ${version}, found it nowhere`);
    }
    engine.restoreContext(after);
  } finally {
    before.free();
    after.free();
  }
  engine.writeRegister('msr', value);
}
