/**
 * Counts of the built-in SPARC guests, on a libunicorn that can hook every instruction of a SPARC: 2.1.4 cannot. That newer
 * ones count the same is versions.test.ts's.
 */
import { expect, it } from 'vitest';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { loadOwnKernel, ownCases, startOwnGuest } from '../../src/scenario/own.js';
import { unicornsHere } from '../places.js';
import { compareWithTrace, every } from './trace.js';

it.each(['sparc', 'sparc64'])(
  'instructions counted by block are those that fire one by one in the built-in %s guest',
  async (variant) => {
    const oldest = unicornsHere[0]!;
    // The first emulator decides for the process.
    const emulator = openUnicorn({ arch: 'SPARC', mode: ['SPARC32', 'BIG_ENDIAN'] }, { library: oldest.library });
    expect(emulator.version).toBe(oldest.version);
    emulator.close();
    const guest = await startOwnGuest(await loadOwnKernel(variant));
    try {
      await compareWithTrace(guest, every((await ownCases(guest)).cases, 7));
    } finally {
      guest.close();
    }
  },
);
