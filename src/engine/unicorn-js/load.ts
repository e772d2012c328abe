/** How unicorn.js is found where Node.js runs. */
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { badInput, UsercopyError } from '../../errors.js';
import { instantiate, type UnicornJsFactory, type UnicornJsModule } from './module.js';

const PACKAGE = '@alexaltea/unicorn-js';

/** What a module of the newer kind exports by default; another one itself. */
function defaultOf(exported: unknown): unknown {
  const isObject = typeof exported === 'object' || typeof exported === 'function';
  return isObject && exported !== null && 'default' in exported ? (exported.default ?? exported) : exported;
}

/**
 * Finds the package: a factory as it is; else a path; else the file that `UNICORN_JS` names; else the installed package.
 * @throws UsercopyError `missing-dependency` when there is none, `bad-input` when a file is not unicorn.js.
 */
export async function loadUnicornJs(source?: string | UnicornJsFactory): Promise<UnicornJsModule> {
  if (typeof source === 'function') return instantiate('unicorn.js', source);
  const path = source ?? process.env['UNICORN_JS'];
  const require = createRequire(import.meta.url);
  let exported: unknown;
  try {
    exported = require(path === undefined || path === '' ? PACKAGE : resolve(path));
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UsercopyError(
      'missing-dependency',
      `unicorn.js cannot be loaded (${reason}): install ${PACKAGE} 2.1, or set UNICORN_JS to its unicorn.js`,
      { cause: error },
    );
  }
  const factory = defaultOf(exported);
  if (typeof factory !== 'function')
    throw badInput(path || PACKAGE, 'a module that exports MUnicorn()', typeof factory);
  // A function; what it makes is looked at.
  return instantiate(path || PACKAGE, factory as UnicornJsFactory);
}
