/** Whole files: read when they are regular and of a believable size, written whole or not at all. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { badInput, codeOf, UsercopyError } from '../errors.js';

/** @throws UsercopyError `bad-input` for what is no regular file, is larger than `limit` bytes, or cannot be read. */
export function readWhole(path: string, limit: number): Buffer {
  let file: number | null = null;
  try {
    // A pipe without a writer must not block the opening.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = fstatSync(file);
    if (!status.isFile()) throw badInput(path, 'a regular file', kindOf(status));
    if (status.size > limit) throw badInput(path, `at most ${limit} bytes`, `${status.size} bytes`);
    return readFileSync(file);
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    throw badInput(path, 'a file that can be read', codeOf(error));
  } finally {
    if (file !== null) closeSync(file);
  }
}

const kindOf = (status: Stats): string => (status.isDirectory() ? 'a directory' : 'a device, pipe or socket');

/**
 * Writes beside the file, then renames: when the disk is full what was there before is there still. Devices and pipes, and
 * files in folders that take no other, are written in place.
 * @throws UsercopyError `bad-input` when it cannot be written.
 */
export function writeWhole(path: string, content: string | Uint8Array): void {
  try {
    const before = statSync(path, { throwIfNoEntry: false });
    if (before && !before.isFile()) {
      if (before.isDirectory()) throw badInput(path, 'a file that can be written', kindOf(before));
      writeFileSync(path, content);
      return;
    }
    const target = before ? realpathSync(path) : path;
    const beside = join(dirname(target), `.usercopy-${process.pid}-${process.hrtime.bigint()}.part`);
    try {
      writeFileSync(beside, content, { flag: 'wx', ...(before ? { mode: before.mode & 0o777 } : {}) });
      renameSync(beside, target);
    } catch (error) {
      rmSync(beside, { force: true });
      if (!before || !['EACCES', 'EPERM', 'EROFS'].includes(codeOf(error))) throw error;
      writeFileSync(target, content);
    }
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    throw badInput(path, 'a file that can be written', codeOf(error));
  }
}
