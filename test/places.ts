/** What the set-up brought for tests: Debian's builds of Unicorn with their Python bindings, and headers. */
import { existsSync } from 'node:fs';
import { places, type UnicornBuild, type UnicornPlace } from '../src/engine/unicorn-places.js';
import { packageFile } from '../src/paths.js';

/** A build that is here. */
export type HereBuild = UnicornPlace & { readonly include: string; readonly python: string };

/** Every build that tests run on, oldest first; one that is not here has the reason for its skip in `absence`. */
export const unicornBuilds: readonly UnicornBuild[] = places().unicorns ?? [];

/** The builds that are here. */
export const unicornsHere: readonly HereBuild[] = unicornBuilds.flatMap((build) =>
  build.absence === null ? [build] : [],
);

/** The libunicorn that the addon and libusercopy were built with. */
export function unicornInUse(): UnicornPlace & { readonly include: string } {
  const { unicorn } = places();
  if (unicorn === undefined || unicorn.include === null)
    throw new Error('build/places.json names no libunicorn with headers: run npm run build -- --test');
  return { ...unicorn, include: unicorn.include };
}

/** The Python that runs the bindings. */
export function python(): string {
  const found = places().python;
  if (!found) throw new Error('there is no python3: the set-up needs one to build the addon');
  return found.program;
}

/** AFL++; a text where it is not here: why. */
export function fuzzer(): { readonly program: string; readonly runtime: string; readonly lib: string } | string {
  const found = places().fuzzer;
  if (found === undefined) throw new Error('build/places.json names no fuzzer: run npm run build -- --test');
  return found.absence === null ? found : found.absence;
}

/** A program and the environment that it runs in. */
export interface HereProgram {
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
}

/** The program that expands dumps; a text where it is not here: why. */
export const zstd = (): HereProgram | string => programOf('zstd');

/** The browser that the page is tested in; a text where it is not here: why. */
export function chromium(): HereProgram | string {
  const found = programOf('chromium');
  // Written where the set-up brought fonts with it.
  const fonts = packageFile('.cache/chromium/fonts.conf');
  if (typeof found === 'string' || !existsSync(fonts)) return found;
  return { ...found, env: { ...found.env, FONTCONFIG_FILE: fonts } };
}

function programOf(name: 'zstd' | 'chromium'): HereProgram | string {
  const found = places()[name];
  if (found === undefined) throw new Error(`build/places.json names no ${name}: run npm run build -- --test`);
  if (found.program === null) return found.absence ?? `no ${name}`;
  const { program, libraries } = found;
  const known = process.env['LD_LIBRARY_PATH'];
  const paths = known === undefined ? libraries : [...libraries, known];
  return {
    program,
    env: libraries.length === 0 ? process.env : { ...process.env, LD_LIBRARY_PATH: paths.join(':') },
  };
}

/** The environment in which a program loads this libunicorn, and Python its binding. */
export function unicornEnvironment({ lib, python: bindings }: HereBuild): NodeJS.ProcessEnv {
  return { ...process.env, LD_LIBRARY_PATH: lib, PYTHONPATH: bindings };
}

/** The build of a version. An error where it is not here: ask `unicornBuilds` first. */
export function unicornBuild(version: string): HereBuild {
  const found = unicornsHere.find((build) => build.version === version);
  if (found === undefined) throw new Error(`libunicorn ${version} is not here`);
  return found;
}
