/** What Debian's Python bindings of Unicorn need beside themselves. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hasProgram } from './step.mjs';

/**
 * Imported by the binding of 2.0.1 and used nowhere in it. Python 3.12 has no distutils any more, and Debian has both in
 * packages of their own.
 */
const UNUSED_IMPORTS = {
  'distutils.sysconfig': ['distutils/__init__.py', 'distutils/sysconfig.py'],
  pkg_resources: ['pkg_resources.py'],
};

const python = (args) => spawnSync('python3', args, { encoding: 'utf8', timeout: 60_000 });

/** The Python that runs the bindings: `{ program, version }`; null where there is none. */
export function findPython() {
  if (!hasProgram('python3')) return null;
  const { status, stdout } = python([
    '-c',
    'import platform, sys; print(sys.executable); print(platform.python_version())',
  ]);
  const [program, version] = (stdout ?? '').split('\n');
  return status === 0 && program ? { program, version } : null;
}

/** Puts empty modules where a binding imports what this Python does not have and the binding does not use. */
export function completeBinding({ version, python: folder }) {
  if (version !== '2.0.1') return;
  for (const [name, files] of Object.entries(UNUSED_IMPORTS)) {
    if (python(['-c', `import ${name}`]).status === 0) continue;
    for (const file of files) {
      const path = join(folder, file);
      mkdirSync(dirname(path), { recursive: true });
      if (!existsSync(path)) writeFileSync(path, '# Imported by the binding beside this, and used nowhere in it.\n');
    }
  }
}
