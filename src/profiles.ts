/**
 * Named sets of switches: the check of one era of kernels each. Sources: mm/usercopy.c and mm/{slub,slab}.c of the trees
 * between 4.8 and 6.12, and the mails of the July 2016 series. A version that is marked "as remembered" was not read.
 */
import { badInput } from './errors.js';
import type { KernelConfig, KernelVersion } from './kernel/kernel.js';
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
  // Until 517e1fbeb65f (4.12, as remembered).
  skipVmalloc: 'vmalloc or module',
  // HARDENED_USERCOPY_PAGESPAN is off by default since 8e1f74ea02cf (4.8-rc6, as remembered).
  pageSpan: 'off',
};

const V4_16: ProfileSwitches = {
  ...V4_8,
  // usercopy_abort() with offset and size: b394d468e7d7 (4.16, as remembered).
  format: 'new',
  skipVmalloc: 'unless virt_addr_valid',
  // useroffset and usersize: 8eb8284b4129 (4.16, as remembered).
  whitelist: true,
};

const V5_0: ProfileSwitches = {
  ...V4_16,
  // The stack is asked about first: 7bff3c069973 (5.0, as remembered).
  stackFirst: true,
  // 951531691c4b (5.3, backported to the stable trees).
  wrapCountsEnd: false,
  // 314eed30ede0 (5.4, backported to the stable trees).
  highmem: true,
  // 2b8305260fb3 (5.12, as remembered); kernels without a pool are not touched by it.
  kfence: true,
};

const V5_18: ProfileSwitches = {
  ...V5_0,
  highmem: false,
  // 4e140f59d285, 0aef499f3172 and ab502103ae3c (5.18, as remembered); the page-span rules went in 1109a5d90701.
  kmap: 'pkmap',
  vmalloc: 'vm_struct',
  folio: true,
  // 2792d84e6da5 (5.18, as remembered).
  depth: true,
};

const V6_1: ProfileSwitches = {
  ...V5_18,
  // 35fb9ae4aa2e (5.19-rc, as remembered), then d319f344561d (6.4 and 6.1.y; 6.1.192 has it, 6.1.25 does not).
  vmalloc: 'vmap_area, page faults enabled',
};

const PROFILES = {
  /** The mail of July 2016. */
  v3: V3,
  /** The mail after it: Reserved or CMA pages, whichever the first page is. */
  'v3-cma': { ...V3, pageSpan: 'v3-cma' },
  /** 4.8 to 4.15. */
  '4.8': V4_8,
  /** 4.16 to 4.20. */
  '4.16': V4_16,
  /** 5.0 to 5.17. */
  '5.0': V5_0,
  /** 5.18 and the first candidates of 5.19. */
  '5.18': V5_18,
  /** 5.19 to 6.12 at least. */
  '6.1': V6_1,
} as const satisfies Record<string, ProfileSwitches>;

export type ProfileName = keyof typeof PROFILES;

export const profileNames = Object.keys(PROFILES) as readonly ProfileName[];

/** A change to a profile's switches, and the profiles that it makes sense for. */
interface Modifier {
  readonly switches: Partial<ProfileSwitches>;
  readonly profiles: readonly ProfileName[];
}

const EVERY = profileNames;
const MAINLINE: readonly ProfileName[] = ['4.8', '4.16', '5.0', '5.18', '6.1'];
const SINCE_5_18: readonly ProfileName[] = ['5.18', '6.1'];

const MODIFIERS: Readonly<Record<string, Modifier>> = {
  /** CONFIG_HARDENED_USERCOPY_PAGESPAN */
  pagespan: { switches: { pageSpan: '4.8' }, profiles: ['4.8', '4.16', '5.0'] },
  /** CONFIG_HARDENED_USERCOPY_FALLBACK */
  fallback: { switches: { fallback: true }, profiles: ['4.16', '5.0'] },
  /** hardened_usercopy=off */
  bypass: { switches: { bypass: true }, profiles: ['4.16', '5.0', '5.18', '6.1'] },
  /** Before 951531691c4b */
  'wrap-counts-end': { switches: { wrapCountsEnd: true }, profiles: ['4.8', '4.16', '5.0'] },
  /** After it */
  'wrap-last-byte': { switches: { wrapCountsEnd: false }, profiles: MAINLINE },
  /** Before 517e1fbeb65f */
  'skip-vmalloc-or-module': { switches: { skipVmalloc: 'vmalloc or module' }, profiles: ['4.8'] },
  /** After it */
  'unless-virt-addr-valid': { switches: { skipVmalloc: 'unless virt_addr_valid' }, profiles: ['4.8'] },
  /** After 314eed30ede0 */
  highmem: { switches: { highmem: true }, profiles: ['4.8', '4.16', '5.0'] },
  'no-highmem': { switches: { highmem: false }, profiles: ['4.8', '4.16', '5.0'] },
  'vmalloc-vm-struct': { switches: { vmalloc: 'vm_struct' }, profiles: SINCE_5_18 },
  'vmalloc-vmap-area': { switches: { vmalloc: 'vmap_area' }, profiles: SINCE_5_18 },
  'vmalloc-page-faults-enabled': {
    switches: { vmalloc: 'vmap_area, page faults enabled' },
    profiles: SINCE_5_18,
  },
  /** is_kmap_addr() with the fixmap slots, as 6.12 has it */
  'kmap-fixmap': { switches: { kmap: 'fixmap' }, profiles: SINCE_5_18 },
  /** Architectures without ARCH_HAS_CURRENT_STACK_POINTER */
  'no-depth': { switches: { depth: false }, profiles: SINCE_5_18 },
  'no-kfence': { switches: { kfence: false }, profiles: EVERY },
};

export const modifierNames: readonly string[] = Object.keys(MODIFIERS);

export interface Profile {
  /** As `parseProfile()` reads it: `5.0,fallback`. */
  readonly name: string;
  readonly switches: ProfileSwitches;
}

/** The switches of a named profile; an error that lists the names. */
export function profileSwitches(name: string): ProfileSwitches {
  if (!Object.hasOwn(PROFILES, name)) {
    throw badInput('profile', `one of ${profileNames.join(', ')}`, `'${name}'`);
  }
  return PROFILES[name as ProfileName];
}

/** Reads `4.16,pagespan,fallback`: a profile and changes to it, applied in order. */
export function parseProfile(text: string): Profile {
  const [first = '', ...changes] = text.split(',').map((part) => part.trim());
  let switches = profileSwitches(first);
  for (const change of changes) {
    const modifier = Object.hasOwn(MODIFIERS, change) ? MODIFIERS[change] : undefined;
    const usable = modifierNames.filter((name) => MODIFIERS[name]!.profiles.includes(first as ProfileName));
    if (!modifier?.profiles.includes(first as ProfileName)) {
      throw badInput(`profile ${first}`, `changes out of ${usable.join(', ')}`, `'${change}'`);
    }
    switches = { ...switches, ...modifier.switches };
  }
  return { name: [first, ...changes].join(','), switches };
}

/** Whether a version is `major.minor` or later. */
function isAtLeast(version: KernelVersion, major: number, minor: number): boolean {
  return version.major > major || (version.major === major && version.minor >= minor);
}

/** Stable releases that took a fix, as remembered; Debian and others may have taken it on their own. */
const WRAP_FIX_STABLE: Readonly<Record<string, number>> = { '4.9': 190, '4.14': 139, '4.19': 67, '5.2': 9 };
const HIGHMEM_FIX_STABLE: Readonly<Record<string, number>> = {
  '4.9': 195,
  '4.14': 147,
  '4.19': 77,
  '5.2': 19,
  '5.3': 2,
};
/** Between 6.1.25, which lacks it, and 6.1.192, which has it. */
const PAGE_FAULT_FIX_STABLE: Readonly<Record<string, number>> = { '6.1': 26, '6.2': 13 };

function hasFix(
  version: KernelVersion,
  major: number,
  minor: number,
  stable: Readonly<Record<string, number>>,
): boolean {
  if (isAtLeast(version, major, minor)) return true;
  const since = stable[`${version.major}.${version.minor}`];
  return since !== undefined && version.patch >= since;
}

function isEnabled(config: KernelConfig | null, name: string, otherwise: boolean): boolean {
  return config ? config.enabled(name) : otherwise;
}

function baseProfile(version: KernelVersion): ProfileName {
  if (isAtLeast(version, 5, 19)) return '6.1';
  if (isAtLeast(version, 5, 18)) return '5.18';
  if (isAtLeast(version, 5, 0)) return '5.0';
  if (isAtLeast(version, 4, 16)) return '4.16';
  return '4.8';
}

function vmallocChange(version: KernelVersion): string | null {
  if (!isAtLeast(version, 5, 19)) return null;
  return hasFix(version, 6, 4, PAGE_FAULT_FIX_STABLE) ? null : 'vmalloc-vmap-area';
}

/**
 * The profile of a kernel (`auto`), by its version and, where there is one, its config. Whether the
 * stack pointer is compared at all is the architecture's affair (`Variant.hasCurrentStackPointer`). Kernels older than 4.8
 * get the oldest mainline profile.
 */
export function profileForVersion(version: KernelVersion, config: KernelConfig | null = null): Profile {
  const base = baseProfile(version);
  const changes: (string | null)[] = [];
  if (!isAtLeast(version, 5, 18)) {
    const wrapFixed = hasFix(version, 5, 3, WRAP_FIX_STABLE);
    const wrapsAtEnd = profileSwitches(base).wrapCountsEnd;
    if (wrapFixed === wrapsAtEnd) changes.push(wrapFixed ? 'wrap-last-byte' : 'wrap-counts-end');
    const highmemFixed = hasFix(version, 5, 4, HIGHMEM_FIX_STABLE);
    if (highmemFixed !== profileSwitches(base).highmem) changes.push(highmemFixed ? 'highmem' : 'no-highmem');
    if (base === '4.8' && isAtLeast(version, 4, 12)) changes.push('unless-virt-addr-valid');
    if (isEnabled(config, 'HARDENED_USERCOPY_PAGESPAN', false)) changes.push('pagespan');
    if (base !== '4.8' && !isAtLeast(version, 5, 16) && isEnabled(config, 'HARDENED_USERCOPY_FALLBACK', false)) {
      changes.push('fallback');
    }
  } else {
    changes.push(vmallocChange(version));
    if (isAtLeast(version, 6, 12)) changes.push('kmap-fixmap');
    if (!isEnabled(config, 'ARCH_HAS_CURRENT_STACK_POINTER', true)) changes.push('no-depth');
  }
  return parseProfile([base, ...changes.filter((change) => change !== null)].join(','));
}
