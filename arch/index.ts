/** Every architecture that the project knows. Adding one is adding a folder and a line here. */
import { arm } from './arm/index.js';
import { armOops } from './arm/oops.js';
import { arm64 } from './arm64/index.js';
import { arm64Oops } from './arm64/oops.js';
import type { ArchDriver, Variant } from './driver.js';
import { ia64 } from './ia64/index.js';
import { ia64Oops } from './ia64/oops.js';
import type { OopsConvention } from './oops.js';
import { otherOopses } from './other-oops.js';
import { powerpc } from './powerpc/index.js';
import { powerpcOops } from './powerpc/oops.js';
import { s390 } from './s390/index.js';
import { s390Oops } from './s390/oops.js';
import { sparcDriver } from './sparc/index.js';
import { sparcOops } from './sparc/oops.js';
import { x86 } from './x86/index.js';
import { x86Oops } from './x86/oops.js';

export const drivers: readonly ArchDriver[] = [x86, arm64, arm, s390, powerpc, sparcDriver, ia64];

export const variants: readonly Variant[] = drivers.flatMap((driver) => driver.variants);

/** How an oops looks on each, and on some that the project only recognises. */
export const oopsConventions: readonly OopsConvention[] = [
  x86Oops,
  arm64Oops,
  armOops,
  s390Oops,
  powerpcOops,
  sparcOops,
  ia64Oops,
  ...otherOopses,
];
