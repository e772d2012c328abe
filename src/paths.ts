/** Where the package's own files lie, whether it runs from its sources or from `build/`. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Error('package.json not found above this module');
    directory = parent;
  }
  return directory;
}

/** Absolute path of a file of this package, given from its root. */
export const packageFile = (path: string): string => join(packageRoot(), path);

/**
 * A compiled file, `unicorn_engine.node` or `libusercopy.so`: as it was compiled on this machine, else as the package brings it. Where
 * neither is there, the place where compiling puts it.
 */
export function nativeFile(name: string): string {
  const compiled = packageFile(`build/Release/${name}`);
  const prebuilt = packageFile(`prebuilds/${process.platform}-${process.arch}/${name}`);
  return !existsSync(compiled) && existsSync(prebuilt) ? prebuilt : compiled;
}

/** Whether this is the package as npm installs it, and not the project's sources: those have a tsconfig.json. */
const isInstalled = (): boolean => !existsSync(packageFile('tsconfig.json'));

/** The command that makes what is missing, where this runs: an installed package has no scripts to build with. */
export const buildCommand = (script: 'build' | 'page' = 'build'): string =>
  isInstalled() ? 'npm rebuild unicorn-usercopy --ignore-scripts=false' : `npm run ${script}`;
