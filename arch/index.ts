/** Every architecture that the project knows. Adding one is adding a folder and a line here. */
import { arm } from './arm/index.js';
import { arm64 } from './arm64/index.js';
import type { ArchDriver, Variant } from './driver.js';
import { ia64 } from './ia64/index.js';
import { powerpc } from './powerpc/index.js';
import { s390 } from './s390/index.js';
import { sparcDriver } from './sparc/index.js';
import { x86 } from './x86/index.js';

export const drivers: readonly ArchDriver[] = [x86, arm64, arm, s390, powerpc, sparcDriver, ia64];

export const variants: readonly Variant[] = drivers.flatMap((driver) => driver.variants);
