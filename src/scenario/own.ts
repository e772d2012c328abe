/** The built-in guests: which there are, their files read, and what `own-guest.ts` does with them. */
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { drivers } from '../../arch/index.js';
import { loadKernel } from '../image/load.js';
import type { Kernel } from '../kernel/kernel.js';
import { packageFile } from '../paths.js';

export * from './own-guest.js';

/** Variants that a guest is built for and an emulator runs, in the order of the drivers. */
export function ownVariants(): string[] {
  const built = new Set(readdirSync(packageFile('guests/elf')));
  return drivers
    .flatMap((driver) => driver.variants)
    .filter((variant) => !('unsupported' in variant.engine) && built.has(`${variant.name}.elf`))
    .map((variant) => variant.name);
}

/** Reads the ELF of a built-in guest. @throws UsercopyError `bad-input` when there is none for the variant. */
export async function loadOwnKernel(variant: string, build: 'check' | 'nocheck' = 'check'): Promise<Kernel> {
  const name = build === 'check' ? `${variant}.elf` : `${variant}-nocheck.elf`;
  const bytes = await readFile(packageFile(`guests/elf/${name}`));
  return loadKernel({ bytes, name });
}
