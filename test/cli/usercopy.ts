import { spawnSync } from 'node:child_process';
import { packageFile } from '../../src/paths.js';

/** The tool as a user starts it: the compiled program, as a process of its own. */
export function usercopy(args: readonly string[], environment: Record<string, string> = {}, cwd?: string) {
  const result = spawnSync(process.execPath, [packageFile('build/cli/main.js'), ...args], {
    encoding: 'utf8',
    ...(cwd === undefined ? {} : { cwd }),
    timeout: 120_000,
    maxBuffer: 64 << 20,
    env: { ...process.env, ...environment },
  });
  return { status: result.status, out: result.stdout, err: result.stderr };
}
