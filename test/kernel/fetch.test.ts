import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchKernel } from '../../src/image/fetch.js';

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
    await fs.writeFile(join(cacheDirectory, 'newest-trixie-x86_64'), '6.12.117+deb13-cloud-amd64\n');
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

  test.each(['sid', '7.0', '4.19.0-1-amd64', '6.1.0/../../x', '6.1.0 -oDir=x'])('release %j', async (release) => {
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
