/** How an oops looks on every architecture, without their drivers: a reader of logs needs no more, and runs anywhere. */
import { armOops } from './arm/oops.js';
import { arm64Oops } from './arm64/oops.js';
import { ia64Oops } from './ia64/oops.js';
import { mipsOops } from './mips/oops.js';
import type { OopsConvention } from './oops.js';
import { otherOopses } from './other-oops.js';
import { powerpcOops } from './powerpc/oops.js';
import { riscvOops } from './riscv/oops.js';
import { s390Oops } from './s390/oops.js';
import { sparcOops } from './sparc/oops.js';
import { x86Oops } from './x86/oops.js';

/** How an oops looks on each, and on some that the project only recognises. */
export const oopsConventions: readonly OopsConvention[] = [
  x86Oops,
  arm64Oops,
  armOops,
  s390Oops,
  powerpcOops,
  sparcOops,
  riscvOops,
  ia64Oops,
  mipsOops,
  ...otherOopses,
];
