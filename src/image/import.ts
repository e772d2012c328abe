/** Kernels that the user has: a .deb, an .rpm, a folder such as /boot, or a single image, taken over into the cache. */

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import type { ArchDriver } from '../../arch/driver.js';
import { drivers as allDrivers } from '../../arch/index.js';
import { badInput, UsercopyError } from '../errors.js';
import { decompress } from '../kernel/payload/decompress.js';
import { anArray, aText, type OptionRule, requireOptions, requireValue } from '../options.js';
import { unpackImages } from './apt.js';
import { defaultCacheDirectory, type FetchedKernel, store } from './fetch.js';
import { findFiles, type KernelFiles } from './kernel-files.js';
import { loadKernel, readFile } from './load.js';
import { nativeZlib } from './native-zlib.js';
import { cpioFiles, isRpm, rpmPayload } from './rpm.js';
import { inWorkspace } from './workspace.js';

/** Largest package that is believed, unpacked; bytes. */
const PACKAGE_LIMIT = 1 << 30;
const KERNEL_FILE = /^(?:vmlinu[zx]|config)(?:-|$)/;

export interface ImportOptions {
  readonly cacheDirectory?: string;
  readonly drivers?: readonly ArchDriver[];
}

const RULES: Readonly<Record<keyof ImportOptions, OptionRule>> = { cacheDirectory: aText, drivers: anArray };

/**
 * Takes every kernel over that a package or a folder holds; which variant and release each is, its image says.
 * @returns those taken over; images that could not be read are named in `warnings`
 * @throws UsercopyError `bad-input` when there is none, `missing-dependency` for a .deb without dpkg-deb
 */
export async function importKernels(
  source: string,
  options: ImportOptions = {},
): Promise<{ readonly kernels: readonly FetchedKernel[]; readonly warnings: readonly string[] }> {
  requireValue('importKernels: source', source, aText);
  requireOptions('importKernels', options, RULES);
  const cache = options.cacheDirectory ?? (await defaultCacheDirectory());
  return inWorkspace(cache, async (workspace) => {
    const { found, said } = await kernelFiles(source, path.join(workspace, 'unpacked'));
    const kernels: FetchedKernel[] = [];
    const warnings: string[] = [];
    for (const files of found) {
      try {
        kernels.push(await takeOver(files, cache, workspace, options.drivers ?? allDrivers));
      } catch (error) {
        if (!(error instanceof UsercopyError)) throw error;
        warnings.push(error.message);
      }
    }
    if (kernels.length === 0) {
      const why = warnings[0] ?? (said === '' ? 'none' : `none (${said})`);
      throw badInput(source, 'a .deb, .rpm or folder with a boot image (vmlinuz or vmlinux), or such an image', why);
    }
    return { kernels, warnings };
  });
}

async function takeOver(
  files: KernelFiles,
  cache: string,
  workspace: string,
  drivers: readonly ArchDriver[],
): Promise<FetchedKernel> {
  const { variant, version } = await loadKernel({ path: files.image }, { drivers });
  const release = path.basename(version.release || files.release);
  if (release === '' || release.startsWith('.'))
    throw badInput(files.image, 'a kernel that says its release (linux_banner)', 'none');
  return store(files, { variant, cache }, release, workspace);
}

/** The files of a source, and what the programs said that unpacked it. */
async function kernelFiles(source: string, directory: string): Promise<{ found: KernelFiles[]; said: string }> {
  const stat = await fs.stat(source).catch(() => null);
  if (stat === null) throw badInput(source, 'a .deb, an .rpm, a folder or a kernel image', 'no such file');
  if (stat.isDirectory()) return { found: await findFiles(source), said: '' };
  const bytes = await readFile(source);
  await fs.mkdir(directory, { recursive: true });
  if (Buffer.from(bytes.subarray(0, 8)).toString('latin1') === '!<arch>\n') {
    const said = await unpackImages(path.resolve(source), directory);
    return { found: await findFiles(directory), said };
  }
  if (isRpm(bytes)) {
    await unpackRpm(bytes, source, directory);
    return { found: await findFiles(directory), said: '' };
  }
  return { found: [{ release: '', image: source, name: 'vmlinuz', config: await configBeside(source) }], said: '' };
}

/** `config-<release>` beside `vmlinuz-<release>`. */
async function configBeside(image: string): Promise<string | null> {
  const release = /^vmlinu[zx]-(.+)$/.exec(path.basename(image))?.[1];
  const config = path.join(path.dirname(image), `config-${release}`);
  return release !== undefined && (await fs.stat(config).catch(() => null))?.isFile() ? config : null;
}

async function unpackRpm(bytes: Uint8Array, where: string, directory: string): Promise<void> {
  const at = rpmPayload(bytes, where);
  const payload = await decompress(bytes, at, PACKAGE_LIMIT, nativeZlib);
  for (const { name, contents } of cpioFiles(payload?.bytes ?? bytes.subarray(at), where)) {
    const parts = name.split('/').filter((part) => part !== '' && part !== '.');
    const file = parts.at(-1) ?? '';
    if (!KERNEL_FILE.test(file) || parts.includes('..')) continue;
    const target = path.join(directory, ...parts);
    await fs.mkdir(path.dirname(target), { recursive: true });
    await fs.writeFile(target, contents);
  }
}
