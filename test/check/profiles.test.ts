import { describe, expect, it } from 'vitest';
import {
  parseProfile,
  profileForVersion,
  profileNames,
  profileSwitches,
  switchNames,
} from '../../src/check/profiles.js';
import { UsercopyError } from '../../src/errors.js';
import type { KernelConfig, KernelVersion } from '../../src/kernel/kernel.js';
import { parseBanner } from '../../src/kernel/version.js';

const version = (release: string): KernelVersion => parseBanner(`Linux version ${release} `)!;

function config(...names: string[]): KernelConfig {
  return { get: (name) => (names.includes(name) ? 'y' : undefined), enabled: (name) => names.includes(name) };
}

describe('profiles', () => {
  it('are the eras of the check', () => {
    expect(profileNames).toEqual(['v3', 'v3-cma', '4.8', '4.16', '5.0', '5.18', '5.19-rc', '6.1']);
    expect(profileNames.map((name) => profileSwitches(name).stackFirst)).toEqual([
      ...[false, false, false, false],
      ...[true, true, true, true],
    ]);
    expect(profileNames.filter((name) => profileSwitches(name).format === 'new')[0]).toBe('4.16');
  });

  it('take changes, in the order they are written', () => {
    const profile = parseProfile('4.16, pagespan ,fallback');
    expect(profile.name).toBe('4.16,pagespan,fallback');
    expect(profile.switches).toEqual({ ...profileSwitches('4.16'), pageSpan: '4.8', fallback: true });
  });

  it('list what exists when they are asked for what does not', () => {
    expect(() => parseProfile('')).toThrow(UsercopyError);
    expect(() => parseProfile('7.0')).toThrow(
      /one of v3, v3-cma, 4\.8, 4\.16, 5\.0, 5\.18, 5\.19-rc, 6\.1, found '7\.0'/,
    );
    expect(() => parseProfile('6.1,fallback')).toThrow(
      /profile 6\.1: expected switches out of .*kmap-fixmap.*'fallback'/,
    );
    expect(() => parseProfile('6.1,toString')).toThrow(UsercopyError);
    expect(() => parseProfile('__proto__')).toThrow(UsercopyError);
  });

  it('read back what they are called', () => {
    for (const name of profileNames) {
      for (const change of switchNames) {
        let text: string;
        try {
          text = parseProfile(`${name},${change}`).name;
        } catch {
          continue;
        }
        expect(parseProfile(text).switches).toEqual(parseProfile(`${name},${change}`).switches);
      }
    }
  });

  it.each([
    ['4.4.0', '4.8'],
    ['4.10.0', '4.8'],
    ['4.12.0', '4.8,unless-virt-addr-valid'],
    ['4.18.0', '4.16'],
    ['5.2.0', '5.0,wrap-counts-end,no-highmem'],
    ['5.4.0', '5.0'],
    ['5.10.216', '5.0'],
    ['5.18.0', '5.18'],
    ['5.19.0-rc2', '5.19-rc'],
    ['5.19-rc1', '5.19-rc'],
    ['5.19.0-0.rc2.21.fc37.x86_64', '5.19-rc'],
    ['5.19.0-0.rc3.25.fc37.x86_64', '6.1,vmalloc-vmap-area'],
    ['5.19.0-rc21', '6.1,vmalloc-vmap-area'],
    ['5.19.0-rc3', '6.1,vmalloc-vmap-area'],
    ['5.19.0', '6.1,vmalloc-vmap-area'],
    // The stable reviews of 4.14.149 and 4.19.79 carry 314eed30ede0.
    ['4.14.148', '4.8,wrap-last-byte,unless-virt-addr-valid'],
    ['4.14.149', '4.8,wrap-last-byte,highmem,unless-virt-addr-valid'],
    ['4.19.79', '4.16,wrap-last-byte,highmem'],
    ['6.1.25', '6.1,vmalloc-vmap-area'],
    ['6.2.16', '6.1,vmalloc-vmap-area'],
    ['6.3.10', '6.1,kmap-fixmap'],
    ['6.1.192', '6.1'],
    ['6.12.117', '6.1,kmap-fixmap'],
  ])('%s is checked as %s', (release, name) => {
    expect(profileForVersion(version(release)).name).toBe(name);
  });

  it('follow the config', () => {
    expect(profileForVersion(version('5.10.0'), config('HARDENED_USERCOPY_FALLBACK')).name).toBe('5.0,fallback');
    expect(profileForVersion(version('5.16.0'), config('HARDENED_USERCOPY_FALLBACK')).name).toBe('5.0');
    expect(profileForVersion(version('4.10.0'), config('HARDENED_USERCOPY_PAGESPAN')).name).toBe('4.8,pagespan');
    expect(profileForVersion(version('6.1.192'), config('ARCH_HAS_CURRENT_STACK_POINTER')).name).toBe('6.1');
  });
});
