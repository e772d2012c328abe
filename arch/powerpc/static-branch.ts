/** Patching of static branches, as arch/powerpc/kernel/jump_label.c does it. */
import type { Endian } from '../../src/kernel/kernel.js';
import { atLeast } from '../../src/kernel/version.js';
import { instructions } from '../common.js';
import type { StaticBranch } from '../driver.js';

/** `b` or `nop`. */
export const staticBranchOf = (endian: Endian): StaticBranch => ({
  // b0b3b2c78ec0 (5.13)
  relativeEntries: ({ version }) => atLeast(version, 5, 13),
  jump: (code, target) => instructions(endian, 0x4800_0000 | Number(BigInt.asUintN(26, target - code))),
  nop: () => instructions(endian, 0x6000_0000),
});
