/** The check as the set-up built it: check.wasm, its JavaScript, and the native code inside the addon. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { UsercopyError } from '../errors.js';
import { buildCommand, packageFile } from '../paths.js';
import { loadAddon, type NativeCheck } from './unicorn-addon.js';

function builtFile(name: string): string {
  const path = packageFile(`build/${name}`);
  if (existsSync(path)) return path;
  throw new UsercopyError('missing-dependency', `${name}: expected it at ${path}; run \`${buildCommand()}\``);
}

/** What `Check.create()` takes in Node.js. Its functions throw `missing-dependency` for what was not built. */
export const builtCheck = Object.freeze({
  module: (): Uint8Array => readFileSync(builtFile('check.wasm')),

  native(module: Uint8Array) {
    const addon = loadAddon();
    const { absence, digest } = addon.nativeCheckState();
    if (absence !== null) throw new UsercopyError('missing-dependency', `no native check: ${absence}`);
    if (createHash('sha256').update(module).digest('hex') !== digest) {
      throw new UsercopyError(
        'missing-dependency',
        `no native check: it was compiled from another check.wasm; run \`${buildCommand()}\``,
      );
    }
    return (memory: WebAssembly.Memory, read: ConstructorParameters<typeof addon.NativeCheck>[1]): NativeCheck =>
      new addon.NativeCheck(memory, read);
  },

  javascript() {
    const file = pathToFileURL(builtFile('check.mjs')).href;
    return () => import(file);
  },
});
