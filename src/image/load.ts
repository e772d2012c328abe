/** A kernel image of any kind → `Kernel`: which architecture, unpacked, relocated, with symbols, types, version and config. */

import * as fs from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ArchDriver, UnpackedImage, Variant } from '../../arch/driver.js';
import { drivers as allDrivers } from '../../arch/index.js';
import { unpackZboot } from '../../arch/zboot.js';
import { badInput, codeOf, messageOf, UsercopyError } from '../errors.js';
import { readBtf } from '../kernel/btf.js';
import { findConfig, readConfig } from '../kernel/config.js';
import { isElf } from '../kernel/elf.js';
import type { Kernel, KernelConfig, TypeTable } from '../kernel/kernel.js';
import { decompress, UNPACKED_LIMIT } from '../kernel/payload/decompress.js';
import { anArray, type OptionRule, requireOptions, requireValue } from '../options.js';
import { type ConfigFinder, kernelFromElf, kernelOf, typesIn } from './elf-kernel.js';
import { type FlatPayload, loadFlatImage } from './flat.js';
import { typesFile } from './kernel-files.js';
import { nativeZlib } from './native-zlib.js';
import { findOffsetTable } from './offset-tables.js';

/** Largest file that is read, bytes. */
const FILE_LIMIT = 1 << 30;
/** Containers inside containers: vmlinuz.zst, Image.gz. */
const OUTER_LAYERS = 2;

export type KernelSource = { readonly path: string } | { readonly bytes: Uint8Array; readonly name: string };

export interface LoadKernelOptions {
  /** Architectures that the image may be of; all that there are when absent. */
  readonly drivers?: readonly ArchDriver[] | undefined;
  /** Types of a kernel whose image has none: raw BTF, compressed BTF, or an ELF file with a .BTF section. */
  readonly btf?: string | Uint8Array | undefined;
  /** A `.config`, plain or compressed; wins over one inside the image. */
  readonly config?: string | Uint8Array | undefined;
}

const aFile: OptionRule = {
  accepts: (value) => typeof value === 'string' || value instanceof Uint8Array,
  expected: 'a path, or the bytes of a file',
};
const isNamedFile = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Reflect.get(value, 'bytes') instanceof Uint8Array &&
  typeof Reflect.get(value, 'name') === 'string';
const A_SOURCE: OptionRule = {
  accepts: (value) =>
    typeof value === 'string' ||
    (typeof value === 'object' && value !== null && typeof Reflect.get(value, 'path') === 'string') ||
    isNamedFile(value),
  expected: 'the path of an image, or { bytes, name } of one',
};
const RULES: Readonly<Record<keyof LoadKernelOptions, OptionRule>> = { drivers: anArray, btf: aFile, config: aFile };

/**
 * Loads a kernel image, by its path or as bytes: ELF, x86 bzImage, arm64 Image, arm zImage, s390 bzImage, each plain or compressed once more.
 * Errors: `bad-input` naming the file and what is wrong with it.
 */
export async function loadKernel(from: string | KernelSource, options: LoadKernelOptions = {}): Promise<Kernel> {
  requireValue('loadKernel: from', from, A_SOURCE);
  requireOptions('loadKernel', options, RULES);
  const source = typeof from === 'string' ? { path: from } : from;
  const drivers = options.drivers ?? allDrivers;
  const where = 'path' in source ? source.path : source.name;
  const file = 'path' in source ? await readFile(source.path) : source.bytes;
  try {
    const image = await unpack(file, where, drivers);
    const types =
      options.btf === undefined ? undefined : await readBtf(...(await sideFile(options.btf, 'BTF')), nativeZlib);
    const config =
      options.config === undefined
        ? undefined
        : await readConfig((await sideFile(options.config, 'config'))[0], nativeZlib);
    const kernel =
      image.payload.kind === 'elf'
        ? await kernelFromElf(image.payload.bytes, where, drivers, configIn, types, config)
        : await fromFlat(image.payload, requireVariant(image.variant, where), where, types, config);
    const here = 'path' in source ? await withNeighbours(kernel, source.path) : kernel;
    return here.types === null ? await withOffsetTable(here, drivers) : here;
  } catch (error) {
    if (error instanceof UsercopyError) {
      if (error.message.includes(where)) throw error;
      throw new UsercopyError(error.kind, `${where}: ${error.message}`, { cause: error });
    }
    if (error instanceof RangeError)
      throw badInput(where, 'a well-formed kernel image', `a damaged one (${error.message})`);
    throw error;
  }
}

/**
 * Distributions put `config-<release>` beside the image, as in /boot; `kernel types` puts `btf-<release>` there. Each is taken
 * when the image holds none.
 */
async function withNeighbours(kernel: Kernel, imagePath: string): Promise<Kernel> {
  const release = basename(kernel.version.release);
  if (release === '') return kernel;
  const directory = dirname(imagePath);
  const read = (name: string): Promise<Uint8Array | null> => fs.readFile(name).catch(() => null);
  const config = kernel.config === null ? await read(join(directory, `config-${release}`)) : null;
  const btf = kernel.types === null ? typesFile(directory, release) : null;
  const types = btf === null ? null : await read(btf);
  return {
    ...kernel,
    ...(config === null ? {} : { config: await readConfig(config, nativeZlib) }),
    ...(btf === null || types === null ? {} : { types: await readBtf(types, btf, nativeZlib) }),
  };
}

/** An image without types gets those of its release, where a table has them. */
async function withOffsetTable(kernel: Kernel, drivers: readonly ArchDriver[]): Promise<Kernel> {
  const driver = drivers.find(({ variants }) => variants.some(({ name }) => name === kernel.variant));
  if (driver === undefined || kernel.version.release === '') return kernel;
  const types = await findOffsetTable(driver.linuxArch, kernel.variant, kernel.version.release);
  return types === null ? kernel : { ...kernel, types };
}

const configIn: ConfigFinder = (bytes) => findConfig(bytes, nativeZlib);

const unpackPayload = (bytes: Uint8Array, offset: number, limit: number): ReturnType<typeof decompress> =>
  decompress(bytes, offset, limit, nativeZlib);

async function unpack(
  file: Uint8Array,
  where: string,
  drivers: readonly ArchDriver[],
): Promise<UnpackedImage & { readonly variant: Variant | null }> {
  const tools = { decompress: unpackPayload };
  let bytes = file;
  let wrapper: string | null = null;
  for (let layer = 0; layer <= OUTER_LAYERS; layer++) {
    const zboot = await unpackZboot(bytes, tools, UNPACKED_LIMIT);
    if (zboot !== null) [bytes, wrapper] = [zboot.bytes, zboot.format];
    const isElfFile = isElf(bytes);
    for (const driver of drivers) {
      for (const variant of driver.variants) {
        if (isElfFile && variant.wrapsInElf !== true) continue;
        const image = await variant.unpackImage(bytes, tools);
        if (image !== null) return { ...image, format: wrapper ?? image.format, variant };
      }
    }
    if (isElfFile) return { format: 'ELF', payload: { kind: 'elf', bytes }, variant: null };
    const inner = layer < OUTER_LAYERS ? await unpackPayload(bytes, 0, UNPACKED_LIMIT) : null;
    if (inner === null) break;
    bytes = inner.bytes;
  }
  const expected = 'a kernel image (ELF vmlinux, bzImage, Image or zImage, plain or compressed)';
  throw badInput(where, expected, beginningOf(file));
}

/** The first bytes of a file that is no image, as a person recognizes them. */
function beginningOf(file: Uint8Array): string {
  if (file.length === 0) return 'an empty file';
  const text = Buffer.from(file.subarray(0, 24)).toString('latin1');
  const [line = ''] = /^[\x20-\x7e\t]*/.exec(text) ?? [];
  if (line.length >= 4) return `a text that begins with '${line.trimEnd()}'`;
  return `bytes that begin with ${[...file.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}`;
}

/** A flat image was told by a driver's reader, which is a variant's. */
function requireVariant(variant: Variant | null, where: string): Variant {
  if (variant) return variant;
  throw badInput(where, 'an image that tells its architecture', 'one that does not');
}

async function fromFlat(
  payload: FlatPayload,
  variant: Variant,
  where: string,
  types: TypeTable | undefined,
  config: KernelConfig | undefined,
): Promise<Kernel> {
  const { segment, symbols } = loadFlatImage(payload, variant, where);
  return kernelOf(variant, [segment], symbols, types ?? typesIn([segment], variant), configIn, config);
}

async function sideFile(file: string | Uint8Array, what: string): Promise<[Uint8Array, string]> {
  return typeof file === 'string' ? [await readFile(file), file] : [file, what];
}

/** Reads a regular file of a believable size. */
export async function readFile(path: string): Promise<Uint8Array> {
  try {
    const stat = await fs.stat(path);
    if (!stat.isFile()) throw badInput(path, 'a regular file', stat.isDirectory() ? 'a directory' : 'a special file');
    if (stat.size > FILE_LIMIT) throw badInput(path, `at most ${FILE_LIMIT} bytes`, `${stat.size}`);
    return await fs.readFile(path);
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    throw badInput(path, 'a readable file', codeOf(error) === 'ENOENT' ? 'no such file' : messageOf(error));
  }
}
