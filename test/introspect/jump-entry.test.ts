import { expect, it } from 'vitest';
import { variantOf } from '../../arch/index.js';
import { jumpEntryOf } from '../../src/introspect/jump-entry.js';
import { loadOwnKernel } from '../../src/scenario/own.js';

// struct jump_entry of include/linux/jump_label.h and arch/*/include/asm/jump_label.h, 6.1.
it.each([
  ['x86_64', { relative: true, size: 16, addressBytes: 4, keyAt: 8, keyBytes: 8 }],
  ['i386', { relative: true, size: 12, addressBytes: 4, keyAt: 8, keyBytes: 4 }],
  ['ppc', { relative: true, size: 12, addressBytes: 4, keyAt: 8, keyBytes: 4 }],
  ['arm', { relative: false, size: 12, addressBytes: 4, keyAt: 8, keyBytes: 4 }],
  ['sparc64', { relative: false, size: 12, addressBytes: 4, keyAt: 8, keyBytes: 4 }],
])('the jump entries of %s have the shape that its headers say', async (variant, shape) => {
  expect(jumpEntryOf(await loadOwnKernel(variant), variantOf(variant).staticBranch)).toEqual(shape);
});
