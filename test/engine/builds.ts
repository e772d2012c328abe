/** The engine contract on one of Debian's builds of libunicorn: a process can use only one, so each has a test file. */
import { describe, expect, test } from 'vitest';
import type { Engine, EngineSpec } from '../../src/engine/engine.js';
import { loadAddon } from '../../src/engine/unicorn-addon.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { restoringContract } from '../guest/restoring.js';
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
  restoringContract(`libunicorn ${version}`, open);

  describe('a hook in the delay slot of a SPARC jump', () => {
    const start = 0x1_0000n;
    const target = start + 0x100n;
    const jump = Uint8Array.of(0x81, 0xc0, 0x40, 0x00, 0x01, 0, 0, 0); // jmpl %g1 + %g0, %g0; nop
    const nops = Uint8Array.of(0x01, 0, 0, 0, 0x01, 0, 0, 0);

    test.each(['SPARC32', 'SPARC64'])('fires and leaves the jump alone, or is refused each time: %s', (mode) => {
      const engine = open({ arch: 'SPARC', mode: [mode, 'BIG_ENDIAN'] });
      try {
        engine.map(start, 0x2000n, 'rwx');
        engine.write(start, jump);
        engine.write(target, nops);
        let fired = 0;
        engine.hookAddress(start + 4n, () => {
          fired += 1;
        });
        let refusals = 0;
        for (const round of [1, 2, 3]) {
          engine.writeRegister('g1', target);
          try {
            const result = engine.runSync({ start, until: target + 4n, timeLimit: 5000 });
            expect(result).toMatchObject({ reason: 'until', pc: target + 4n });
            expect(fired).toBe(round);
          } catch (error) {
            expect(error).toMatchObject({ kind: 'unsupported', message: expect.stringMatching(/delay slot/) });
            refusals += 1;
          }
        }
        expect([0, 3]).toContain(refusals);
        expect(fired).toBe(3 - refusals);
        const everyInstruction = () => engine.hookInstruction(() => {});
        if (refusals > 0) expect(everyInstruction).toThrow(/delay slot/);
        else expect(everyInstruction).not.toThrow();
      } finally {
        engine.close();
      }
    });
  });

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
