/**
 * What was compiled before packing: the addon and libusercopy in `prebuilds/<platform>-<processor>/`. Node-API keeps its ABI, so that
 * one addon serves every Node.js; libunicorn is opened when it runs, so that one addon serves every libunicorn.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './step.mjs';

export const ADDON = 'unicorn_engine.node';
export const LIBRARY = 'libusercopy.so';

/** What the package carries them for. */
export const TARGETS = ['linux-x64', 'linux-arm64'];

/** `linux-x64`, as Node.js names platforms and processors. */
export const ownTarget = `${process.platform}-${process.arch}`;

export const prebuiltFolder = (target = ownTarget) => join(root, 'prebuilds', target);

const LOAD = 'require(process.argv[1])';

/** Why this process's Node.js cannot load an addon, as the end of a sentence; null when it can. Tried in a process of its own. */
export function loadProblem(file) {
  if (!existsSync(file)) return `there is none for ${ownTarget}`;
  const { status, stderr, error } = spawnSync(process.execPath, ['-e', LOAD, file], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  if (status === 0) return null;
  const reason = /^(?:Error: )(.*)$/m.exec(stderr ?? '')?.[1] ?? error?.message ?? 'it ends the process';
  return `it cannot be loaded here (${reason})`;
}

const ASK = `const addon = require(process.argv[1]);
addon.openLibrary(process.argv[2], true);
console.log(addon.version().join('.'));`;

/** The version of a libunicorn without headers: asked of itself, through an addon that loads here; undefined when it does not answer. */
export function versionByOpening(library, addon) {
  const { status, stdout } = spawnSync(process.execPath, ['-e', ASK, addon, library], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  return status === 0 ? stdout.trim() : undefined;
}
