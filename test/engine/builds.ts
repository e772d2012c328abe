/** The engine contract on one of Debian's builds of libunicorn: a process can use only one, so each has a test file. */
import { describe, expect, test } from 'vitest';
import type { Engine, EngineSpec } from '../../src/engine/engine.js';
import { loadAddon } from '../../src/engine/unicorn-addon.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { unicornBuilds, unicornsHere } from '../places.js';
import { engineContract } from './contract.js';
import { countingContract } from './counting.js';

/** What the set-up fetches; a file for each stands beside this one. */
export const CONTRACT_BUILDS = ['2.0.1', '2.1.1', '2.1.4'];

/** Registers the contract's tests for a version; where the archive no longer has it, a skip that says so. */
export function contractOn(version: string): void {
  const build = unicornBuilds.find((candidate) => candidate.version === version);
  if (build === undefined || build.absence !== null) {
    test.skip(`libunicorn ${version}: ${build?.absence ?? 'the set-up did not look for it'}`, () => {});
    return;
  }
  const open = (spec: EngineSpec): Engine => openUnicorn(spec, { library: build.library });
  engineContract(`libunicorn ${version}`, open);
  countingContract(`libunicorn ${version}`, open);

  describe('the library', () => {
    test(`is ${version}, and no other is opened beside it`, () => {
      open({ arch: 'X86', mode: ['64'] }).close();
      expect(loadAddon().version().join('.')).toBe(version);
      const other = unicornsHere.find((candidate) => candidate.version !== version);
      expect(other).toBeDefined();
      expect(() => openUnicorn({ arch: 'X86', mode: ['64'] }, { library: other!.library })).toThrow(
        /uses the libunicorn .* already, and one process can use only one/,
      );
    });
  });
}
