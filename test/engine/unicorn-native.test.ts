import { describe, expect, test } from 'vitest';
import { loadAddon } from '../../src/engine/unicorn-addon.js';
import { openLibrary } from '../../src/engine/unicorn-library.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { engineContract } from './contract.js';
import { countingContract } from './counting.js';

engineContract('unicorn-native', openUnicorn);
countingContract('unicorn-native', openUnicorn);

describe('loading the addon', () => {
  test('tells the version of libunicorn', () => {
    const addon = loadAddon();
    openLibrary(addon);
    const [major, minor] = addon.version();
    expect(major).toBe(2);
    expect(minor).toBeGreaterThanOrEqual(0);
  });
});
