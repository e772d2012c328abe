/** The tab of what the check costs; the judge is the atlas itself, docs/overhead.json. */
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Atlas } from '../../bench/atlas.js';
import { packageFile } from '../../src/paths.js';
import { accessibility, inBrowser, open, widest } from './chromium.js';

const { kernels, guests } = JSON.parse(readFileSync(packageFile('docs/overhead.json'), 'utf8')) as Atlas;

inBrowser('what the check costs, in a browser', (launch) => {
  let browser: Browser;
  let page: Page;
  let errors: readonly string[];
  beforeAll(async () => {
    browser = await launch();
    ({ page, errors } = await open(browser, { viewport: { width: 1000, height: 900 } }));
    await page.click('#tab-overhead');
  });
  afterAll(() => browser?.close());

  const LISTS = ['of', 'architecture', 'kernel', 'path', 'in'];
  const choose = (list: string, value: string) =>
    page.selectOption(`#panel-overhead select >> nth=${LISTS.indexOf(list)}`, value);
  /** Name, figure and length of every bar of a chart. */
  const bars = (path: string) =>
    page.locator(`#panel-overhead .scroll[aria-label^="${path}:"] tbody tr`).evaluateAll((rows) =>
      rows.map((row) => ({
        name: row.querySelector('th')?.textContent,
        figure: row.querySelector('.amount')?.textContent,
        length: Number(row.querySelector('rect')?.getAttribute('width')),
      })),
    );

  it('shows every kernel on every path, and bars as long as their figures', async () => {
    const found = await bars('slab');
    const figures = kernels.map(({ paths }) => paths.slab?.cycles ?? null);
    const longest = Math.max(...figures.map((figure) => figure ?? 0));
    expect(found).toHaveLength(kernels.length);
    found.forEach(({ name, figure, length }, index) => {
      expect(name).toBe(`${kernels[index]?.variant} ${kernels[index]?.kernel}`);
      expect(figure).toBe(`${figures[index] ?? '–'}`);
      expect(length).toBeCloseTo((100 * (figures[index] ?? 0)) / longest, 6);
    });
    const workloads = kernels.reduce((sum, one) => sum + one.workloads.length, 0);
    const rows = '#panel-overhead .scroll[aria-label^="Copies"] tbody tr';
    expect(await page.locator(rows).count()).toBe(workloads);
  });

  it('shows what is asked for alone', async () => {
    const { variant, kernel, paths } = kernels.at(-1)!;
    await choose('architecture', variant);
    await choose('kernel', kernel);
    await choose('path', 'stack');
    await choose('in', 'instructions');
    expect(await page.locator('#panel-overhead .bars').count()).toBe(1);
    expect(await bars('stack')).toMatchObject([
      { name: `${variant} ${kernel}`, figure: `${paths.stack?.instructions}`, length: 100 },
    ]);
    await choose('in', 'cold');
    await choose('kernel', '');
    expect((await bars('stack')).map(({ figure }) => figure)).toEqual(
      kernels.filter((one) => one.variant === variant).map((one) => `${one.paths.stack?.cold ?? '–'}`),
    );
    await choose('in', 'instructions');
    await choose('of', 'guests');
    expect((await bars('stack')).map(({ figure }) => figure)).toEqual(
      guests.map((guest) => `${guest.paths.stack?.instructions ?? '–'}`),
    );
  });

  it('says what is not in it, and can be used at 320 pixels', async () => {
    expect(await page.innerText('#panel-overhead > p')).toContain('in no cache');
    await page.setViewportSize({ width: 320, height: 900 });
    expect(await widest(page)).toBeLessThanOrEqual(320);
    expect(await accessibility(page)).toEqual([]);
    expect(errors).toEqual([]);
  });
});
