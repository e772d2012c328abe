/** Makes a `Kernel` of what a dump's own memory holds, when there is no image: kallsyms, BTF, banner and configuration. */
import type { Variant } from '../../arch/driver.js';
import { badInput } from '../errors.js';
import { readFile } from '../image/load.js';
import { nativeZlib } from '../image/native-zlib.js';
import { findBtf, parseBtf, readBtf } from '../kernel/btf.js';
import { findConfig, readConfig } from '../kernel/config.js';
import { findKallsyms } from '../kernel/kallsyms.js';
import { readKallsyms } from '../kernel/kallsyms-decode.js';
import type { Kernel, KernelConfig, TypeTable } from '../kernel/kernel.js';
import { findBanner, NO_VERSION } from '../kernel/version.js';
import { imageSegment } from './kernel-in-dump.js';
import type { Located } from './locate.js';

/**
 * Bytes of an image before its text, at most. Where the linear map shows the image, all memory before it is mapped in the
 * same way, with what a decompressor left there.
 */
const BEFORE_TEXT = 2n << 20n;

export interface SideFiles {
  /** Types: raw or compressed BTF. */
  readonly btf?: string | undefined;
  /** A `.config`. */
  readonly config?: string | undefined;
}

/**
 * Its symbols are where the running kernel has them: KASLR relocated the base that kallsyms counts from.
 * @throws UsercopyError `bad-input` when the dump's memory holds no kallsyms.
 */
export async function readKernelInDump(
  path: string,
  located: Located,
  variant: Variant,
  files: SideFiles,
): Promise<Kernel> {
  const { memory, inside, imageOffset } = located;
  const segment = imageSegment(memory, inside, imageOffset, { start: inside - BEFORE_TEXT, end: 1n << 64n });
  const { bytes } = segment;
  const layout = findKallsyms(bytes, variant.bits, variant.endian);
  if (!layout) {
    throw badInput(path, "the kernel's symbols (kallsyms) in its memory", 'none; give its image with --kernel');
  }
  return {
    variant: variant.name,
    bits: variant.bits,
    endian: variant.endian,
    segments: [segment],
    symbols: readKallsyms(bytes, layout, variant.bits, variant.endian, segment.address),
    types: await typesOf(bytes, variant, files.btf),
    version: findBanner(bytes) ?? NO_VERSION,
    config: await configOf(bytes, files.config),
    read: (address, length) => memory.read(address, length),
  };
}

async function typesOf(bytes: Uint8Array, variant: Variant, file: string | undefined): Promise<TypeTable | null> {
  if (file !== undefined) return readBtf(await readFile(file), file, nativeZlib);
  const btf = findBtf(bytes, variant.endian);
  return btf && parseBtf(btf, "BTF in the dump's memory", variant.endian);
}

async function configOf(bytes: Uint8Array, file: string | undefined): Promise<KernelConfig | null> {
  return file === undefined ? findConfig(bytes, nativeZlib) : readConfig(await readFile(file), nativeZlib);
}
