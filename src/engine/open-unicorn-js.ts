/** unicorn.js as Node.js finds it, opened. */

import { loadUnicornJs } from './unicorn-js/load.js';
import type { UnicornJsFactory } from './unicorn-js/module.js';
import { type EngineOpener, unicornJsOpener } from './unicorn-js.js';

/**
 * Loads unicorn.js: a factory (what `@alexaltea/unicorn-js` exports), a path, or what `UNICORN_JS` names, or the installed
 * package.
 * @throws UsercopyError `missing-dependency` or `bad-input`, see `loadUnicornJs`.
 */
export async function openUnicornJs(source?: string | UnicornJsFactory): Promise<EngineOpener> {
  return unicornJsOpener(await loadUnicornJs(source));
}
