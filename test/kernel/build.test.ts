import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildKernel } from '../../src/image/build.js';
import { mergeFragments, parseFragment, printFragment, unmetOptions } from '../../src/image/build-config.js';
import { cachedKernels } from '../../src/image/fetch.js';
import { packageFile } from '../../src/paths.js';
import { Archive } from './archive.js';

describe('a fragment of a configuration', () => {
  test('has values, options that are not set, and comments', () => {
    const text =
      '# why\n\nCONFIG_SLAB=y\n  CONFIG_NR_CPUS=2\n# CONFIG_SMP is not set\nCONFIG_X=n\nCONFIG_CMDLINE="a b"\nCONFIG_AT=0x10\n';
    expect([...parseFragment(text, 'file')]).toEqual([
      ['SLAB', 'y'],
      ['NR_CPUS', '2'],
      ['SMP', 'n'],
      ['X', 'n'],
      ['CMDLINE', '"a b"'],
      ['AT', '0x10'],
    ]);
  });

  test.each([
    'SLAB=y',
    'CONFIG_SLAB',
    'CONFIG_SLAB=m',
    'CONFIG_SLAB = y',
    'CONFIG_A=y CONFIG_B=y',
    'CONFIG_A="x',
    '\u007fELF',
  ])('that has the line %j is refused with the number of the line', (line) => {
    expect(() => parseFragment(`CONFIG_A=y\n${line}\n`, 'my.config')).toThrow(
      /^my\.config, line 2: expected CONFIG_NAME=y/,
    );
  });

  test('that comes later decides, and is printed later: Kconfig takes the last of two values of a choice', () => {
    const base = parseFragment('CONFIG_SLUB=y\nCONFIG_SMP=y\n', 'base');
    const merged = mergeFragments(
      base,
      parseFragment('# CONFIG_SMP is not set\nCONFIG_SLAB=y\nCONFIG_SLUB=y\n', 'own'),
    );
    expect(printFragment(merged)).toBe('# CONFIG_SMP is not set\nCONFIG_SLAB=y\nCONFIG_SLUB=y\n');
  });

  test('that Kconfig made something else of is told option by option', () => {
    const asked = parseFragment(
      'CONFIG_A=y\nCONFIG_B=2\n# CONFIG_C is not set\nCONFIG_D=y\n# CONFIG_E is not set\n',
      'own',
    );
    expect(unmetOptions(asked, 'CONFIG_A=y\nCONFIG_B=4\n# CONFIG_C is not set\nCONFIG_E=y\n')).toEqual([
      'CONFIG_B is 4, not 2',
      'CONFIG_D is not set, not y',
      'CONFIG_E is y, not n',
    ]);
  });
});

/** Programs that do nothing but be there; `xz` unpacks what is not packed. */
const program = (name: string): Record<string, string> => ({
  [`usr/bin/${name}`]: `#!/bin/sh\ncase "$1" in --version) echo ${name};; -dc) exec cat;; esac\n`,
});

/** What objcopy is called for: the types go where the image can be read with them. */
const OBJCOPY = '#!/bin/sh\nfor last; do :; done\ncase "$1" in --version) ;; *) cat "$3" > "$last";; esac\n';

/** A kernel of the project's own, with types and the check. */
const OWN_KERNEL = packageFile('guests/elf/ppc64.elf');

/**
 * A source whose make files do in a moment what a kernel's do in minutes: `.config` of what was asked for, less what no
 * kernel has; each call of make is written down.
 */
const MAKEFILE = `VERSION = 6
PATCHLEVEL = 1
SUBLEVEL = 7
EXTRAVERSION =
allnoconfig:
\t@echo "configured $(ARCH) $(CROSS_COMPILE) $(KCFLAGS)" >> $(CALLS)
\t@grep -v -e ABSENT -f $(or $(wildcard $(CALLS).lacks),/dev/null) $(KCONFIG_ALLCONFIG) > $(O)/.config
vmlinux:
\t@echo "made $(LOCALVERSION)" >> $(CALLS)
\t@test ! -e $(CALLS).broken || { echo "mm/usercopy.c:1: error: expected a kernel"; exit 1; }
\t@test ! -e $(CALLS).ruleless || $(MAKE) -f /dev/null drivers/rtc/lib.o
\t@echo "  CC      mm/usercopy.o"
\t@cp ${'$(or $(wildcard $(CALLS).image),'}${OWN_KERNEL}) $(O)/vmlinux
`;

describe('kernel build', { timeout: 30_000 }, () => {
  let directory = '';
  let archive: Archive;
  let cacheDirectory = '';
  let calls = '';

  const sourceOf = async (folder: string, leftOut: string | null): Promise<Uint8Array> => {
    const root = join(directory, folder, 'linux-source-6.1');
    const files = {
      // Nothing of the environment reaches make.
      Makefile: MAKEFILE.replaceAll('$(CALLS)', calls),
      Kconfig: '',
      'arch/powerpc/Makefile': '',
      'mm/usercopy.c': '',
      'virt/Makefile': '',
    };
    for (const [name, text] of Object.entries({ ...files, 'arch/alpha/Makefile': '', 'arch/Kconfig': '' })) {
      if (name === leftOut) continue;
      await fs.mkdir(join(root, name, '..'), { recursive: true });
      await fs.writeFile(join(root, name), text);
    }
    return execFileSync('tar', ['-c', '-C', join(directory, folder), 'linux-source-6.1']);
  };

  beforeAll(async () => {
    directory = await fs.mkdtemp(join(tmpdir(), 'usercopy-build-'));
    // One for all tests: the compiler is fetched once.
    cacheDirectory = join(directory, 'cache');
    calls = join(directory, 'calls');
    archive = new Archive(directory);
    const triplet = 'powerpc64-linux-gnu';
    await archive.add(
      `gcc-${triplet}`,
      'bookworm',
      program(`${triplet}-gcc`),
      `libc6, binutils-${triplet} (>= 2), absent`,
    );
    const binutils = { ...program(`${triplet}-ld`), [`usr/bin/${triplet}-objcopy`]: OBJCOPY };
    await archive.add(`binutils-${triplet}`, 'bookworm', binutils);
    for (const [name, called] of [
      ['bison', 'bison'],
      ['flex', 'flex'],
      ['m4', 'm4'],
      ['bc', 'bc'],
      ['xz-utils', 'xz'],
    ] as const)
      await archive.add(name, 'bookworm', program(called));
    await archive.add('linux-source', 'bookworm', {}, 'linux-source-6.1');
    const at = 'usr/src/linux-source-6.1.tar.xz';
    await archive.add('linux-source-6.1', 'bookworm', { [at]: await sourceOf('whole', null) });
    // pahole of this machine: it makes nothing that could be read.
    await fs.mkdir(join(directory, 'bin'), { recursive: true });
    const btf = join(directory, 'btf');
    await fs.writeFile(btf, EMPTY_BTF);
    const pahole = `#!/bin/sh\ncase "$1" in --version) echo v1;; *) cp ${btf} "\${1#*=}";; esac\n`;
    await fs.writeFile(join(directory, 'bin', 'pahole'), pahole, { mode: 0o755 });
  });
  afterAll(() => fs.rm(directory, { recursive: true }));
  beforeEach(async () => {
    await fs.rm(calls, { force: true });
  });

  const build = (options: Parameters<typeof buildKernel>[1] = {}, variant = 'ppc64') =>
    archive.use(() => buildKernel(variant, { cacheDirectory, ...options }));
  const fragment = async (text: string): Promise<string> => {
    const file = join(directory, 'own.config');
    await fs.writeFile(file, text);
    return file;
  };
  const called = (): Promise<string[]> => fs.readFile(calls, 'utf8').then((text) => text.trim().split('\n'));

  test('gives an image with its configuration, named after what went into it, and then out of the cache', async () => {
    const said: string[] = [];
    const built = await build({ onProgress: (what) => said.push(what) });
    expect(built.release).toMatch(/^6\.1\.7-built-[0-9a-f]{8}$/);
    expect(await fs.readFile(built.path)).toEqual(await fs.readFile(OWN_KERNEL));
    const config = await fs.readFile(join(built.path, '..', `config-${built.release}`), 'utf8');
    expect(config).toContain('CONFIG_HARDENED_USERCOPY=y\n');
    expect(await cachedKernels(cacheDirectory)).toEqual([built]);
    expect(said.some((what) => what.includes('mm/usercopy.o'))).toBe(true);
    expect(await called()).toEqual([
      'configured powerpc powerpc64-linux-gnu- -w',
      expect.stringMatching(/^made -built-[0-9a-f]{8}$/),
    ]);
    // Neither the compiler's make nor the archive are asked again, nor is anything else.
    const path = process.env['PATH'];
    process.env['PATH'] = '';
    try {
      expect(await buildKernel('ppc64', { cacheDirectory })).toEqual(built);
    } finally {
      process.env['PATH'] = path;
    }
    expect(await called()).toHaveLength(2);
  });

  test('of another configuration is another kernel, and both are kept', async () => {
    const plain = await build();
    const other = await build({ config: await fragment('CONFIG_SLAB=y\n') });
    expect(other.release).not.toBe(plain.release);
    const config = await fs.readFile(join(other.path, '..', `config-${other.release}`), 'utf8');
    expect(config.indexOf('CONFIG_SLAB=y')).toBeGreaterThan(config.indexOf('CONFIG_SLUB=y'));
    const kept = (await cachedKernels(cacheDirectory)).map(({ release }) => release);
    expect(kept).toEqual(expect.arrayContaining([plain.release, other.release]));
  });

  test('says which options a kernel does not have', async () => {
    const before = await cachedKernels(cacheDirectory);
    const config = await fragment('CONFIG_ABSENT=y\nCONFIG_SLAB=y\n');
    await expect(build({ config })).rejects.toMatchObject({
      kind: 'bad-input',
      message: expect.stringMatching(/kernel build --config .*found CONFIG_ABSENT is not set, not y$/),
    });
    expect(await cachedKernels(cacheDirectory)).toEqual(before);
  });

  test('says what make said last, and goes on from there', async () => {
    const config = await fragment('CONFIG_OTHER=y\n');
    await fs.writeFile(`${calls}.broken`, '');
    await expect(build({ config })).rejects.toMatchObject({
      kind: 'unsupported',
      message: expect.stringMatching(
        /make to end well, found exit status 2: mm\/usercopy\.c:1: error: expected a kernel/,
      ),
    });
    await fs.rm(`${calls}.broken`);
    await build({ config });
    expect((await called()).filter((line) => line.startsWith('configured'))).toHaveLength(1);
  });

  test('says what make has no rule for', async () => {
    const config = await fragment('CONFIG_RULELESS=y\n');
    await fs.writeFile(`${calls}.ruleless`, '');
    await expect(build({ config })).rejects.toThrow(
      /found exit status 2: .*No rule to make target 'drivers\/rtc\/lib\.o'/,
    );
    await fs.rm(`${calls}.ruleless`);
  });

  test.each([
    ['another machine', 'guests/elf/ppc64le.elf', /expected a kernel of ppc64 .*found no ppc64, but ppc64le/],
    ['no kernel', 'package.json', /expected .*found/],
  ])('does not keep what came out as %s', async (_, image, message) => {
    const before = await cachedKernels(cacheDirectory);
    const config = await fragment(`CONFIG_OF_${image.length}=y\n`);
    await fs.copyFile(packageFile(image), `${calls}.image`);
    await expect(build({ config })).rejects.toThrow(message);
    await fs.rm(`${calls}.image`);
    expect(await cachedKernels(cacheDirectory)).toEqual(before);
  });

  test('wants what the architecture cannot do without', async () => {
    await fs.writeFile(`${calls}.lacks`, 'PPC64_BIG_ENDIAN_ELF_ABI_V2\n');
    const config = await fragment('CONFIG_ANOTHER=y\n');
    await expect(build({ config })).rejects.toThrow(/CONFIG_PPC64_BIG_ENDIAN_ELF_ABI_V2 is not set, not y/);
    await fs.writeFile(`${calls}.lacks`, 'PPC_DISABLE_WERROR\n');
    await build({ config });
    await fs.rm(`${calls}.lacks`);
  });

  test('is made by one at a time', async () => {
    const config = await fragment('CONFIG_TWICE=y\n');
    const one = () => buildKernel('ppc64', { cacheDirectory, config });
    const both = await archive.use(() => Promise.allSettled([one(), one()]));
    expect(both.some(({ status }) => status === 'fulfilled')).toBe(true);
    const made = (await called()).filter((line) => line.startsWith('made'));
    expect(made).toHaveLength(1);
    for (const ended of both)
      if (ended.status === 'rejected') expect(String(ended.reason)).toMatch(/makes it already; wait for it/);
  });

  test('does not take a source for one that lacks the check', async () => {
    const folder = join(directory, 'half');
    const half = new Archive(folder);
    await fs.mkdir(folder, { recursive: true });
    await half.add('linux-source', 'bookworm', {}, 'linux-source-6.1');
    const source = await sourceOf('half-source', 'mm/usercopy.c');
    await half.add('linux-source-6.1', 'bookworm', { 'usr/src/linux-source-6.1.tar.xz': source });
    // With the compiler in the cache, and the source that was there gone.
    await build();
    const kept = join(cacheDirectory, 'build');
    for (const name of await fs.readdir(kept))
      if (name.startsWith('linux-source')) await fs.rm(join(kept, name), { recursive: true });
    await expect(half.use(() => buildKernel('ppc64', { cacheDirectory, refresh: true }))).rejects.toMatchObject({
      kind: 'missing-dependency',
      message: expect.stringMatching(/^linux-source-6\.1: expected mm\/usercopy\.c in its source, found none/),
    });
  });

  test('of a series that there is none of names those that there are', async () => {
    await expect(build({ release: '9.9' })).rejects.toMatchObject({
      kind: 'bad-input',
      message: expect.stringMatching(/kernel source 9\.9: expected a series that there is \(.*6\.1.*\)/),
    });
  });

  test.each([
    ['vax', {}, /expected a variant that can be built \(.*ppc64.*\), found 'vax'/],
    ['ia64', {}, /found 'ia64'/],
    ['ppc64', { release: '6.1.7-1' }, /--release: expected a suite .* or a series/],
    ['ppc64', { release: '-oDir=x' }, /--release/],
    ['ppc64', { jobs: 0 }, /--jobs: expected a whole number from 1/],
    ['ppc64', { jobs: Number.NaN }, /--jobs/],
    ['ppc64', { config: '/absent' }, /\/absent: expected a file that can be read/],
    ['ppc64', { config: '/' }, /a regular file, found a directory/],
  ] as const)('of %s with %j is refused before anything is fetched', async (variant, options, message) => {
    const refused = buildKernel(variant, { cacheDirectory, ...options });
    await expect(refused).rejects.toMatchObject({ kind: 'bad-input', message: expect.stringMatching(message) });
  });

  test('says what the machine lacks', async () => {
    const path = process.env['PATH'];
    const bin = join(directory, 'empty');
    await fs.mkdir(bin, { recursive: true });
    await fs.symlink('/bin/sh', join(bin, 'sh')).catch(() => undefined);
    process.env['PATH'] = bin;
    try {
      await expect(buildKernel('ppc64', { cacheDirectory, refresh: true })).rejects.toMatchObject({
        kind: 'missing-dependency',
        message: expect.stringMatching(/found no make, no gcc \(.*apt-get install gcc libc6-dev make/),
      });
    } finally {
      process.env['PATH'] = path;
    }
  });
});

/** A header of BTF without types and with the empty string alone, as include/uapi/linux/btf.h has it. */
const EMPTY_BTF = Uint8Array.of(0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0);
