/**
 * Kernels whose check is not that of their version: vendors take the check of later kernels back. Each was read in a public tree
 * (mm/usercopy.c there); whether a kernel, a dump or a report has shown the same is said.
 */
import type { KernelConfig, KernelVersion } from '../kernel/kernel.js';
import { configuredProfile, type Profile, parseProfile, profileForVersion } from './profiles.js';

export interface VendorTree {
  readonly name: string;
  /** A profile with its switches; null: the version tells, since nothing was taken back or nobody read it. */
  readonly profile: string | null;
  /** Where it was read; null: it was not. */
  readonly source: string | null;
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

/**
 * The earliest builds that were read or that a report shows. What came when before them is not known: 951531691c4b and
 * 314eed30ede0, which RHEL 8 has, are of 2019, as its first build is.
 */
const READ_EL7 = 1127;
const READ_EL8 = 394;
/** Of RHEL 9: 299 and 421 were seen with the later file; where between it and the earlier one it came is not known. */
const LATER_EL9 = 299;

export const vendorTrees: readonly VendorTree[] = [
  {
    name: 'RHEL 7',
    profile: '4.8,skip-vmalloc',
    source: 'OpenVZ/vzkernel at 02cfdf0af1b0 (1160.76.1)',
    shownBy: 'reports of el7 kernels (wording and order; one of 7.8 has its BUG() in the same line)',
    note: 'hardened_usercopy=off is bypass_usercopy_checks, as from 4.18 on',
    includes: builds('3.10.0', '.el7', READ_EL7),
  },
  {
    name: 'RHEL 7, earlier builds',
    profile: null,
    source: null,
    shownBy: null,
    note: `none before build ${READ_EL7} was read; the first have no check`,
    includes: builds('3.10.0', '.el7', 0, READ_EL7),
  },
  {
    name: 'RHEL 8',
    profile: '4.16,wrap-last-byte,highmem',
    source:
      'Seneca-CDOT/dynaccel-kernel-4.18.0 at b46dec7a12c6 (4.18.0-394.el8), ctrliq/kernel-src-tree at caa9ad21ef99',
    shownBy: null,
    note: null,
    includes: builds('4.18.0', '.el8', READ_EL8),
  },
  {
    name: 'RHEL 8, earlier builds',
    profile: null,
    source: null,
    shownBy: null,
    note: `none before build ${READ_EL8} was read`,
    includes: builds('4.18.0', '.el8', 0, READ_EL8),
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
    source: null,
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
    name: 'Android 3.18 (Samsung Exynos 8890)',
    profile: '4.8,skip-vmalloc',
    source: '8890q/android_kernel_samsung_universal8890 at 28c8606a58ea',
    shownBy: null,
    note: "with PAGESPAN Samsung's own kind of pages (rbin) counts as CMA",
    includes: null,
  },
  {
    name: 'Android 4.14 (Qualcomm)',
    profile: '4.8,unless-virt-addr-valid,wrap-last-byte,highmem,no-address',
    source:
      'feiplane/vayu at ddccebe300df, dhiimr/kernel_joyeuse_nethunter at 0daaea300c5d (a file with an open merge)',
    shownBy: null,
    note: 'PAGESPAN lets copies of the stack pass, which here never reach it',
    includes: null,
  },
  {
    name: 'Android 4.14 (Honor, MediaTek)',
    profile: '4.8,unless-virt-addr-valid,wrap-last-byte,highmem,no-address,stack-first',
    source: '731611644/honor50se_kernel at 6fe6dae0fa73 (4.14.186)',
    shownBy: null,
    note: 'with PAGESPAN the stack is asked about last',
    includes: null,
  },
  {
    name: 'Android 4.19 (Samsung SM8250)',
    profile: '5.0',
    source: 'Elchanz3/Samsung_Galaxy-S20FE-SM8250 at 8faa11206af0 (a file with an open merge, the same on both sides)',
    shownBy: null,
    note: 'the stack is asked about first, as from 5.0 on; by its version it gets 4.16',
    includes: null,
  },
  {
    name: 'Android 5.10 (Samsung Exynos 2200)',
    profile: null,
    source: 'auraknighted/android_kernel_samsung_r11s at a797ccb51027 (5.10.198)',
    shownBy: null,
    note: null,
    includes: null,
  },
  {
    name: 'NVIDIA Jetson 5.15',
    profile: null,
    source: 'hyunjinis/qCon--orin-v5.15- at dbc1f25d7e8b',
    shownBy: null,
    note: null,
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
    name: 'openSUSE (from 6.15 on)',
    profile: null,
    source:
      'openSUSE/kernel at a335c4faf292, whose gate is validate_usercopy_range; which release, the file does not tell',
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
  'Ubuntu 5.4, 5.15 and 6.8 and Amazon Linux (no public tree that was found has the file)',
  'Android 5.15, and the common kernels of Android (the trees that were found lack the file)',
  'ChromeOS from 4.4 on (the trees that were found lack the file)',
  'RHEL 10 (its tree was found, but not this file of it)',
  "SUSE's enterprise kernels, openSUSE before 6.15",
  "Oracle (the file at oracle/linux-uek, 35737977dcae, is mainline's of 4.16; whether an Oracle kernel has it is not known)",
];

/** The vendor's tree that a release is of, as far as its name tells; null: of none that is listed. */
export const vendorTreeOf = ({ release }: KernelVersion): VendorTree | null =>
  vendorTrees.find(({ includes }) => includes?.(release) === true) ?? null;

/**
 * The rules by a release and configuration alone: those of the vendor's tree (`tree`) where they are known (`tree.profile`),
 * else of the version.
 */
export function profileForRelease(
  version: KernelVersion,
  config: KernelConfig | null = null,
): { readonly profile: Profile; readonly tree: VendorTree | null } {
  const tree = vendorTreeOf(version);
  const profile =
    tree?.profile == null
      ? profileForVersion(version, config)
      : configuredProfile(parseProfile(tree.profile), version, config);
  return { profile, tree };
}
