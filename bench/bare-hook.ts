/** What a hook in C costs by itself, measured by `harness/hook.c` on the libunicorn that everything else runs on. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { places } from '../src/engine/unicorn-places.js';
import { UsercopyError } from '../src/errors.js';
import { packageFile } from '../src/paths.js';
import { present } from './present.js';
import { execute } from './twin.js';

/** Nanoseconds of an arrival, one for each round. */
export interface BareHook {
  readonly counting: readonly number[];
  /** It reads four registers at once. */
  readonly reading: readonly number[];
}

const SOURCE = 'bench/harness/hook.c';
const WHAT = 'the hook in C';

/** @throws UsercopyError `missing-dependency` without a C compiler, the source, or libunicorn's headers, as in an installed package. */
export function measureBareHook(rounds: number, arrivals: number): BareHook {
  const { unicorn } = places();
  const include = unicorn?.include ?? '';
  const source = packageFile(SOURCE);
  if (unicorn === undefined || !existsSync(include) || !existsSync(source)) {
    throw new UsercopyError(
      'missing-dependency',
      `${WHAT}: expected ${SOURCE} and libunicorn's headers, found not both`,
    );
  }
  const directory = mkdtempSync(join(tmpdir(), 'usercopy-hook-'));
  try {
    const program = join(directory, 'hook');
    const flags = ['-O2', '-I', include, `-Wl,-rpath,${unicorn.lib}`];
    execute('cc', [...flags, '-o', program, source, unicorn.library], WHAT);
    const lines = execute(program, [String(rounds), String(arrivals)], WHAT)
      .trim()
      .split('\n');
    const figures = lines.map((line) => line.split(' ').map(Number));
    return {
      counting: figures.map((figure) => present(figure[1])),
      reading: figures.map((figure) => present(figure[2])),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
