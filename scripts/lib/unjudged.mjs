/** What no kernel has judged: of every profile, and of every switch of those that kernels have. */
import { baseOf, parseProfile, profileList, switchesOf } from '../../build/js/src/check/profiles.js';

/**
 * The switches that a kernel was judged by; `options` are those of its configuration, a blank between them, where it is at hand. Which allocator, whether
 * frames are walked, and whether there is a pool of KFENCE, is no matter of a profile's name.
 */
function switchesOfRow({ variant, profile, options }) {
  const { switches } = parseProfile(profile);
  if (options === undefined) return { ...switches, kfence: null };
  // arch_within_stack_frames() asks for CONFIG_FRAME_POINTER, on x86 alone.
  const has = (name) => options.split(' ').includes(name);
  const frames = ['i386', 'x86_64'].includes(variant) && has('FRAME_POINTER');
  // Of a kernel with KFENCE it is another question whether an object of its pool was copied.
  const kfence = has('KFENCE-judged') ? true : has('KFENCE') ? null : has('!KFENCE') ? false : null;
  return { ...switches, frames, allocator: has('SLAB') ? 'SLAB' : 'SLUB', kfence };
}

/** Whether a row's kernel, and not only its name, was asked. One without the check answers nothing. */
const isJudged = ({ error = null, profile, lkdtm, dumps, unchecked }) =>
  error === null && Boolean(profile) && Boolean(lkdtm || dumps) && !unchecked;

const OLDER = 'kernels before 5.10, of which there is no source here';
const NONE = 'no kernel has it; it is there to try a rule alone';
const NO_SOURCE = 'no source of these is to be had: an archive keeps the newest of a series';

/** Why no kernel judges a profile or a switch. What is in neither list could be judged, and was not. */
const REASONS = {
  profiles: {
    ...Object.fromEntries(['v3', 'v3-cma', '4.8', '4.16'].map((name) => [name, OLDER])),
    ...Object.fromEntries(['5.18', '5.19-rc'].map((name) => [name, NO_SOURCE])),
  },
  switches: {
    'wrap-counts-end': 'before 5.3',
    'no-highmem': 'before 5.4',
    'vmalloc-vm-struct': `5.19-rc1 and -rc2; ${NO_SOURCE}`,
    'vmalloc-vmap-area': `5.19 to 6.3, and 6.1 before 6.1.36; ${NO_SOURCE}`,
    'no-vmalloc': NONE,
    'no-kmap': NONE,
    'no-folio': NONE,
    '5.0 kfence': `5.12 to 5.17; ${NO_SOURCE}`,
  },
};

const reasonOf = (profile, name) =>
  REASONS.switches[`${profile} ${name}`] ?? REASONS.switches[name] ?? 'it could be judged, and was not';

/** `{ profiles, switches }`: profiles with the kernels that they stand for, and `{ profile, name }` of each switch; both with the reason. */
export function unjudged(rows) {
  const judged = rows.filter(isJudged).flatMap((row) => {
    const era = baseOf({ name: row.profile });
    const has = switchesOfRow(row);
    return [{ era, has }, ...(row.off ? [{ era, has: { ...has, bypass: true } }] : [])];
  });
  const eras = new Set(judged.map(({ era }) => era));
  return {
    profiles: profileList
      .filter(({ name }) => !eras.has(name))
      .map((one) => ({ ...one, reason: REASONS.profiles[one.name] ?? 'it could be judged, and was not' })),
    switches: profileList
      .filter(({ name }) => eras.has(name))
      .flatMap(({ name: profile }) =>
        switchesOf(profile)
          .filter((name) => !isTold(profile, name, judged))
          .map((name) => ({ profile, name, reason: reasonOf(profile, name) })),
      ),
  };
}

/** What a switch changes was so in one of the kernels; a switch that changes nothing is told by the profile itself. */
function isTold(profile, name, judged) {
  const plain = parseProfile(profile).switches;
  const changed = Object.entries(parseProfile(`${profile},${name}`).switches).filter(
    ([key, value]) => plain[key] !== value,
  );
  // What the profile itself has is judged with it, but for what a kernel may do without.
  const isOwn = changed.length === 0 && name !== 'kfence';
  const wanted = name === 'kfence' ? [['kfence', true]] : changed;
  return isOwn || judged.some(({ era, has }) => era === profile && wanted.every(([key, value]) => has[key] === value));
}
