/** A kernel's version, from the line that it greets with (`linux_banner`, init/version.c). */

import { bytesOf, latin1, occurrences } from './bytes.js';
import type { KernelVersion } from './kernel.js';

const PREFIX = bytesOf('Linux version ');
const LONGEST_BANNER = 1024;
/** Greetings that are looked at; a kernel has two to four, and formats of them. */
const ATTEMPTS = 256;

/** Whether a kernel is of series `major.minor` or a later one. A guest of our own has version 0.0. */
export function atLeast(version: KernelVersion, major: number, minor: number): boolean {
  return version.major > major || (version.major === major && version.minor >= minor);
}

/**
 * Whether a kernel has a fix that came with series `major.minor`, and into stable series at the patch levels of `stable`
 * (`{ '6.6': 21 }`).
 */
export function hasFix(
  version: KernelVersion,
  major: number,
  minor: number,
  stable: Readonly<Record<string, number>>,
): boolean {
  if (atLeast(version, major, minor)) return true;
  const since = stable[`${version.major}.${version.minor}`];
  return since !== undefined && version.patch >= since;
}

/** The version of an image without a banner: a guest of our own. */
export const NO_VERSION: KernelVersion = { banner: null, release: '', major: 0, minor: 0, patch: 0 };

/**
 * Reads a banner. Distributions keep the first release's number in the release (`6.1.0-50-amd64`) and tell the source's own
 * further back: Debian `Debian 6.1.176-1`, Ubuntu `(Ubuntu 5.15.0-100.110-generic 5.15.143)`.
 */
export function parseBanner(banner: string): KernelVersion | null {
  const [, release, major, minor, patch] =
    /^Linux version ((\d{1,3})\.(\d{1,5})(?:\.(\d{1,5}))?\S*)/.exec(banner) ?? [];
  if (release === undefined) return null;
  const source =
    new RegExp(`Debian ${major}\\.${minor}\\.(\\d+)`).exec(banner) ??
    new RegExp(`\\(Ubuntu \\S+ ${major}\\.${minor}\\.(\\d+)\\)`).exec(banner);
  return { banner, release, major: Number(major), minor: Number(minor), patch: Number(source?.[1] ?? patch ?? 0) };
}

/** The first banner in raw memory. */
export function findBanner(bytes: Uint8Array): KernelVersion | null {
  let attempts = 0;
  for (const at of occurrences(bytes, PREFIX)) {
    if (attempts++ === ATTEMPTS) return null;
    const end = bytes.subarray(at, at + LONGEST_BANNER).findIndex((byte) => byte === 0 || byte === 10);
    if (end < 0) continue;
    const version = parseBanner(latin1(bytes, at, at + end));
    if (version !== null) return version;
  }
  return null;
}
