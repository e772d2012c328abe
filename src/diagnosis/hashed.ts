/** Which addresses in a kernel's lines are hashes. */
import { findVariant } from '../../arch/index.js';
import type { UsercopyMessage, UsercopyReport } from '../report/report.js';
import { versionOf } from './era.js';

/** The kernel that printed a line, as far as it is known. */
export interface Printer {
  readonly release: string | null;
  /** Name of its architecture's variant. */
  readonly variant: string | null;
}

export const printerOf = ({ kernelVersion, arch }: UsercopyReport): Printer => ({
  release: kernelVersion,
  variant: arch,
});

/** What is printed as it is, or nearly so: NULL, and up to ZERO_SIZE_PTR no hash is likely. */
const SMALLEST_HASH = 17n;
const HALF = 1n << 32n;

/**
 * ad67b74d2469 "printk: hash addresses printed with %p" (4.15) prints 32 bits of a hash in all digits of an address;
 * b394d468e7d7 "usercopy: Enhance and rename report_usercopy()" (4.16) prints none. So every address of 4.15 is one, whatever the word size.
 * Of another release, or none, zeros in the upper half tell it where no address of a kernel has them: trees that took the first back.
 */
export function isHashed(
  {
    address,
    addressDigits,
    format,
    refusal,
  }: Pick<UsercopyMessage, 'address' | 'addressDigits' | 'format' | 'refusal'>,
  { release, variant }: Printer,
): boolean {
  if (address === null || addressDigits === null || format !== 'old') return false;
  if (address < SMALLEST_HASH || address >= HALF) return false;
  const version = release === null ? null : versionOf(release);
  if (version?.major === 4 && version.minor === 15) return true;
  if (addressDigits !== 16 || findVariant(variant)?.hasLowAddresses) return false;
  // A wrapped address and one that no known rule names lie where they were asked for.
  return refusal !== 'wrapped address' && refusal !== 'null address' && refusal !== null;
}

/** Whether no kernel of a release hashes addresses, unless its tree took that from a later one. */
export function printsAddresses(release: string | null): boolean {
  const version = release === null ? null : versionOf(release);
  return version !== null && (version.major < 4 || (version.major === 4 && version.minor < 15));
}

/** Of a report, by what it tells of its kernel. */
export const hasHashedAddress = (report: UsercopyReport): boolean =>
  report.message !== null && isHashed(report.message, printerOf(report));
