import { describe, expect, test } from 'vitest';
import { openUnicornJs } from '../../src/engine/unicorn-js.js';
import { engineContract } from './contract.js';

const opened = await openUnicornJs().then(
  (open) => ({ open, missing: '' }),
  (error: Error) => ({ open: null, missing: error.message }),
);

if (opened.open) engineContract('unicorn.js', opened.open);
else {
  describe('unicorn.js', () => {
    test.skip(`is not here: ${opened.missing}`, () => {});
  });
}

describe('finding unicorn.js', () => {
  test('a path that leads nowhere, and a file that is something else, are errors that say what to do', async () => {
    await expect(openUnicornJs('/nowhere/unicorn.js')).rejects.toThrow(/UNICORN_JS/);
    await expect(openUnicornJs(new URL(import.meta.url).pathname.replace(/[^/]*$/, 'no-module.json'))).rejects.toThrow(
      /unicorn\.js/,
    );
  });

  test('a factory of another module is refused', async () => {
    await expect(openUnicornJs(async () => ({}) as never)).rejects.toThrow(/raw exports/);
    await expect(
      openUnicornJs(async () => {
        throw new Error('no memory');
      }),
    ).rejects.toThrow(/no memory/);
  });
});
