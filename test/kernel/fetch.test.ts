import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareVersions } from '../../src/image/debian-version.js';
import { fetchKernel, remoteKernels } from '../../src/image/fetch.js';
import { importKernels } from '../../src/image/import.js';
import { Archive } from './archive.js';
import { sampleSymbols, Writer, writeElf, writeKallsyms } from './images.js';

let cacheDirectory = '';

beforeAll(async () => {
  cacheDirectory = await fs.mkdtemp(join(tmpdir(), 'usercopy-fetch-'));
});
afterAll(() => fs.rm(cacheDirectory, { recursive: true }));

/** A kernel in the cache as an earlier run would have left it. */
async function remember(release: string, variant: string): Promise<string> {
  const directory = join(cacheDirectory, release);
  await fs.mkdir(directory, { recursive: true });
  await fs.writeFile(join(directory, 'variant'), `${variant}\n`);
  const path = join(directory, `vmlinuz-${release}`);
  await fs.writeFile(path, 'image');
  return path;
}

/** Runs without any program on the machine: what works then needs no network. */
async function withoutPrograms<Result>(run: () => Promise<Result>): Promise<Result> {
  const path = process.env['PATH'];
  process.env['PATH'] = '';
  try {
    return await run();
  } finally {
    process.env['PATH'] = path;
  }
}

describe('a kernel that was fetched before', () => {
  test('is found by its release, without network', async () => {
    const path = await remember('6.1.0-50-cloud-amd64', 'x86_64');
    const fetched = await withoutPrograms(() =>
      fetchKernel('x86_64', { release: '6.1.0-50-cloud-amd64', cacheDirectory }),
    );
    expect(fetched).toEqual({ variant: 'x86_64', release: '6.1.0-50-cloud-amd64', path });
  });

  test.each(['trixie', '6.12'])('is found as the newest of %s, without network', async (release) => {
    const path = await remember('6.12.117+deb13-cloud-amd64', 'x86_64');
    await fs.writeFile(join(cacheDirectory, `newest-${release}-x86_64`), '6.12.117+deb13-cloud-amd64\n');
    const fetched = await withoutPrograms(() => fetchKernel('x86_64', { release, cacheDirectory }));
    expect(fetched.path).toBe(path);
  });

  test('of another variant is refused', async () => {
    await remember('6.1.0-50-cloud-arm64', 'arm64');
    await expect(fetchKernel('x86_64', { release: '6.1.0-50-cloud-arm64', cacheDirectory })).rejects.toThrow(
      /expected one of x86_64, found one of arm64/,
    );
  });
});

describe('a request that cannot be served is one clear error', () => {
  test.each(['mips', '', '../x86_64'])('variant %j', async (variant) => {
    await expect(fetchKernel(variant, { cacheDirectory })).rejects.toMatchObject({
      kind: 'bad-input',
      message: expect.stringMatching(/x86_64.*arm64/),
    });
  });

  test.each(['', '-oDir=x', 'trixie/../../x', '6.1.0/../../x', '6.1.0 -oDir=x'])('release %j', async (release) => {
    await expect(fetchKernel('x86_64', { release, cacheDirectory })).rejects.toMatchObject({ kind: 'bad-input' });
  });

  test('a machine without apt', async () => {
    const wanted = { release: '5.10', cacheDirectory };
    await expect(withoutPrograms(() => fetchKernel('x86_64', wanted))).rejects.toMatchObject({
      kind: 'missing-dependency',
      message: expect.stringContaining('kernel image of your own'),
    });
    expect((await fs.readdir(cacheDirectory)).filter((name) => name.startsWith('.fetch'))).toEqual([]);
  });
});

/** A kernel of x86_64 that says its release. */
function image(release: string): Uint8Array {
  const base = 0xffffffff81000000n;
  const memory = new Writer(64, 'little')
    .bytes(new Uint8Array(0x1000))
    .bytes(Buffer.from(`Linux version ${release} (builder@host) #1 SMP\n\0`))
    .align(8)
    .bytes(writeKallsyms(64, 'little', '6.4', sampleSymbols(base), base, false))
    .align(4096)
    .finish();
  return writeElf(64, 'little', 62, base, memory, memory.length);
}

describe('an archive', () => {
  let directory = '';
  let archive: Archive;
  beforeAll(async () => {
    directory = await fs.mkdtemp(join(tmpdir(), 'usercopy-archive-'));
    archive = new Archive(directory);
    await archive.add('linux-image-cloud-amd64', 'forky', {});
    await archive.add('linux-image-amd64', 'forky', {});
    await archive.add('linux-image-6.12.9+deb13-cloud-amd64', 'forky', {
      'boot/vmlinuz-6.12.9+deb13-cloud-amd64': image('6.12.9'),
      'boot/config-6.12.9+deb13-cloud-amd64': Buffer.from('CONFIG_SLUB=y\n'),
    });
    await archive.add('linux-image-6.12.10+deb13-cloud-amd64', 'forky', null);
    await archive.add('linux-image-6.12.11+deb13-cloud-amd64', 'forky', null);
    const split = '7.2.1+deb14-cloud-amd64';
    await archive.add(
      `linux-image-${split}`,
      'forky',
      {},
      `kmod, linux-base-${split} (= 1), linux-binary-${split} (= 1)`,
    );
    await archive.add(`linux-binary-${split}`, 'forky', { [`usr/lib/modules/${split}/vmlinuz`]: image('7.2.1') });
    await archive.add(`linux-base-${split}`, 'forky', {
      [`usr/lib/modules/${split}/config`]: Buffer.from('CONFIG_SLUB=y\n'),
    });
    await archive.add('linux-image-7.9-cloud-amd64', 'forky', {}, `linux-image-${split}`);
  });
  afterAll(() => fs.rm(directory, { recursive: true }));

  test('with split packages gives image and configuration, and the newest is a kernel, not what depends on one', async () => {
    const fetched = await archive.use(() => fetchKernel('x86_64', { release: 'forky', cacheDirectory }));
    expect(fetched.release).toBe('7.2.1+deb14-cloud-amd64');
    expect(fetched.warnings ?? []).toEqual([]);
    const files = await fs.readdir(join(cacheDirectory, fetched.release));
    expect(files.sort()).toEqual(['config-7.2.1+deb14-cloud-amd64', 'variant', 'vmlinuz-7.2.1+deb14-cloud-amd64']);
  });

  test('with kernels of two series gives of a suite the series that it installs', async () => {
    const folder = await fs.mkdtemp(join(tmpdir(), 'usercopy-archive-'));
    try {
      const two = new Archive(folder);
      const older = '6.1.0-9-cloud-amd64';
      const newer = '6.12.3+deb12-cloud-amd64';
      await two.add('linux-image-cloud-amd64', 'bookworm', {}, `linux-image-${older} (= 6.1.9-1)`);
      await two.add(`linux-image-${older}`, 'bookworm', { [`boot/vmlinuz-${older}`]: image('6.1.9') });
      await two.add(`linux-image-${newer}`, 'bookworm-security', { [`boot/vmlinuz-${newer}`]: image('6.12.3') });
      const cache = join(folder, 'cache');
      const get = (release: string) =>
        two.use(() => fetchKernel('x86_64', { release, suite: 'bookworm', cacheDirectory: cache }));
      expect((await get('bookworm')).release).toBe(older);
      expect((await get('6.12')).release).toBe(newer);
    } finally {
      await fs.rm(folder, { recursive: true });
    }
  });

  test('that lost the newest kernels of a series gives the one before, and says so in one sentence', async () => {
    const wanted = { release: '6.12', suite: 'forky', refresh: true, cacheDirectory };
    const fetched = await archive.use(() => fetchKernel('x86_64', wanted));
    expect(fetched.release).toBe('6.12.9+deb13-cloud-amd64');
    expect(fetched.warnings).toHaveLength(1);
    expect(fetched.warnings?.[0]).toMatch(/^2 newer kernels .*: 6\.12\.11\+deb13-\S+, 6\.12\.10\+deb13-\S+ .*404/);
    expect(fetched.warnings?.[0]?.match(/404/g)).toHaveLength(1);
  });

  test('whose kernel is gone is an error that says why', async () => {
    const wanted = { release: '6.12.10+deb13-cloud-amd64', suite: 'forky', cacheDirectory };
    await expect(archive.use(() => fetchKernel('x86_64', wanted))).rejects.toMatchObject({
      kind: 'missing-dependency',
      message: expect.stringContaining('404'),
    });
  });

  test('that lacks a release names those that there are', async () => {
    const wanted = { release: '6.66', suite: 'forky', cacheDirectory };
    await expect(archive.use(() => fetchKernel('x86_64', wanted))).rejects.toThrow(/7\.2\.1\+deb14-cloud-amd64/);
  });

  test('with a broken index says that there may be newer kernels', async () => {
    archive.updateOutput = [
      'Err:8 http://deb.debian.org/debian-security forky-security/main amd64 Packages',
      '  File has unexpected size (346968 != 368052). Mirror sync in progress?',
      'Err:9 http://deb.debian.org/debian-security sid-security Release',
      '  404  Not Found',
    ].join('\n');
    const { warnings, kernels } = await archive.use(() => remoteKernels('x86_64', { suite: 'forky', cacheDirectory }));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/forky-security.*unexpected size.*newer/);
    expect(kernels.map(({ release }) => release)).toContain('6.12.10+deb13-cloud-amd64');
    const refreshed = await archive.use(() =>
      fetchKernel('x86_64', { release: 'forky', refresh: true, cacheDirectory }),
    );
    expect(refreshed.warnings).toHaveLength(1);
  });
});

/** An .rpm as rpm's format description has it: lead, signature, header, and a cpio archive that is not compressed. */
function writeRpm(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const out = new Writer(32, 'big').uint(0xedabeedb, 4).bytes(new Uint8Array(92));
  const header = (entries: number, data: number): void => {
    out
      .uint(0x8eade801, 4)
      .uint(0, 4)
      .uint(entries, 4)
      .uint(data, 4)
      .bytes(new Uint8Array(entries * 16 + data));
  };
  header(2, 5);
  out.align(8);
  header(3, 7);
  const cpio = new Writer(32, 'big');
  const hex = (value: number): string => value.toString(16).padStart(8, '0');
  for (const [name, contents] of [...Object.entries(files), ['TRAILER!!!', new Uint8Array(0)] as const]) {
    const fields = [1, 0o100644, 0, 0, 1, 0, contents.length, 0, 0, 0, 0, name.length + 1, 0];
    cpio
      .bytes(Buffer.from(`070701${fields.map(hex).join('')}${name}\0`))
      .align(4)
      .bytes(contents)
      .align(4);
  }
  return out.bytes(cpio.finish()).finish();
}

describe("a user's own", () => {
  let directory = '';
  beforeAll(async () => {
    directory = await fs.mkdtemp(join(tmpdir(), 'usercopy-import-'));
  });
  afterAll(() => fs.rm(directory, { recursive: true }));

  test('rpm gives its kernel with the configuration', async () => {
    const release = '5.14.0-427.el9.x86_64';
    const path = join(directory, 'kernel-core.rpm');
    const modules = `./lib/modules/${release}`;
    const config = Buffer.from('CONFIG_SLUB=y\n');
    await fs.writeFile(
      path,
      writeRpm({ [`${modules}/vmlinuz`]: image(release), [`${modules}/config`]: config, './../../x': config }),
    );
    const { kernels, warnings } = await importKernels(path, { cacheDirectory });
    expect(warnings).toEqual([]);
    expect(kernels.map((kernel) => [kernel.variant, kernel.release])).toEqual([['x86_64', release]]);
    expect(await fs.readFile(join(cacheDirectory, release, `config-${release}`), 'utf8')).toBe('CONFIG_SLUB=y\n');
  });

  test('folder gives every kernel in it, and says which it could not read', async () => {
    const boot = join(directory, 'boot');
    await fs.mkdir(boot);
    for (const release of ['6.6.1-one', '6.6.2-two'])
      await fs.writeFile(join(boot, `vmlinuz-${release}`), image(release));
    await fs.writeFile(join(boot, 'vmlinuz-broken'), 'no kernel');
    await fs.writeFile(join(boot, 'config-6.6.2-two'), 'CONFIG_SLUB=y\n');
    const { kernels, warnings } = await importKernels(boot, { cacheDirectory });
    expect(kernels.map(({ release }) => release)).toEqual(['6.6.1-one', '6.6.2-two']);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('vmlinuz-broken');
  });

  test.each([
    ['an empty folder', null],
    ['a text', 'text'],
    ['a damaged rpm', Buffer.from([0xed, 0xab, 0xee, 0xdb, ...new Array(200).fill(0)])],
  ])('%s is refused in a sentence', async (name, contents) => {
    const path = join(directory, name.replace(/ /g, '-'));
    if (contents === null) await fs.mkdir(path);
    else await fs.writeFile(path, contents);
    await expect(importKernels(path, { cacheDirectory })).rejects.toMatchObject({ kind: 'bad-input' });
  });
});

test.each([
  ['7.3.4-1~bpo13+1', '7.3~rc7-1~exp1'],
  ['7.3~rc7-1~exp1', '7.2.13-1'],
  ['6.12.100-1', '6.12.95-1'],
  ['6.1.0-1', '6.1.0-1~deb11u1'],
  ['1:1.0', '2.0'],
  ['1.0a', '1.0'],
])('version %s is newer than %s, as dpkg has it', (newer, older) => {
  expect(compareVersions(newer, older)).toBeGreaterThan(0);
  expect(compareVersions(older, newer)).toBeLessThan(0);
  expect(() => execFileSync('dpkg', ['--compare-versions', newer, 'gt', older])).not.toThrow();
});
