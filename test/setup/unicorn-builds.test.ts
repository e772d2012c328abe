import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { python, unicornBuilds, unicornEnvironment, unicornsHere } from '../places.js';

/** What the binary tools of the compiler say that a library asks of the C library. */
function glibcNeed(library: string): string | undefined {
  const { stdout } = spawnSync('objdump', ['-T', library], { encoding: 'utf8', maxBuffer: 64 << 20 });
  const versions = [...stdout.matchAll(/GLIBC_([\d.]+)/g)].map((match) => match[1]!);
  return versions.sort((one, other) => one.localeCompare(other, 'en', { numeric: true })).at(-1);
}

describe("Debian's builds of libunicorn, side by side", () => {
  it('are three, of which two at least are here', () => {
    expect(unicornBuilds.map(({ version }) => version)).toEqual(['2.0.1', '2.1.1', '2.1.4']);
    expect(unicornsHere.length).toBeGreaterThanOrEqual(2);
  });

  for (const build of unicornBuilds) {
    it(`${build.version} loads, and says of itself what the set-up says of it`, (context) => {
      if (build.absence !== null) return context.skip(build.absence);
      const ask =
        'import ctypes, unicorn; lib = ctypes.CDLL("libunicorn.so.2"); print(unicorn.__file__); print(hex(lib.uc_version(None, None)))';
      const { stdout, stderr, status } = spawnSync(python(), ['-c', ask], {
        encoding: 'utf8',
        env: unicornEnvironment(build),
      });
      expect(stderr).toBe('');
      expect(status).toBe(0);
      const [file, version] = stdout.trim().split('\n');
      expect(file).toBe(join(build.python, 'unicorn', '__init__.py'));
      // UC_MAKE_VERSION of 2.0 and later: major, minor, patch, extra, a byte each.
      const [major, minor, patch] = build.version.split('.').map(Number);
      expect(Number(version) >> 8).toBe((major! << 16) | (minor! << 8) | patch!);
      expect(createHash('sha256').update(readFileSync(build.library)).digest('hex')).toBe(build.sha256);
      expect(build.glibc).toBe(glibcNeed(build.library));
    });
  }
});
