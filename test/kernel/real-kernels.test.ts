/** Real kernels, judged by what they said themselves when they ran: the addresses in their boot logs. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ArchDriver, Variant } from '../../arch/driver.js';
import { drivers } from '../../arch/index.js';
import { unpackS390Image } from '../../arch/s390/image.js';
import { loadKernel } from '../../src/image/load.js';

const DUMPS = join(import.meta.dirname, '../../../shared/dumps');

/** Until its driver stands, just what the loader needs of s390x. */
const s390: ArchDriver = {
  linuxArch: 's390',
  variants: [
    {
      name: 's390x',
      bits: 64,
      endian: 'big',
      elfMachine: 22,
      relativeRelocation: 12,
      symbolRelocations: [10, 11, 22],
      unpackImage: unpackS390Image,
    } as Partial<Variant> as Variant,
  ],
};
const known = drivers.some(({ linuxArch }) => linuxArch === 's390') ? drivers : [...drivers, s390];

const kernels = [
  { run: 'x86_64-6.1', image: '6.1.0-50-cloud-amd64/vmlinuz-6.1.0-50-cloud-amd64', btf: null, patch: 176 },
  { run: 'arm64-6.1', image: '6.1.0-50-cloud-arm64/vmlinuz-6.1.0-50-cloud-arm64.zst', btf: null, patch: 176 },
  { run: 's390x-6.1', image: '6.1.0-50-s390x/vmlinuz-6.1.0-50-s390x', btf: '6.1.0-50-s390x/BTF.zst', patch: 176 },
  { run: 'x86_64-own-slab', image: 'own-slab/bzImage', btf: 'own-slab/BTF.zst', patch: 192 },
] as const;

const hasPahole = (() => {
  try {
    execFileSync('pahole', ['--version']);
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!existsSync(DUMPS)).each(kernels)(
  'the kernel of $run (needs the shared dumps)',
  ({ run, image, btf, patch }) => {
    const path = join(DUMPS, 'kernels', image);
    const side = btf === null ? {} : { btf: join(DUMPS, 'kernels', btf) };
    const loaded = existsSync(DUMPS) ? loadKernel({ path }, { drivers: known, ...side }) : null;

    test('has its symbols where the running kernel said, but for one slide', async () => {
      const { symbols } = await loaded!;
      const log = readFileSync(join(DUMPS, run, 'boot.txt'), 'latin1');
      const lines = [...log.matchAll(/UCX-SYM ([0-9a-f]+) \S (\S+)\s*$/gm)].filter(([line]) => !line.includes('['));
      expect(lines.length).toBeGreaterThan(5);
      const slides = new Map<bigint, string[]>();
      for (const [, address, name] of lines) {
        const found = symbols.address(name!);
        if (found === undefined) continue;
        const slide = BigInt(`0x${address}`) - found;
        slides.set(slide, [...(slides.get(slide) ?? []), name!]);
      }
      expect([...slides.keys()]).toHaveLength(1);
      expect([...slides.values()][0]!.length).toBeGreaterThan(4);
      expect([...slides.keys()][0]! % 0x10000n).toBe(0n);
    });

    test('says its version as its banner did at boot', async () => {
      const { version } = await loaded!;
      const log = readFileSync(join(DUMPS, run, 'boot.txt'), 'latin1');
      expect(log).toContain(version.banner!.slice(0, 60));
      expect(version.patch).toBe(patch);
    });

    test('has relocated pointers: the stack of the first task lies in the image', async () => {
      const { symbols, types, read, segments, endian } = await loaded!;
      const init = symbols.address('init_task');
      // Kernels without KALLSYMS_ALL do not list data.
      if (init === undefined) return;
      const bytes = Buffer.from(read(init + BigInt(types!.struct('task_struct').offset('stack')), 8)!);
      const stack = endian === 'little' ? bytes.readBigUInt64LE() : bytes.readBigUInt64BE();
      expect(segments.some(({ address, size }) => stack >= address && stack < address + size)).toBe(true);
    });

    test.skipIf(!hasPahole || btf === null)('has types laid out as pahole says (needs pahole and zstd)', async () => {
      const { types } = await loaded!;
      const raw = execFileSync('zstd', ['-dc', join(DUMPS, 'kernels', btf!)], { maxBuffer: 1 << 28 });
      const file = join(tmpdir(), `usercopy-${run}-${process.pid}.btf`);
      execFileSync('sh', ['-c', 'cat > "$1"', 'sh', file], { input: raw });
      let compared = 0;
      for (const name of ['kmem_cache', 'task_struct', 'page', 'vm_struct', 'vmap_area', 'mm_struct']) {
        const printed = execFileSync('pahole', ['-F', 'btf', '-C', name, file], { encoding: 'utf8' });
        const size = /\/\* size: (\d+),/.exec(printed);
        expect(types!.struct(name).size, name).toBe(Number(size?.[1]));
        // Members of the struct itself stand one tab in: `name;  /* offset size */`.
        for (const [, member, offset] of printed.matchAll(
          /^\t[^\t/].*?\b(\w+)(?:\[\d+\])*;\s+\/\*\s+(\d+)\s+\d+ \*\/$/gm,
        )) {
          expect(types!.struct(name).offset(member!), `${name}.${member}`).toBe(Number(offset));
          compared++;
        }
      }
      rmSync(file);
      expect(compared).toBeGreaterThan(100);
    });
  },
);
