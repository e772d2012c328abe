/** Boot images and their configurations in a folder: /boot of a machine, or what packages unpack to. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';

export interface KernelFiles {
  /** As the file's name or its folder's says it; empty where neither does. */
  readonly release: string;
  readonly image: string;
  readonly name: 'vmlinuz' | 'vmlinux';
  readonly config: string | null;
}

/** Where the types of a release lie that its image does not hold, beside it. */
export const typesFile = (directory: string, release: string): string => path.join(directory, `btf-${release}`);

/** Folders inside folders: usr/lib/modules/<release>. */
const DEEPEST = 6;
const MOST_FILES = 10_000;

/**
 * `vmlinuz-<release>` with `config-<release>` beside it, as in /boot; `vmlinuz` with `config`, as in
 * /usr/lib/modules/<release>.
 */
export async function findFiles(directory: string): Promise<KernelFiles[]> {
  const files = await listFiles(directory);
  const configs = files.filter((file) => /^config(?:-|$)/.test(path.basename(file)));
  const images = files.flatMap((image) => {
    const [, last, release] = /^vmlinu([zx])(?:-(.+))?$/.exec(path.basename(image)) ?? [];
    if (last === undefined) return [];
    const name: KernelFiles['name'] = last === 'z' ? 'vmlinuz' : 'vmlinux';
    return [{ image, name, release: release ?? releaseOf(image) }];
  });
  return images.map((found) => ({
    ...found,
    config:
      configs.find((config) => path.basename(config) === `config-${found.release}`) ??
      configs.find((config) => path.basename(config) === 'config' && releaseOf(config) === found.release) ??
      null,
  }));
}

/** The release that a folder under modules/ is named after. */
function releaseOf(file: string): string {
  const parts = file.split(path.sep);
  return parts.at(-3) === 'modules' ? (parts.at(-2) ?? '') : '';
}

async function listFiles(directory: string): Promise<string[]> {
  const found: string[] = [];
  const visit = async (folder: string, depth: number): Promise<void> => {
    const entries = await fs.readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries.sort((left, right) => (left.name < right.name ? -1 : 1))) {
      const file = path.join(folder, entry.name);
      if (entry.isDirectory() && depth < DEEPEST) await visit(file, depth + 1);
      else if (entry.isFile() && found.length < MOST_FILES) found.push(file);
    }
  };
  await visit(directory, 0);
  return found;
}
