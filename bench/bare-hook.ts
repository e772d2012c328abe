/** What a hook in C costs by itself, measured by `harness/hook.c` on the libunicorn that everything else runs on. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { loadAddon } from '../src/engine/unicorn-addon.js';
import { openLibrary } from '../src/engine/unicorn-library.js';
import { places } from '../src/engine/unicorn-places.js';
import { UsercopyError } from '../src/errors.js';
import { packageFile } from '../src/paths.js';
import { execute } from './twin.js';

/** `reading`: it reads as many registers at once as a copy's request has. */
export type BareHookKind = 'counting' | 'reading';

const SOURCE = 'bench/harness/hook.c';
const WHAT = 'the hook in C';

/** The program, built; `close()` removes it. */
export class BareHook {
  readonly #folder = mkdtempSync(join(tmpdir(), 'usercopy-hook-'));
  readonly #program = join(this.#folder, 'hook');

  /** @throws UsercopyError `missing-dependency` without a C compiler, libunicorn, or its headers, as in an installed package. */
  constructor() {
    const include = places().unicorn?.include ?? null;
    const source = packageFile(SOURCE);
    try {
      if (include === null || !existsSync(include) || !existsSync(source)) {
        throw new UsercopyError(
          'missing-dependency',
          `${WHAT}: expected ${SOURCE} and libunicorn's headers, found not both`,
        );
      }
      // Headers of another release do: what the program calls is the same in all.
      const library = openLibrary(loadAddon());
      const flags = ['-O2', '-I', include, `-Wl,-rpath,${dirname(library)}`];
      execute('cc', [...flags, '-o', this.#program, source, library], WHAT);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Nanoseconds of an arrival, of so many in a row. */
  time(kind: BareHookKind, arrivals: number): number {
    return Number(execute(this.#program, [kind, String(arrivals)], WHAT));
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
