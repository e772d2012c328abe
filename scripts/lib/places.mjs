/**
 * `build/places.json`: where the set-up found or put what is not part of the project. The set-up writes it anew at every
 * run; `src/engine/unicorn-places.ts` and `test/places.ts` read it. Paths are absolute. Its shape:
 *
 *     unicorn    the libunicorn that is used:
 *                { version: "2.0.1", source: "Debian bookworm, libunicorn2 2.0.1.post1-1+b1",
 *                  include: folder with unicorn/unicorn.h, or null, lib: folder of the library, library: its file,
 *                  glibc: the GNU C library that it needs ("2.34") or null, sha256: of the file,
 *                  lacks: in words, what later releases have that this one has not; null where no headers say so,
 *                  passedOver: [{ version, source, reason }], newer or nearer ones and why they are not used }
 *     unicorns   Debian's builds side by side, oldest first, whether here or not; `setup --test` fetches all of them:
 *                { version, source, include, lib, library, glibc, sha256, lacks,
 *                  python: folder for PYTHONPATH with the binding of this version, absence: null }
 *                or { version, absence: "why it is not here, or cannot be loaded here" }
 *     python     { program, version: "3.11.2" } that runs the bindings; null where there is none
 *     fuzzer     AFL++: { program: afl-fuzz, runtime: afl-compiler-rt.o, lib: folders for LD_LIBRARY_PATH, source, absence: null }, or
 *                { absence: "why it is not here" }
 *     wabt       { program: wasm2c, version: "1.0.32", include: folder of wasm-rt.h, source: folder of wasm-rt-impl.c } of the wasm2c that build/generated/
 *                check_module.c is of; null where the check runs in V8 only
 *     json       { include } of nlohmann's JSON for Modern C++; null where it cannot be had
 *     chromium   { program, libraries: folders for LD_LIBRARY_PATH, absence: null } that the page is tested in, or
 *                { absence: "why it is not here" }
 *     zstd       the same of the program that expands the dumps of tests
 *
 * A program that shall use one of `unicorns` gets its `lib` in LD_LIBRARY_PATH (Debian's bindings call dlopen with the
 * bare name) and, if it is Python, its `python` in PYTHONPATH.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './step.mjs';

export const placesFile = join(root, 'build', 'places.json');

/** As the last set-up wrote them; an empty object before the first one. */
export function readPlaces() {
  try {
    return JSON.parse(readFileSync(placesFile, 'utf8'));
  } catch {
    return {};
  }
}

/** Writes what has changed; an unchanged file keeps its time. */
export function writePlaces(changes) {
  const before = existsSync(placesFile) ? readFileSync(placesFile, 'utf8') : '';
  const after = `${JSON.stringify({ ...readPlaces(), ...changes }, null, 2)}\n`;
  if (after === before) return;
  mkdirSync(dirname(placesFile), { recursive: true });
  writeFileSync(placesFile, after);
}
