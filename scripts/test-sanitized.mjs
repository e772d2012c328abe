#!/usr/bin/env node
/**
 * The addon, the native check in it and libusercopy under AddressSanitizer and UndefinedBehaviorSanitizer: a copy of this
 * checkout in .cache/sanitized is built with them, and the tests that load them run on it. Leaks are `npm run soak`'s
 * affair: Node.js frees little when it ends.
 * `npm run test:asan [-- TEST-FILE-OR-FOLDER …]`. Exit status: vitest's; 2 where no sanitized build can be had.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { cache, root } from './lib/step.mjs';

const FOLDERS = ['test/engine', 'test/attach', 'test/guest', 'test/check/executors.test.ts'];
/** AFL++ looks for its marks in the program, and finds none behind a library that is loaded before it. */
const LEFT_OUT = ['test/attach/library/campaign.test.ts'];
/** What the set-up fetches, and does not compile. */
const LINKED = ['afl++', 'apt', 'chromium', 'json', 'kernels', 'libunicorn', 'tools', 'unicorn', 'wabt', 'zstd'];
const tree = join(cache, 'sanitized');

const git = (cwd, ...args) => execFileSync('git', args, { cwd, encoding: 'utf8' }).split('\0').filter(Boolean);

/** What was built last time is kept: the set-up knows what is old. */
function copyCheckout() {
  const listed = git(root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard');
  const names = new Set(listed.filter((name) => existsSync(join(root, name))));
  mkdirSync(tree, { recursive: true });
  for (const name of names) cpSync(join(root, name), join(tree, name), { recursive: true });
  const [repository = ''] = git(root, 'rev-parse', '--absolute-git-dir').map((line) => line.trim());
  const places = ['--git-dir', repository, '--work-tree', tree];
  for (const name of git(tree, ...places, 'ls-files', '-z', '--cached', '--others', '--exclude-standard')) {
    if (!names.has(name)) rmSync(join(tree, name), { force: true });
  }
  const shared = join(tree, '..', 'shared');
  if (!existsSync(shared) && existsSync(join(root, '..', 'shared'))) symlinkSync(join(root, '..', 'shared'), shared);
  mkdirSync(join(tree, '.cache'), { recursive: true });
  for (const name of LINKED) {
    const link = join(tree, '.cache', name);
    rmSync(link, { recursive: true, force: true });
    if (existsSync(join(cache, name))) symlinkSync(join(cache, name), link);
  }
}

/** Where the compiler keeps a library that must be loaded before all others. */
function runtime(name) {
  const compiler = process.env.CXX || 'g++';
  const { stdout } = spawnSync(compiler, [`-print-file-name=${name}`], { encoding: 'utf8' });
  const path = stdout?.trim() ?? '';
  if (isAbsolute(path) && existsSync(path)) return path;
  console.error(
    `test:asan: expected ${name} of ${compiler}, found none: install GCC's sanitizers (Debian: part of gcc)`,
  );
  process.exit(2);
}

const preload = ['libasan.so', 'libubsan.so'].map(runtime).join(':');
copyCheckout();

const flags = '-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1 -O1';
const linked = '-fsanitize=address,undefined';
const built = spawnSync(process.execPath, ['scripts/setup.mjs', '--test'], {
  cwd: tree,
  stdio: 'inherit',
  env: { ...process.env, CFLAGS: flags, CXXFLAGS: flags, LDFLAGS: linked },
});
if (built.status !== 0) process.exit(2);

const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const wanted = process.argv.slice(2);
if (wanted.length === 0) console.log(`test:asan: left out, since AFL++ finds no marks there: ${LEFT_OUT.join(', ')}`);
const chosen = [...LEFT_OUT.flatMap((file) => ['--exclude', file]), ...(wanted.length > 0 ? wanted : FOLDERS)];
const run = spawnSync(process.execPath, [vitest, 'run', ...chosen], {
  cwd: tree,
  stdio: 'inherit',
  env: {
    ...process.env,
    LD_PRELOAD: preload,
    // V8 catches SIGSEGV itself, where WebAssembly leaves its memory; libunicorn is not built with sanitizers.
    ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:allow_user_segv_handler=1:halt_on_error=1:abort_on_error=1',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  },
});
process.exitCode = run.status ?? 1;
