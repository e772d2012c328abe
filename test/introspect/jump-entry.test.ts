import { expect, it } from 'vitest';
import { variantOf } from '../../arch/index.js';
import { jumpEntryOf } from '../../src/introspect/jump-entry.js';
import { parseBanner } from '../../src/kernel/version.js';
import { loadOwnKernel } from '../../src/scenario/own.js';
import { kernelWith } from './memory.js';

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

// HAVE_ARCH_JUMP_LABEL_RELATIVE, which no architecture could have before 4.20 (50ff18ab497a).
it.each([
  [['x86_64', 'i386', 'arm64', 's390x'], '4.19.0', '4.20.0'],
  [['ppc', 'ppc64', 'ppc64le'], '5.12.0', '5.13.0'],
])('the jump entries of %j hold addresses in %s, and distances in %s', (variants, before, since) => {
  const isRelative = (variant: string, release: string): boolean =>
    variantOf(variant).staticBranch.relativeEntries({
      ...kernelWith(new Uint8Array(0)),
      version: parseBanner(`Linux version ${release} (a@b)`)!,
    });
  for (const variant of variants)
    expect([variant, isRelative(variant, before), isRelative(variant, since)]).toEqual([variant, false, true]);
});
