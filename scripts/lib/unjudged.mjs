/** What no kernel has judged: of every profile, and of every switch of those that kernels have. */
import { baseOf, parseProfile, profileList, switchesOf } from '../../build/js/src/check/profiles.js';

/**
 * The switches that a kernel was judged by; `options` are those of its configuration, a blank between them, where it is at hand. Which allocator, and whether
 * frames are walked, is no matter of a profile's name.
 */
function switchesOfRow({ variant, profile, options }) {
  const { switches } = parseProfile(profile);
  if (options === undefined) return switches;
  // arch_within_stack_frames() asks for CONFIG_FRAME_POINTER, on x86 alone.
  const has = (name) => options.split(' ').includes(name);
  const frames = ['i386', 'x86_64'].includes(variant) && has('FRAME_POINTER');
  return { ...switches, frames, allocator: has('SLAB') ? 'SLAB' : 'SLUB' };
}

/** Whether a row's kernel, and not only its name, was asked. */
const isJudged = ({ error, profile, lkdtm }) => error === null && Boolean(profile) && Boolean(lkdtm);

/** `{ profiles, switches }`: profiles with the kernels that they stand for, and `{ profile, name }` of each switch. */
export function unjudged(rows) {
  const judged = rows.filter(isJudged).map((row) => ({ era: baseOf({ name: row.profile }), has: switchesOfRow(row) }));
  const eras = new Set(judged.map(({ era }) => era));
  return {
    profiles: profileList.filter(({ name }) => !eras.has(name)),
    switches: profileList
      .filter(({ name }) => eras.has(name))
      .flatMap(({ name: profile }) =>
        switchesOf(profile)
          .filter((name) => !isTold(profile, name, judged))
          .map((name) => ({ profile, name })),
      ),
  };
}

/** What a switch changes was so in one of the kernels; a switch that changes nothing is told by the profile itself. */
function isTold(profile, name, judged) {
  const plain = parseProfile(profile).switches;
  const changed = Object.entries(parseProfile(`${profile},${name}`).switches).filter(
    ([key, value]) => plain[key] !== value,
  );
  return (
    changed.length === 0 ||
    judged.some(({ era, has }) => era === profile && changed.every(([key, value]) => has[key] === value))
  );
}
