/** A scenario's guest, out of a kernel image or built in, started by the rules that it asks for. */
import { resolve } from 'node:path';
import { parseProfile } from '../check/profiles.js';
import { Guest } from '../guest/guest.js';
import { fetchKernel } from '../image/fetch.js';
import { wordOf } from './expression.js';
import type { ScenarioGuest } from './format.js';
import { loadOwnKernel, ownVariants, startOwnGuest } from './own.js';
import { located, type Path, type Positions } from './positions.js';
import type { ScenarioFile } from './read.js';
import { chooseRules, type StartedGuest } from './rules.js';
import { loadTypedKernel } from './typed-kernel.js';

const LEAST_RAM = 1n << 20n;
/** It is kept twice: as it is, and as every step finds it. */
const MOST_RAM = 1n << 30n;

/** Bytes of RAM that a scenario asks for. @throws UsercopyError `bad-input` with the place in the file. */
function ramOf(ram: NonNullable<ScenarioGuest['ram']>, positions: Positions): bigint {
  const path: Path = ['guest', 'ram'];
  const bytes = wordOf(ram, positions.at(path));
  if (bytes < LEAST_RAM || bytes > MOST_RAM || bytes % LEAST_RAM !== 0n) {
    throw positions.refuse(path, `whole MiB of at most ${MOST_RAM >> 20n} MiB`, `${bytes} bytes`);
  }
  return bytes;
}

/**
 * `started`: a built-in guest of this variant, as `startOwnGuest` gives it, which is taken and closed where this fails.
 * @throws UsercopyError `bad-input` with the place in the file, and what making a guest throws.
 */
export async function startGuest(
  spec: ScenarioGuest,
  file: ScenarioFile,
  onProgress?: (what: string) => void,
  started?: Guest,
): Promise<StartedGuest> {
  const { positions } = file;
  const given = (name: keyof ScenarioGuest): boolean => spec[name] !== undefined;
  const clash = (name: keyof ScenarioGuest, without: string): void => {
    if (given(name)) throw positions.refuseName(['guest', name], `no ${name} ${without}`, 'one');
  };
  if (given('kernel')) for (const name of ['variant', 'release', 'build'] as const) clash(name, "beside 'kernel'");
  else {
    if (!given('variant')) throw positions.refuse(['guest'], "'variant' or 'kernel' in guest", 'neither');
    for (const name of ['btf', 'config'] as const) clash(name, "without 'kernel'");
    if (given('release')) clash('build', "beside 'release'");
  }
  const { profile = 'auto' } = spec;
  if (profile !== 'auto') await located(positions, ['guest', 'profile'], () => parseProfile(profile));
  return given('kernel') || given('release')
    ? startRealGuest(spec, file, onProgress)
    : startBuiltIn(spec, positions, started);
}

async function startRealGuest(
  spec: ScenarioGuest,
  { directory, positions }: ScenarioFile,
  onProgress: ((what: string) => void) | undefined,
): Promise<StartedGuest> {
  const { kernel: image, variant, release, btf, config, ram } = spec;
  const path = (name: string): string => resolve(directory, name);
  const found = image === undefined ? (await fetchKernel(variant ?? '', { release: release ?? '' })).path : path(image);
  const kernel = await loadTypedKernel(found, { btf: btf && path(btf), config: config && path(config), onProgress });
  const guest = await Guest.create(kernel, { ramBytes: ram === undefined ? undefined : ramOf(ram, positions) });
  return {
    guest,
    kernel: guest.kernel,
    isOwn: false,
    profile: spec.profile,
    ownCheckKnows: spec.frames === undefined && kernel.symbols.address('__check_object_size') !== undefined,
    stackDepth: undefined,
  };
}

async function startBuiltIn(spec: ScenarioGuest, positions: Positions, started?: Guest): Promise<StartedGuest> {
  const { variant = '', build = 'check' } = spec;
  if (!ownVariants().includes(variant)) {
    throw positions.refuse(
      ['guest', 'variant'],
      `a built-in guest: one of ${ownVariants().join(', ')}`,
      `'${variant}'`,
    );
  }
  const ram = { ramBytes: spec.ram === undefined ? undefined : ramOf(spec.ram, positions) };
  const guest = started ?? (await startOwnGuest(await loadOwnKernel(variant, build), ram));
  try {
    return await chooseRules(guest, spec, build);
  } catch (error) {
    guest.close();
    throw error;
  }
}
