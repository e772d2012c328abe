/**
 * Kernels whose check is not that of their version: vendors take the check of later kernels back. Each was read in a public tree
 * (mm/usercopy.c there); whether a kernel, a dump or a report has shown the same is said.
 */
import type { KernelConfig, KernelVersion } from '../kernel/kernel.js';
import { type Profile, parseProfile, profileForVersion } from './profiles.js';

export interface VendorTree {
  readonly name: string;
  /** A profile with its switches; null: nothing was taken back, the version tells. */
  readonly profile: string | null;
  /** Where it was read. */
  readonly source: string;
  /** What has shown it beside the source; null: from source only. */
  readonly shownBy: string | null;
  /** What of it no profile has. */
  readonly note: string | null;
  /** Whether a release is of it; null: its releases are not told by their names. */
  readonly includes: ((release: string) => boolean) | null;
}

/** A build of a distribution: `4.18.0-394.el8` is build 394 of 4.18.0 for el8. */
const builds =
  (series: string, suffix: string, first: number, end = Number.POSITIVE_INFINITY) =>
  (release: string): boolean => {
    const [, version, build, rest = ''] = /^(\d+\.\d+\.\d+)-(\d+)(.*)$/.exec(release) ?? [];
    return version === series && rest.includes(suffix) && Number(build) >= first && Number(build) < end;
  };

/** Of RHEL 9: 299 and 421 were seen with the later file; where between it and the earlier one it came is not known. */
const LATER_EL9 = 299;

export const vendorTrees: readonly VendorTree[] = [
  {
    name: 'RHEL 7',
    profile: '4.8,skip-vmalloc',
    source: 'OpenVZ/vzkernel at 02cfdf0af1b0',
    shownBy: 'reports of el7 kernels (wording and order)',
    note: 'hardened_usercopy=off is bypass_usercopy_checks, as from 4.18 on',
    includes: builds('3.10.0', '.el7', 0),
  },
  {
    name: 'RHEL 8',
    profile: '4.16,wrap-last-byte,highmem',
    source:
      'Seneca-CDOT/dynaccel-kernel-4.18.0 at b46dec7a12c6 (4.18.0-394.el8), ctrliq/kernel-src-tree at caa9ad21ef99',
    shownBy: null,
    note: null,
    includes: builds('4.18.0', '.el8', 0),
  },
  {
    name: 'RHEL 9, earlier builds',
    profile: '5.18',
    source: 'ctrliq/kernel-src-tree at 79187aae9350 (which build, the tree does not tell)',
    shownBy: null,
    note: 'PAGESPAN and the whitelist fallback can still be configured',
    includes: builds('5.14.0', '.el9', 0, LATER_EL9),
  },
  {
    name: 'RHEL 9, later builds',
    profile: '6.1',
    source: 'no tree of it was found',
    shownBy: 'reports of 5.14.0-299 and 5.14.0-421',
    note: 'whether disabled page faults are asked about is not known',
    includes: builds('5.14.0', '.el9', LATER_EL9),
  },
  {
    name: 'Android 5.4 (Qualcomm)',
    profile: null,
    source: 'Unspoiled7968/android_kernel_xiaomi_sm8350-miui at 5366b69663c0',
    shownBy: null,
    note: 'PAGESPAN lets copies of the stack pass, which here never reach it',
    includes: null,
  },
  {
    name: 'Android 4.14 (Qualcomm)',
    profile: null,
    source: 'dhiimr/kernel_joyeuse_nethunter at 0daaea300c5d (a file with an open merge)',
    shownBy: null,
    note: "one side of the merge prints no address: 'attempt detected from '<type>' (n bytes)', which no profile has",
    includes: null,
  },
  {
    name: 'Android 6.1 (GKI)',
    profile: null,
    source: 'Natsume324/MagicPad2_OS9.0_Kernel at 7a5e561fc1af',
    shownBy: null,
    note: null,
    includes: null,
  },
  {
    name: 'Android 6.6 (GKI)',
    profile: null,
    source: 'HK416AAA/Android_Kernel_HONOR_Sun at 4a11f09925d6',
    shownBy: null,
    note: null,
    includes: null,
  },
  {
    name: 'ChromeOS 3.18 (Pixel C)',
    profile: 'v3-cma,skip-vmalloc,linear-text',
    source: 'aunali1/kernel_tegra_dragon at 210553a40a82',
    shownBy: null,
    note: null,
    includes: null,
  },
];

/** Trees that take checks back and that nobody has read here. */
export const unreadTrees: readonly string[] = [
  'Ubuntu 5.4, 5.15 and 6.8',
  'Amazon Linux',
  'Android 4.19, 5.10 and 5.15',
  'ChromeOS from 4.4 on',
  'RHEL 10',
  'SUSE and Oracle',
];

/** The vendor's tree that a release is of; null when it is none whose check is known to differ. */
export const vendorTreeOf = ({ release }: KernelVersion): (VendorTree & { readonly profile: string }) | null =>
  vendorTrees.find(
    (tree): tree is VendorTree & { profile: string } => tree.profile !== null && tree.includes?.(release) === true,
  ) ?? null;

/** The rules by a release alone: those of the vendor's tree where it is known (`tree`), else of the version and configuration. */
export function profileForRelease(
  version: KernelVersion,
  config: KernelConfig | null = null,
): { readonly profile: Profile; readonly tree: VendorTree | null } {
  const tree = vendorTreeOf(version);
  return tree === null
    ? { profile: profileForVersion(version, config), tree }
    : { profile: parseProfile(tree.profile), tree };
}
