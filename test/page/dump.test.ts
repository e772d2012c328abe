/** The tab that judges copies in a shrunk dump; the judges are the messages that the dumps' own kernels printed. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { buildCore } from '../dump/core-builder.js';
import { accessibility, inBrowser, open, widest } from './chromium.js';

const FOLDER = 'test/fixtures/dumps';
const printed = JSON.parse(readFileSync(packageFile(`${FOLDER}/messages.json`), 'utf8')) as Record<
  string,
  { readonly message: string | null }
>;
const dumps = readdirSync(packageFile(FOLDER)).filter((name) => name.endsWith('.vmcore.gz'));

inBrowser('a dump in a browser', (launch) => {
  let browser: Browser;
  let page: Page;
  let asked: readonly string[];
  let errors: readonly string[];
  beforeAll(async () => {
    browser = await launch();
    ({ page, asked, errors } = await open(browser, { viewport: { width: 480, height: 900 } }));
    await page.click('#tab-dump');
  });
  afterAll(() => browser?.close());

  const drop = (name: string) => page.setInputFiles('#panel-dump input[type=file]', packageFile(`${FOLDER}/${name}`));
  const verdict = (): Promise<string> => page.innerText('#panel-dump .verdict');

  /** Drops a dump and waits until a text stands in its verdict. */
  const judged = async (name: string, text: string): Promise<void> => {
    await drop(name);
    await page.waitForFunction(
      (wanted) => document.querySelector('#panel-dump .verdict')?.textContent?.includes(wanted),
      text,
    );
  };

  it.each(dumps)('%s is judged as its own kernel did', async (name) => {
    const message = printed[name]?.message ?? null;
    // How much stack the kernel's check uses is learnt by running it, which a page cannot: that is told.
    const isStack = message?.includes('process stack') === true;
    await judged(name, message === null ? 'No line is printed' : isStack ? 'from process stack' : message);
    expect(await page.locator('#panel-dump .drawing svg').count()).toBeGreaterThan(0);
    if (isStack) expect(await page.innerText('#panel-dump article')).toContain('could not be learnt');
  });

  it('answers what another size would have been', async () => {
    const name = 'x86_64-6.1.UCX_FREED.vmcore.gz';
    await judged(name, printed[name]?.message ?? '');
    await page.fill('#panel-dump input.number >> nth=1', '504');
    await page.waitForFunction(() => document.querySelector('#panel-dump .badge')?.textContent === 'passes');
    await page.fill('#panel-dump input.number >> nth=1', '505');
    await page.waitForFunction(() => document.querySelector('#panel-dump .badge')?.textContent === 'refused');
    expect(await verdict()).toContain("SLUB object 'kmalloc-512' (offset 8, size 505)!");
    await page.fill('#panel-dump input.number >> nth=0', 'nowhere');
    await page.waitForSelector('#panel-dump [role=alert]');
    expect(await page.innerText('#panel-dump [role=alert]')).toContain('0x');
  });

  it('shows members of the structure, and can be used at 480 pixels', async () => {
    const name = 'x86_64-6.1.UCX_TASK.vmcore.gz';
    await judged(name, printed[name]?.message ?? '');
    expect(await page.innerText('#panel-dump .drawing table')).toMatch(/\bcomm\b/);
    expect(await widest(page)).toBeLessThanOrEqual(480);
    expect(await accessibility(page)).toEqual([]);
  });

  it('says of a file that is none, and of a whole dump, what is wanted', async () => {
    const give = async (name: string, bytes: Uint8Array): Promise<string> => {
      await page.setInputFiles('#panel-dump input[type=file]', { name, mimeType: '', buffer: Buffer.from(bytes) });
      await page.waitForSelector('#panel-dump > [role=alert]');
      return page.innerText('#panel-dump > [role=alert]');
    };
    expect(await give('notes.txt', Buffer.from('hello'))).toContain('notes.txt');
    const whole = buildCore([{ physical: 0n, bytes: new Uint8Array(4096) }]);
    expect(await give('vmcore', whole)).toContain('--shrink');
    const folder = mkdtempSync(join(tmpdir(), 'usercopy-page-'));
    const path = join(folder, 'large.vmcore');
    writeFileSync(path, whole);
    truncateSync(path, 300 << 20);
    await page.setInputFiles('#panel-dump input[type=file]', path);
    await page.waitForFunction(() =>
      document.querySelector('#panel-dump > [role=alert]')?.textContent?.includes('300'),
    );
    expect(await page.innerText('#panel-dump > [role=alert]')).toContain('--dump large.vmcore');
    rmSync(folder, { recursive: true });
    expect([asked, errors]).toEqual([[], []]);
  });
});
