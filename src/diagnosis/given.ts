/** What the user says of a report that its log lacks. */
import { driverOf, findVariant, variants } from '../../arch/index.js';
import { badInput } from '../errors.js';
import type { UsercopyReport } from '../report/report.js';
import { versionOf } from './era.js';

/**
 * The report with an architecture and a release that were given.
 * @throws UsercopyError `bad-input` for a variant that is none, a release that is none, and where the log says otherwise.
 */
export function withGiven(
  report: UsercopyReport,
  { variant, release }: { readonly variant?: string | undefined; readonly release?: string | undefined },
): UsercopyReport {
  return withRelease(withVariant(report, variant), release);
}

function withVariant(report: UsercopyReport, name: string | undefined): UsercopyReport {
  if (name === undefined) return report;
  const variant = findVariant(name);
  if (variant === null) {
    throw badInput('--variant', `one of ${variants.map((known) => known.name).join(', ')}`, `'${name}'`);
  }
  const { archAssumed } = report;
  // Of one architecture's variants the log may leave open which.
  const assumed = findVariant(report.arch);
  if (archAssumed !== null && assumed !== null && driverOf(assumed) === driverOf(variant)) {
    const notes = report.notes.filter((note) => note !== archAssumed);
    return { ...report, arch: name, bits: variant.bits, archFrom: 'given', archAssumed: null, notes };
  }
  if (report.arch !== null && report.arch !== name) {
    throw badInput('--variant', `${report.arch}, which the log shows by ${report.archFrom ?? 'its text'}`, `'${name}'`);
  }
  if (report.bits !== null && report.bits !== variant.bits) {
    throw badInput('--variant', `an architecture of ${report.bits} bits, as the log's addresses are`, `'${name}'`);
  }
  return { ...report, arch: name, bits: variant.bits, archFrom: 'given' };
}

function withRelease(report: UsercopyReport, release: string | undefined): UsercopyReport {
  if (release === undefined) return report;
  if (versionOf(release) === null) throw badInput('--release', 'a release, such as 6.1.0-50', `'${release}'`);
  if (report.kernelVersion !== null && report.kernelVersion !== release) {
    throw badInput('--release', `${report.kernelVersion}, which the log gives`, `'${release}'`);
  }
  return { ...report, kernelVersion: release };
}
