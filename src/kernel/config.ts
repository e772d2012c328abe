/** A kernel's configuration: from a file, or from the image itself (CONFIG_IKCONFIG, kernel/configs.c). */

import { bytesOf, latin1, occurrences } from './bytes.js';
import type { KernelConfig } from './kernel.js';
import { decompress } from './payload/decompress.js';
import type { Zlib } from './payload/zlib.js';

const START = bytesOf('IKCFG_ST');
/** Largest configuration that is believed, unpacked; bytes. */
const LIMIT = 8 << 20;

/** Reads the lines of a `.config`. */
export function parseConfig(text: string): KernelConfig {
  const values = new Map<string, string>();
  for (const match of text.matchAll(/^CONFIG_(\w+)=(.*)$/gm)) {
    const [, name = '', setting = ''] = match;
    const value = setting.trim();
    values.set(name, value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value);
  }
  const get = (name: string) => values.get(name.replace(/^CONFIG_/, ''));
  return {
    get,
    text,
    enabled(name) {
      const value = get(name);
      return value === 'y' || value === 'm';
    },
  };
}

/** Reads a configuration file, plain or compressed. */
export async function readConfig(bytes: Uint8Array, zlib: Zlib): Promise<KernelConfig> {
  const unpacked = await decompress(bytes, 0, LIMIT, zlib);
  return parseConfig(latin1(unpacked?.bytes ?? bytes.subarray(0, LIMIT)));
}

/** The configuration inside an image; null where it was not built in. */
export async function findConfig(bytes: Uint8Array, zlib: Zlib): Promise<KernelConfig | null> {
  for (const at of occurrences(bytes, START)) {
    // The kernel's own code compares with the marker nowhere; scripts/extract-ikconfig may still be quoted in data.
    if (bytes[at + START.length] !== 0x1f || bytes[at + START.length + 1] !== 0x8b) continue;
    return readConfig(bytes.subarray(at + START.length), zlib);
  }
  return null;
}
