/** Where the set-up found libunicorn: `build/places.json`, whose shape `scripts/lib/places.mjs` describes. */
import { readFileSync } from 'node:fs';
import { packageFile } from '../paths.js';

/** A libunicorn that can be loaded here. */
export interface UnicornPlace {
  /** Of its headers, or as it says itself: `2.1.4`. */
  readonly version: string;
  /** In words: `Debian trixie, libunicorn2t64 2.1.1-2+b2`, `UNICORN_PREFIX`, `installed on this machine`. */
  readonly source: string;
  /** The folder with `unicorn/unicorn.h`; null where only the library is here, which an installed package can do with. */
  readonly include: string | null;
  /** The folder of `library`, for LD_LIBRARY_PATH. */
  readonly lib: string;
  /** The library's file. */
  readonly library: string;
  /** The GNU C library that it needs at least; null when it needs none. */
  readonly glibc: string | null;
  readonly sha256: string;
  /** In words, what later releases have that this one has not; null where no headers say so. */
  readonly lacks: readonly string[] | null;
}

/** One that goes unused, and why. */
export interface PassedOver {
  readonly version: string;
  readonly source: string;
  readonly reason: string;
}

/** One of Debian's builds, which tests run on side by side. `absence`: why it is not here; null when it is. */
export type UnicornBuild =
  | (UnicornPlace & { readonly include: string; readonly python: string; readonly absence: null })
  | { readonly version: string; readonly absence: string };

/** A program that only tests need. */
export interface TestProgram {
  readonly program: string | null;
  /** Folders for the loader. */
  readonly libraries: readonly string[];
  /** Why it is not here; null when it is. */
  readonly absence: string | null;
}

export interface Places {
  readonly unicorn?: UnicornPlace & { readonly passedOver: readonly PassedOver[] };
  readonly unicorns?: readonly UnicornBuild[];
  /** AFL++, which tests fuzz with; Debian's, unpacked by the set-up. */
  readonly fuzzer?:
    | {
        readonly program: string;
        readonly runtime: string;
        readonly lib: string;
        readonly source: string;
        readonly absence: null;
      }
    | { readonly absence: string };
  readonly python?: { readonly program: string; readonly version: string } | null;
  /** Expands the dumps of tests. */
  readonly zstd?: TestProgram;
  /** The browser that the page is tested in. */
  readonly chromium?: TestProgram;
  readonly json?: { readonly include: string } | null;
  readonly wabt?: {
    readonly program: string;
    readonly version: string;
    readonly include: string;
    readonly source: string;
  } | null;
}

/** What the last set-up wrote; an empty object where none has run. */
export function places(): Places {
  try {
    const found: Places = JSON.parse(readFileSync(packageFile('build/places.json'), 'utf8'));
    return found;
  } catch {
    return {};
  }
}
