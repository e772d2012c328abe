/** The built page in a browser. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { describe } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { chromium } from '../places.js';

export const PAGE = packageFile('build/page/index.html');

/** Builds the page where its sources have changed. */
export function buildPage(): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [packageFile('scripts/build-page.mjs')], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the page was not built: ${stdout}${stderr}`);
}

/**
 * Tests in the built page's browser, under a name; without a browser they are skipped, and the name says why. What they are
 * given launches it.
 */
export function inBrowser(name: string, tests: (launch: () => Promise<Browser>) => void): void {
  const found = chromium();
  if (typeof found === 'string') {
    describe.skip(`${name} (${found})`, () => tests(() => Promise.reject(new Error(found))));
    return;
  }
  describe(name, () => {
    tests(() => {
      buildPage();
      return playwright.launch({
        executablePath: found.program,
        args: ['--no-sandbox'],
        env: found.env as Record<string, string>,
      });
    });
  });
}

/** Time for the page's program to start, on a machine that does much else. */
const READY_MS = 15_000;

export interface Opened {
  readonly page: Page;
  /** Every address that the page asked for, its own file aside. */
  readonly asked: readonly string[];
  /** What it wrote to the console as errors, and what it threw. */
  readonly errors: readonly string[];
}

/** The page, from the disk, once it can be used. @param before runs in it before its own program */
export async function open(
  browser: Browser,
  { fragment = '', ...options }: { readonly fragment?: string } & NonNullable<Parameters<Browser['newPage']>[0]> = {},
  before: () => void = () => {},
): Promise<Opened> {
  const page = await browser.newPage(options);
  const asked: string[] = [];
  const errors: string[] = [];
  const own = pathToFileURL(PAGE).href;
  page.on('request', (request) => {
    if (request.url().split('#')[0] !== own && !request.url().startsWith('blob:')) asked.push(request.url());
  });
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(error.message));
  await page.addInitScript(before);
  await page.goto(`${own}${fragment}`);
  await page.waitForSelector('html[data-ready]', { timeout: READY_MS }).catch((cause: unknown) => {
    throw new Error(`expected the page to be ready, found ${errors.join('; ') || 'no error of its own'}`, { cause });
  });
  return { page, asked, errors };
}

/** What a screen reader, a keyboard and an eye may miss, by axe-core's rules. */
export async function accessibility(page: Page): Promise<string[]> {
  await page.evaluate(readFileSync(packageFile('node_modules/axe-core/axe.min.js'), 'utf8'));
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await axe.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 100)).join(' | ')}`);
  });
}

/** Pixels that the page is wide; more than the window's mean that it must be moved sideways. */
export const widest = (page: Page): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth);
