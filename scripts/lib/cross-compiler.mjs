/**
 * Compilers for what the package carries: the machine's, and Debian 12's, unpacked into the cache. A library asks for the C library
 * that it was linked with; Debian 12's toolchain links to one that is old enough for every target, wherever it runs.
 */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackWithNeeds } from './debian-packages.mjs';
import { cache, hasProgram } from './step.mjs';

const SUITE = 'bookworm';
const GCC = '12';

/** By Node's names of processors: the name in GCC's programs, and in Debian's packages. */
const TRIPLES = {
  x64: { triple: 'x86_64-linux-gnu', packages: 'x86-64-linux-gnu' },
  arm64: { triple: 'aarch64-linux-gnu', packages: 'aarch64-linux-gnu' },
};

/** Where the packages of a target's compiler lie once `debianCompiler()` was asked for it. */
export const compilerFolder = (arch) => join(cache, 'prebuild', `compiler-${arch}`);

/** Where a cross compiler's packages keep the target's own libraries: a root for programs that are built for it. */
export const targetRoot = (arch) => join(compilerFolder(arch), 'usr', TRIPLES[arch].triple);

/** `{ name, env }` of the machine's own compiler for a processor; `{ reason }` where it has none. */
export function machineCompiler(arch) {
  if (arch === process.arch)
    return hasProgram('g++') ? { name: 'g++ of this machine', env: {} } : { reason: 'this machine has no g++' };
  const { triple } = TRIPLES[arch];
  const [CC, CXX, AR] = ['gcc', 'g++', 'ar'].map((name) => `${triple}-${name}`);
  return hasProgram(CXX)
    ? { name: `${CXX} of this machine`, env: { CC, CXX, AR } }
    : { reason: `this machine has no ${CXX}` };
}

/** A program of the unpacked root, called with its own libraries. */
function wrapper(root, folder, name, options) {
  const file = join(folder, name);
  const libraries = join(root, 'usr', 'lib', TRIPLES[process.arch]?.triple ?? '');
  writeFileSync(
    file,
    `#!/bin/sh\nPATH='${root}/usr/bin':$PATH LD_LIBRARY_PATH='${libraries}' exec '${root}/usr/bin/${name}' ${options} "$@"\n`,
  );
  chmodSync(file, 0o755);
  return file;
}

/** As `machineCompiler()`, of Debian 12: fetched where it is not in the cache. */
export function debianCompiler(arch) {
  const { triple, packages } = TRIPLES[arch];
  const own = arch === process.arch;
  const name = own ? `g++-${GCC}` : `g++-${GCC}-${packages}`;
  const root = compilerFolder(arch);
  if (!existsSync(join(root, 'usr', 'bin', `${triple}-g++-${GCC}`))) {
    console.log(`prebuild: downloading ${name} (Debian packages, unpacked into .cache, nothing is installed)`);
    const { reason } = unpackWithNeeds(SUITE, name, root, { whole: true });
    if (reason) return { reason };
  }
  const folder = join(root, 'wrappers');
  mkdirSync(folder, { recursive: true });
  const sysroot = `--sysroot='${root}'`;
  return {
    name: `${name} of Debian's ${SUITE}`,
    env: {
      CC: wrapper(root, folder, `${triple}-gcc-${GCC}`, sysroot),
      CXX: wrapper(root, folder, `${triple}-g++-${GCC}`, sysroot),
      AR: wrapper(root, folder, `${triple}-ar`, ''),
    },
  };
}
