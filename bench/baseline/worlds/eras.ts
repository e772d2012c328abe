/** The check's switches through the years, for tests that must not take them from the program under test. */
import type { ProfileSwitches } from '../../../src/check/parameters.js';
import { present } from '../../present.js';
import type { Random } from './random.js';

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
  skipVmalloc: 'vmalloc or module',
  pageSpan: '4.8',
};
const V4_16: ProfileSwitches = {
  ...V4_8,
  format: 'new',
  skipVmalloc: 'unless virt_addr_valid',
  whitelist: true,
};
const V5_0: ProfileSwitches = { ...V4_16, stackFirst: true, wrapCountsEnd: false, highmem: true, pageSpan: 'off' };
const V5_18: ProfileSwitches = { ...V5_0, depth: true, kfence: true };
const V5_19_RC: ProfileSwitches = {
  ...V5_18,
  skipVmalloc: 'no',
  kmap: 'pkmap',
  vmalloc: 'vm_struct',
  folio: true,
};
const V6_1: ProfileSwitches = { ...V5_19_RC, vmalloc: 'vmap_area, page faults enabled' };

/** The switches of each era, written from the history of mm/usercopy.c and not taken from the program under test. */
export const ERAS: Readonly<Record<string, ProfileSwitches>> = {
  v3: V3,
  'v3-cma': { ...V3, pageSpan: 'v3-cma' },
  '4.8': V4_8,
  'v3-cma after is_vmalloc_addr': { ...V3, pageSpan: 'v3-cma', skipVmalloc: 'vmalloc', linearText: true },
  'RHEL 7': { ...V4_8, pageSpan: 'off', skipVmalloc: 'vmalloc' },
  '4.8 without PAGESPAN': { ...V4_8, pageSpan: 'off' },
  '4.16': V4_16,
  '4.16 with fallback': { ...V4_16, fallback: true, pageSpan: 'off' },
  '5.0': V5_0,
  '5.0 with PAGESPAN and fallback': { ...V5_0, pageSpan: '4.8', fallback: true },
  '5.18': V5_18,
  '5.18 with PAGESPAN and fallback': { ...V5_18, pageSpan: '4.8', fallback: true },
  '5.19-rc': V5_19_RC,
  '6.1 before d319f344561d': { ...V6_1, vmalloc: 'vmap_area' },
  '6.1': V6_1,
  '6.12': { ...V6_1, kmap: 'fixmap' },
};

/** Mostly an era as it was, sometimes with switches turned at random: the rules must not depend on their company. */
export function randomSwitches(random: Random): ProfileSwitches {
  const era = present(ERAS[random.pick(Object.keys(ERAS))]);
  const turn = (value: boolean) => (random.chance(0.1) ? !value : value);
  if (random.chance(0.6)) return era;
  return {
    ...era,
    stackFirst: turn(era.stackFirst),
    wrapCountsEnd: turn(era.wrapCountsEnd),
    textTouchCounts: turn(era.textTouchCounts),
    linearText: turn(era.linearText),
    whitelist: turn(era.whitelist),
    fallback: turn(era.fallback),
    /* The folio rule took the place of the page-span rules: no kernel has both. */
    folio: era.pageSpan === 'off' ? turn(era.folio) : false,
    depth: turn(era.depth),
    kfence: turn(era.kfence),
    bypass: random.chance(0.02),
  };
}
