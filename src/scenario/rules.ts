/** The rules that a built-in guest's own check judges by, as a scenario asks for them. */
import type { Guest } from '../guest/guest.js';
import type { Kernel } from '../kernel/kernel.js';
import { measureStackDepth, type StackDepth } from '../stack/depth.js';
import type { ScenarioGuest } from './format.js';
import { chooseOwnProfile, NEWEST_OWN_PROFILE, OWN_PROFILES } from './own-guest.js';

export interface StartedGuest {
  readonly guest: Guest;
  /** What to attach to. */
  readonly kernel: Kernel;
  readonly isOwn: boolean;
  readonly profile: string | undefined;
  readonly ownCheckKnows: boolean;
  readonly stackDepth: StackDepth | null | undefined;
}

/** Sets a built-in guest that has been started to the profile and switches of a scenario. */
export async function chooseRules(
  guest: Guest,
  spec: ScenarioGuest,
  build: 'check' | 'nocheck' = 'check',
): Promise<StartedGuest> {
  const wanted = spec.profile === undefined || spec.profile === 'auto' ? NEWEST_OWN_PROFILE : spec.profile;
  const [name = '', ...switches] = wanted.split(',').map((part) => part.trim());
  const ownSwitches = switches.map((word) => OWN_SWITCHES[word]).filter((found) => found !== undefined);
  const ownCheckKnows = build === 'check' && name in OWN_PROFILES && ownSwitches.length === switches.length;
  // Asked before the check is silenced.
  const stackDepth = await measureStackDepth(guest);
  if (build === 'check') {
    if (ownCheckKnows) {
      chooseOwnProfile(guest, name);
      for (const found of ownSwitches) setOwnFlag(guest, ...found);
    } else setOwnFlag(guest, OWN_BYPASS, true);
    if (spec.frames !== undefined) setOwnFlag(guest, OWN_FRAMES, spec.frames);
  }
  // That its check has other rules and is switched off is no business of ours.
  const isSilenced = build === 'check' && !ownCheckKnows;
  const kernel = isSilenced ? withoutSymbol(guest.kernel, OWN_BYPASS) : guest.kernel;
  return { guest, kernel, isOwn: true, profile: wanted, ownCheckKnows, stackDepth };
}

/** Variables of the built-in guests: `hardened_usercopy=off`, and whether frames are walked. */
const OWN_BYPASS = 'bypass_usercopy_checks';
const OWN_FRAMES = 'usercopy_check_frames';

/** Switches of profiles that their own check has too. */
const OWN_SWITCHES: Readonly<Record<string, [symbol: string, on: boolean]>> = {
  bypass: [OWN_BYPASS, true],
  'no-bypass': [OWN_BYPASS, false],
  frames: [OWN_FRAMES, true],
  'no-frames': [OWN_FRAMES, false],
};

function withoutSymbol(kernel: Kernel, hidden: string): Kernel {
  const { symbols } = kernel;
  return {
    ...kernel,
    symbols: {
      count: symbols.count,
      source: symbols.source,
      address: (name) => (name === hidden ? undefined : symbols.address(name)),
      get: (name) => (name === hidden ? undefined : symbols.get(name)),
      all: (name) => (name === hidden ? [] : symbols.all(name)),
      find: (address) => symbols.find(address),
      [Symbol.iterator]: () => symbols[Symbol.iterator](),
    },
  };
}

function setOwnFlag(guest: Guest, symbol: string, on: boolean): void {
  guest.memory.writeUnsigned(guest.symbol(symbol), 4, on ? 1n : 0n);
}
