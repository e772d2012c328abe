/**
 * Named sets of switches: the check of one era of kernels each. Sources: mm/usercopy.c and mm/{slub,slab}.c of the trees
 * between 4.8 and 6.12, and the mails of the July 2016 series; versions of commits from the
 * pull requests and stable reviews that carried them. Where a version could not be read, the comment says what is known.
 */

import { badInput } from '../errors.js';
import type { KernelConfig, KernelVersion } from '../kernel/kernel.js';
import { atLeast, hasFix } from '../kernel/version.js';
import { aText, having, requireValue } from '../options.js';
import type { ProfileSwitches } from './parameters.js';

const V3: ProfileSwitches = {
  format: 'old',
  stackFirst: false,
  wrapCountsEnd: true,
  textTouchCounts: true,
  linearText: false,
  skipVmalloc: 'no',
  pageSpan: 'v3',
  whitelist: false,
  fallback: false,
  kmap: 'off',
  highmem: false,
  vmalloc: 'off',
  folio: false,
  depth: false,
  kfence: false,
  bypass: false,
};

const V4_8: ProfileSwitches = {
  ...V3,
  textTouchCounts: false,
  linearText: true,
  // Until 517e1fbeb65f "mm/usercopy: Drop extra is_vmalloc_or_module() check" (4.12: in mainline on 7 May 2017).
  skipVmalloc: 'vmalloc or module',
  // HARDENED_USERCOPY_PAGESPAN, off by default: 8e1f74ea02cf "usercopy: remove page-spanning test for now" (4.8).
  pageSpan: 'off',
};

const V4_16: ProfileSwitches = {
  ...V4_8,
  // Offset and size: b394d468e7d7 "usercopy: Enhance and rename report_usercopy()" and the patch after it. Posted for 4.16
  // in January 2018; reports of 4.15-based distribution kernels have it too.
  format: 'new',
  skipVmalloc: 'unless virt_addr_valid',
  // useroffset and usersize: 8eb8284b4129 "usercopy: Prepare for usercopy whitelisting", of the same series.
  whitelist: true,
};

const V5_0: ProfileSwitches = {
  ...V4_16,
  // The stack is asked about first: 7bff3c069973 "usercopy: no check page span for stack objects". Posted on 30 December
  // 2018, a week after 4.20; a tree of 4.18 lacks it, one of 5.3 has it. That 5.0 was the first is not confirmed.
  stackFirst: true,
  // 951531691c4b "mm/usercopy: use memory range to be accessed for wraparound check" (5.3-rc5, and stable trees).
  wrapCountsEnd: false,
  // 314eed30ede0 "usercopy: Avoid HIGHMEM pfn warning" (5.4-rc1, and stable trees).
  highmem: true,
  // 2b8305260fb3 "kfence, kasan: make KFENCE compatible with KASAN" (February 2021, 5.12-rc1, with KFENCE itself); kernels
  // without a pool are not touched by it.
  kfence: true,
};

const V5_18: ProfileSwitches = {
  ...V5_0,
  // 2792d84e6da5 "usercopy: Check valid lifetime via stack depth" (5.18-rc1). The page-span rules can no longer be switched on:
  // ef3e787c21d1 "usercopy: Disable CONFIG_HARDENED_USERCOPY_PAGESPAN".
  depth: true,
};

const V5_19_RC: ProfileSwitches = {
  ...V5_18,
  highmem: false,
  // 4e140f59d285 "mm/usercopy: Check kmap addresses properly", 0aef499f3172 "mm/usercopy: Detect vmalloc overruns" and
  // ab502103ae3c "mm/usercopy: Detect large folio overruns"; the page-span rules went in 1109a5d90701. All of them came with the
  // pull request of 5.19-rc1.
  kmap: 'pkmap',
  vmalloc: 'vm_struct',
  folio: true,
};

const V6_1: ProfileSwitches = {
  ...V5_19_RC,
  // 993d0b287e2e "usercopy: Handle vm_map_ram() areas" (5.19-rc3), then d319f344561d "mm: Fix copy_from_user_nofault()" (6.4, and
  // stable trees).
  vmalloc: 'vmap_area, page faults enabled',
};

/** The newest series whose kernels have judged (docs/kernels.md). */
export const NEWEST_JUDGED = { major: 7, minor: 3 } as const;

const PROFILES = {
  v3: { kernels: 'the patch series of July 2016', switches: V3 },
  'v3-cma': {
    kernels: 'the same, Reserved or CMA pages decided by the first page',
    switches: { ...V3, pageSpan: 'v3-cma' },
  },
  '4.8': { kernels: '4.8 to 4.15', switches: V4_8 },
  '4.16': { kernels: '4.16 to 4.20', switches: V4_16 },
  '5.0': { kernels: '5.0 to 5.17', switches: V5_0 },
  '5.18': { kernels: '5.18', switches: V5_18 },
  '5.19-rc': { kernels: '5.19-rc1 and -rc2', switches: V5_19_RC },
  '6.1': { kernels: `5.19 to ${NEWEST_JUDGED.major}.${NEWEST_JUDGED.minor} at least`, switches: V6_1 },
} as const satisfies Record<string, { readonly kernels: string; readonly switches: ProfileSwitches }>;

export type ProfileName = keyof typeof PROFILES;

/** Whether a text is the name of a profile. */
export const isProfileName = (name: string): name is ProfileName => Object.hasOwn(PROFILES, name);

export const profileNames: readonly ProfileName[] = Object.keys(PROFILES).filter(isProfileName);

/** The profiles with the kernels that each stands for. */
export const profileList: readonly { readonly name: string; readonly kernels: string }[] = Object.entries(PROFILES).map(
  ([name, { kernels }]) => ({ name, kernels }),
);

const SERIES_2016: readonly ProfileName[] = ['v3', 'v3-cma'];
const MAINLINE: readonly ProfileName[] = ['4.8', '4.16', '5.0', '5.18', '5.19-rc', '6.1'];
/** Vendors have a check of 5.18 with the options that mainline had taken away by then. */
const BEFORE_5_19: readonly ProfileName[] = ['4.8', '4.16', '5.0', '5.18'];
const FALLS_BACK: readonly ProfileName[] = ['4.16', '5.0', '5.18'];
const SINCE_5_18: readonly ProfileName[] = ['5.18', '5.19-rc', '6.1'];
const SINCE_5_19: readonly ProfileName[] = ['5.19-rc', '6.1'];

/** A change to a profile's switches. */
interface Switch {
  readonly about: string;
  readonly switches: Partial<ProfileSwitches>;
  /** The profiles that it makes sense for. */
  readonly profiles: readonly ProfileName[];
}

const SWITCHES: Readonly<Record<string, Switch>> = {
  pagespan: {
    about: 'HARDENED_USERCOPY_PAGESPAN: rodata, data, bss and page-span rules',
    switches: { pageSpan: '4.8' },
    profiles: BEFORE_5_19,
  },
  'no-pagespan': { about: 'without it', switches: { pageSpan: 'off' }, profiles: BEFORE_5_19 },
  fallback: {
    about: 'HARDENED_USERCOPY_FALLBACK: inside the object, outside its whitelist: warn once and pass',
    switches: { fallback: true },
    profiles: FALLS_BACK,
  },
  'no-fallback': { about: 'without it', switches: { fallback: false }, profiles: FALLS_BACK },
  bypass: { about: 'hardened_usercopy=off', switches: { bypass: true }, profiles: MAINLINE },
  'no-bypass': { about: 'without it', switches: { bypass: false }, profiles: MAINLINE },
  'no-address': {
    about:
      'messages tell no address but quote what was met: 4f5e838605c2 without the rest of the series of 4.16, Android 4.14',
    switches: { noAddress: true },
    profiles: ['4.8'],
  },
  'stack-first': {
    about: 'the stack is asked about before the heap: trees that took 7bff3c069973 (5.0) back',
    switches: { stackFirst: true },
    profiles: ['4.8', '4.16'],
  },
  frames: {
    about: 'stack frames are walked, whether the kernel has FRAME_POINTER or not',
    switches: { frames: true },
    profiles: profileNames,
  },
  'no-frames': { about: 'stack frames are not walked', switches: { frames: false }, profiles: profileNames },
  'wrap-counts-end': {
    about: 'wrapped when ptr + n < ptr: before 951531691c4b (5.3)',
    switches: { wrapCountsEnd: true },
    profiles: BEFORE_5_19,
  },
  'wrap-last-byte': {
    about: 'wrapped when ptr + (n - 1) < ptr: after it',
    switches: { wrapCountsEnd: false },
    profiles: MAINLINE,
  },
  'skip-vmalloc-or-module': {
    about: 'vmalloc and module addresses are not looked at: before 517e1fbeb65f (4.12)',
    switches: { skipVmalloc: 'vmalloc or module' },
    profiles: ['4.8'],
  },
  'skip-vmalloc': {
    about: 'vmalloc addresses are not looked at, those of modules are: trees that took the check before 4.8, RHEL 7',
    switches: { skipVmalloc: 'vmalloc' },
    profiles: [...SERIES_2016, '4.8'],
  },
  'linear-text': {
    about: "the text's linear alias is looked at too",
    switches: { linearText: true },
    profiles: SERIES_2016,
  },
  'unless-virt-addr-valid': {
    about: 'only addresses of the linear map are looked at: after it',
    switches: { skipVmalloc: 'unless virt_addr_valid' },
    profiles: ['4.8'],
  },
  highmem: {
    about: 'the page of a kmapped address is looked at: after 314eed30ede0 (5.4)',
    switches: { highmem: true },
    profiles: BEFORE_5_19,
  },
  'no-highmem': { about: 'before it', switches: { highmem: false }, profiles: BEFORE_5_19 },
  'vmalloc-vm-struct': {
    about: 'vmalloc rule of 5.19-rc1: vm_struct, the guard page excluded',
    switches: { vmalloc: 'vm_struct' },
    profiles: SINCE_5_19,
  },
  'vmalloc-vmap-area': {
    about: 'vmalloc rule of 5.19: vmap_area, the guard page passes',
    switches: { vmalloc: 'vmap_area' },
    profiles: SINCE_5_19,
  },
  'vmalloc-page-faults-enabled': {
    about: 'the same, not while page faults are disabled: d319f344561d (6.4, and 6.1.y)',
    switches: { vmalloc: 'vmap_area, page faults enabled' },
    profiles: SINCE_5_19,
  },
  'no-vmalloc': { about: 'no vmalloc rule', switches: { vmalloc: 'off' }, profiles: SINCE_5_19 },
  'kmap-fixmap': {
    about: 'is_kmap_addr() with the fixmap slots: f3837ab7adbc (6.3)',
    switches: { kmap: 'fixmap' },
    profiles: SINCE_5_19,
  },
  'kmap-pkmap': { about: 'is_kmap_addr() with PKMAP only', switches: { kmap: 'pkmap' }, profiles: SINCE_5_19 },
  'no-kmap': { about: 'no kmap rule', switches: { kmap: 'off' }, profiles: SINCE_5_19 },
  folio: { about: 'large folios are objects', switches: { folio: true }, profiles: SINCE_5_19 },
  'no-folio': { about: 'they are not', switches: { folio: false }, profiles: SINCE_5_19 },
  depth: {
    about: 'below the stack pointer is bad; stack offsets are printed',
    switches: { depth: true },
    profiles: SINCE_5_18,
  },
  'no-depth': {
    about: 'architectures without ARCH_HAS_CURRENT_STACK_POINTER',
    switches: { depth: false },
    profiles: SINCE_5_18,
  },
  kfence: { about: 'objects of the kfence pool are known', switches: { kfence: true }, profiles: MAINLINE },
  'no-kfence': { about: 'they are not', switches: { kfence: false }, profiles: profileNames },
  slab: {
    about: "messages say 'SLAB object', where the guest's structures do not say which allocator it has",
    switches: { allocator: 'SLAB' },
    profiles: profileNames,
  },
  slub: { about: "messages say 'SLUB object'", switches: { allocator: 'SLUB' }, profiles: profileNames },
};

/** Names of the switches that may follow a profile's name. */
export const switchNames: readonly string[] = Object.keys(SWITCHES);

/** The switches with the profiles that each goes with. */
export const switchList: readonly {
  readonly name: string;
  readonly profiles: readonly string[];
  readonly about: string;
}[] = Object.entries(SWITCHES).map(([name, { profiles, about }]) => ({ name, profiles, about }));

export interface Profile {
  /** As `parseProfile()` reads it: `5.0,fallback`. */
  readonly name: string;
  readonly switches: ProfileSwitches;
}

/** The switches of a named profile; an error that lists the names. */
export function profileSwitches(name: string): ProfileSwitches {
  return PROFILES[requireProfileName(name)].switches;
}

function requireProfileName(name: string): ProfileName {
  if (isProfileName(name)) return name;
  throw badInput('profile', `one of ${profileNames.join(', ')}`, `'${name}'`);
}

/** The switches that go with a profile. */
export const switchesOf = (profile: ProfileName): readonly string[] =>
  Object.entries(SWITCHES).flatMap(([name, { profiles }]) => (profiles.includes(profile) ? [name] : []));

/** Reads `4.16,pagespan,fallback`: a profile and switches, applied in order. */
export function parseProfile(text: string): Profile {
  requireValue('parseProfile', text, aText);
  const [named = '', ...changes] = text.split(',').map((part) => part.trim());
  const first = requireProfileName(named);
  let switches: ProfileSwitches = PROFILES[first].switches;
  for (const change of changes) {
    const found = Object.hasOwn(SWITCHES, change) ? SWITCHES[change] : undefined;
    if (!found?.profiles.includes(first)) {
      const usable = switchesOf(first).join(', ');
      throw badInput(`profile ${first}`, `switches out of ${usable}`, `'${change}'`);
    }
    switches = { ...switches, ...found.switches };
  }
  return { name: [first, ...changes].join(','), switches };
}

/**
 * The first stable release of a series with a fix, by its review or announcement; Debian and others may have taken it on their own.
 * Of 4.9.190 none was read.
 */
const WRAP_FIX_STABLE: Readonly<Record<string, number>> = { '4.9': 190, '4.14': 140, '4.19': 68, '5.2': 10 };
/** By the stable reviews of October 2019; that 5.2.21, the last of its series, was part of it is not confirmed. */
const HIGHMEM_FIX_STABLE: Readonly<Record<string, number>> = {
  '4.9': 197,
  '4.14': 149,
  '4.19': 79,
  '5.2': 21,
  '5.3': 6,
};
/** 6.2 ended before it. */
const PAGE_FAULT_FIX_STABLE: Readonly<Record<string, number>> = { '6.1': 36, '6.3': 10 };

function isEnabled(config: KernelConfig | null, name: string, otherwise: boolean): boolean {
  return config ? config.enabled(name) : otherwise;
}

/** The candidates of 5.19 before 993d0b287e2e, as mainline (5.19.0-rc1, 5.19-rc1) and Fedora (5.19.0-0.rc2.21) write them. */
const EARLY_5_19 = /^5\.19(\.0)?-(0\.)?rc[12]\b/;

function baseProfile(version: KernelVersion): ProfileName {
  if (EARLY_5_19.test(version.release)) return '5.19-rc';
  if (atLeast(version, 5, 19)) return '6.1';
  if (atLeast(version, 5, 18)) return '5.18';
  if (atLeast(version, 5, 0)) return '5.0';
  if (atLeast(version, 4, 16)) return '4.16';
  return '4.8';
}

function vmallocChange(version: KernelVersion): string | null {
  if (baseProfile(version) !== '6.1') return null;
  return hasFix(version, 6, 4, PAGE_FAULT_FIX_STABLE) ? null : 'vmalloc-vmap-area';
}

const aVersion = having("a kernel's version, as loadKernel() reads it", 'release', 'major', 'minor', 'patch');
const aConfig = having("a kernel's configuration, as loadKernel() reads it, or null", 'enabled', 'get');

/**
 * The profile of a version and, where there is one, its config: what `profileOf()` (src/introspect/profile.ts) takes where
 * contents and vendor do not tell. Whether the stack pointer is compared at all is the architecture's affair
 * (`Variant.hasCurrentStackPointer`). Kernels older than 4.8 get the oldest mainline profile.
 */
export function profileForVersion(version: KernelVersion, config: KernelConfig | null = null): Profile {
  requireValue('profileForVersion: version', version, aVersion);
  if (config !== null) requireValue('profileForVersion: config', config, aConfig);
  const base = baseProfile(version);
  const changes: (string | null)[] = [];
  if (!atLeast(version, 5, 18)) {
    const wrapFixed = hasFix(version, 5, 3, WRAP_FIX_STABLE);
    const wrapsAtEnd = profileSwitches(base).wrapCountsEnd;
    if (wrapFixed === wrapsAtEnd) changes.push(wrapFixed ? 'wrap-last-byte' : 'wrap-counts-end');
    const highmemFixed = hasFix(version, 5, 4, HIGHMEM_FIX_STABLE);
    if (highmemFixed !== profileSwitches(base).highmem) changes.push(highmemFixed ? 'highmem' : 'no-highmem');
    if (base === '4.8' && atLeast(version, 4, 12)) changes.push('unless-virt-addr-valid');
  } else {
    changes.push(vmallocChange(version));
    if (atLeast(version, 6, 3)) changes.push('kmap-fixmap');
  }
  const named = parseProfile([base, ...changes.filter((change) => change !== null)].join(','));
  return configuredProfile(named, version, config);
}

/**
 * A profile with what a kernel's configuration switches: the page-span rules (until ef3e787c21d1, 5.18), the fallback of the
 * whitelist (until 53944f171a89, 5.16) and the depth rule, each where the profile's era knows it. `version` is that of the
 * tree, whose Kconfig it is; without a configuration the profile stays as it is.
 */
export function configuredProfile(profile: Profile, version: KernelVersion, config: KernelConfig | null): Profile {
  const base = baseOf(profile);
  const changes: string[] = [];
  if (!atLeast(version, 5, 18) && isEnabled(config, 'HARDENED_USERCOPY_PAGESPAN', false)) changes.push('pagespan');
  if (!atLeast(version, 5, 16) && isEnabled(config, 'HARDENED_USERCOPY_FALLBACK', false)) changes.push('fallback');
  if (!isEnabled(config, 'ARCH_HAS_CURRENT_STACK_POINTER', true)) changes.push('no-depth');
  const known = changes.filter((change) => switchesOf(base).includes(change));
  return known.length === 0 ? profile : parseProfile([profile.name, ...known].join(','));
}

/** The profile that another was made of by switches. */
export const baseOf = ({ name }: Profile): ProfileName => requireProfileName(name.split(',')[0] ?? '');
