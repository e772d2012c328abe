/** Which rules a reported kernel followed: by its release, and where the release leaves it open, by the message. */

import {
  isProfileName,
  type Profile,
  type ProfileName,
  parseProfile,
  profileNames,
  switchesOf,
} from '../check/profiles.js';
import { profileForRelease } from '../check/vendor-profiles.js';
import type { KernelVersion } from '../kernel/kernel.js';
import { atLeast, parseBanner } from '../kernel/version.js';
import type { UsercopyMessage } from '../report/report.js';

export interface Candidate {
  readonly profile: Profile;
  /** Why these rules, where they are not plainly those of the release. */
  readonly note: string | null;
}

/** `6.1.0-50-amd64` → its numbers; null for a release that is none. */
export function versionOf(release: string): KernelVersion | null {
  return parseBanner(`Linux version ${release} `);
}

/** What follows the numbers in a tree that takes nothing back from later kernels: candidates, builds, commits. */
const MAINLINE =
  /^\d+\.\d+(?:\.\d+)?(?:-rc\d+)?(?:-next-\d{8})?(?:-\d{5}-g[0-9a-f]{6,40})?(?:-g[0-9a-f]{6,40})?(?:-dirty)?\+?$/;

/** Whether a release is of a vendor's tree, which may have taken back the check of later kernels. */
export const isVendorTree = (release: string): boolean => !MAINLINE.test(release);

/** Switches that no release tells (a configuration, one commit taken back alone); the message itself shows that they were on. */
function configured(message: UsercopyMessage): string[] {
  return [...(message.noAddress ? ['no-address'] : []), ...configuredRules(message)];
}

function configuredRules(message: UsercopyMessage): string[] {
  switch (message.refusal) {
    case 'rodata':
    case 'spans multiple pages':
    case 'spans Reserved and non-Reserved pages':
    case 'spans CMA and non-CMA pages':
      return ['pagespan'];
    default:
      return message.format === 'whitelist warning' ? ['fallback'] : [];
  }
}

/**
 * Whether a tree with these rules can be configured so. Mainline's 5.18 cannot any more: ef3e787c21d1 "usercopy: Disable
 * CONFIG_HARDENED_USERCOPY_PAGESPAN" (5.18), 53944f171a89 "mm: remove HARDENED_USERCOPY_FALLBACK" (5.16). A vendor's earlier tree that took
 * the check of 5.18 can: RHEL 9.
 */
function canConfigure(base: ProfileName, change: string, version: KernelVersion | null): boolean {
  if (!switchesOf(base).includes(change)) return false;
  if (base !== '5.18') return true;
  return version !== null && !atLeast(version, 5, change === 'pagespan' ? 18 : 16);
}

/** With what the message says was configured, where a tree of these rules can be. */
function withConfiguration(profile: Profile, message: UsercopyMessage, version: KernelVersion | null): Profile {
  let result = profile;
  for (const change of configured(message)) {
    const [base, ...others] = result.name.split(',');
    const known = base !== undefined && isProfileName(base) && canConfigure(base, change, version);
    if (known && !others.includes(change)) result = parseProfile(`${result.name},${change}`);
  }
  return result;
}

/** A candidate of 5.3 may be from before the change of the wrap rule (951531691c4b, in 5.3-rc (mem)). */
function beforeWrapFix(release: string, profile: Profile): Profile | null {
  return /^5\.3\.0-rc/.test(release) ? parseProfile(`${profile.name},wrap-counts-end`) : null;
}

/** Commits after a version's tag, which may be of the next one: `5.18.0+`, `5.18.0-12345-g0123456789ab`, `-next-20220601`. */
const AFTER_TAG = /^\d+\.\d+(?:\.0)?(?:-rc\d+)?(?:\+|-\d{5}-g|-next-)/;

/** The next profile in a tree that is on the way to the next version. */
function afterTag(release: string, own: Profile): Candidate | null {
  const [base = ''] = own.name.split(',');
  const next = isProfileName(base) ? profileNames[profileNames.indexOf(base) + 1] : undefined;
  if (next === undefined || !AFTER_TAG.test(release)) return null;
  return { profile: parseProfile(next), note: `a build after its tag: it has the check of ${next}` };
}

/** Rules to try in turn. The first is the release's own; without a release all, the newest first. */
export function candidatesFor(release: string | null, message: UsercopyMessage): Candidate[] {
  const version = release === null ? null : versionOf(release);
  if (release === null || version === null) {
    // Every stack prints 0 before 5.18, and hardly any does later.
    const early = message.refusal === 'process stack' && message.offset === 0n;
    const note = early
      ? 'the report does not give the release: before 5.18 the offset of every stack is printed as 0'
      : 'the report does not give the release: the newest rules that print this message are used';
    return [...profileNames].reverse().map((name) => ({
      profile: withConfiguration(parseProfile(name), message, version),
      note,
    }));
  }
  const { profile: own } = profileForRelease(version);
  const candidates: Candidate[] = [{ profile: withConfiguration(own, message, version), note: null }];
  const early = beforeWrapFix(release, own);
  if (early !== null)
    candidates.push({ profile: early, note: 'this release candidate of 5.3 still has the older wrap rule' });
  const next = afterTag(release, own);
  if (next !== null) candidates.push({ ...next, profile: withConfiguration(next.profile, message, version) });
  if (!atLeast(version, 4, 8)) {
    for (const name of ['v3', 'v3-cma'] as const) {
      candidates.push({
        profile: parseProfile(name),
        note: 'the rules of the 2016 series, which trees before 4.8 took',
      });
    }
  }
  if (!isVendorTree(release)) return candidates;
  const [base = ''] = own.name.split(',');
  for (const name of profileNames.slice(isProfileName(base) ? profileNames.indexOf(base) + 1 : 0)) {
    candidates.push({
      profile: withConfiguration(parseProfile(name), message, version),
      note: `this is no rule of ${version.major}.${version.minor}: the vendor's tree must have taken the check of ${name} back`,
    });
  }
  return candidates;
}

/** What a release rules out whatever its rules are: things that are no longer there. Null when nothing. */
export function ruledOut(release: string | null, message: UsercopyMessage): string | null {
  const version = release === null ? null : versionOf(release);
  if (version === null) return null;
  if (message.regionKind.startsWith('SLAB') && atLeast(version, 6, 8)) return 'SLAB is gone since 6.8';
  if (message.format === 'whitelist warning' && atLeast(version, 5, 16)) {
    return 'the warning that lets a copy pass (HARDENED_USERCOPY_FALLBACK) is gone since 5.16';
  }
  if (message.format === 'old' && atLeast(version, 4, 16)) return 'the wording without an offset is gone since 4.16';
  return null;
}
