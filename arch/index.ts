/**
 * `unicorn-usercopy/arch`: every architecture that the project knows, and what one is. Adding one is adding a folder and a
 * line here.
 */
import { UsercopyError } from '../src/errors.js';
import { arm } from './arm/index.js';
import { arm64 } from './arm64/index.js';
import type { ArchDriver, Variant } from './driver.js';
import { ia64 } from './ia64/index.js';
import { mips } from './mips/index.js';
import { powerpc } from './powerpc/index.js';
import { riscv } from './riscv/index.js';
import { s390 } from './s390/index.js';
import { sparcDriver } from './sparc/index.js';
import { x86 } from './x86/index.js';

export type { Words } from '../src/kernel/words.js';
export type { CycleTraits, Operand, RegisterAccess } from './cycles.js';
export type {
  ArchDriver,
  Argument,
  BootTools,
  BootVariable,
  BugSignature,
  CallingConvention,
  CurrentTask,
  DirectBranch,
  FrameConvention,
  FrameLayout,
  ImageTools,
  KernelBuild,
  LinearMap,
  MachineState,
  MemoryLayout,
  PageValidity,
  RegisterRoles,
  SectionBits,
  StaticBranch,
  UaccessEntry,
  UnpackedImage,
  Variant,
} from './driver.js';
export type {
  DumpConvention,
  ImagePlacement,
  KernelNotes,
  PageTableShape,
  PageTables,
  PrstatusLayout,
  ReadPhysical,
  RegisterNote,
  RegisterPattern,
  RegisterValues,
  Translate,
  Translation,
} from './dump.js';

/** One for each of Linux's architectures. */
export const drivers: readonly ArchDriver[] = [x86, arm64, arm, s390, powerpc, sparcDriver, riscv, mips, ia64];

/** Those of all drivers: one for each width and byte order that kernels are built for. */
export const variants: readonly Variant[] = drivers.flatMap((driver) => driver.variants);

/** The variant of this name; null when there is none. */
export const findVariant = (name: string | null): Variant | null =>
  variants.find((variant) => variant.name === name) ?? null;

/** @throws UsercopyError `unsupported` for a name that is none. */
export function variantOf(name: string): Variant {
  const variant = findVariant(name);
  if (variant) return variant;
  const known = variants.map((one) => one.name).join(', ');
  throw new UsercopyError('unsupported', `architecture: expected one of ${known}, found ${name}`);
}

/** The driver that a variant belongs to; null for one of the user's own. */
export const driverOf = (variant: Variant): ArchDriver | null =>
  drivers.find((driver) => driver.variants.includes(variant)) ?? null;
