/** The browser that the set-up found or unpacked, with the built page in it. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { packageFile } from '../../src/paths.js';

interface Place {
  readonly program: string | null;
  readonly libraries: readonly string[];
  readonly absence: string | null;
}

/** Why there is no browser to test in; null when there is one. */
export function chromiumPlace(): Place {
  const { chromium: place } = JSON.parse(readFileSync(packageFile('build/places.json'), 'utf8')) as {
    chromium?: Place;
  };
  return place ?? { program: null, libraries: [], absence: 'the set-up looked for none: run npm run build -- --test' };
}

export const PAGE = packageFile('build/page/index.html');

/** Builds the page where its sources have changed. */
export function buildPage(): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [packageFile('scripts/build-page.mjs')], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the page was not built: ${stdout}${stderr}`);
}

export function launch({ program, libraries }: Place): Promise<Browser> {
  const known = process.env['LD_LIBRARY_PATH'];
  const paths = known === undefined ? libraries : [...libraries, known];
  return chromium.launch({
    executablePath: program ?? '',
    args: ['--no-sandbox'],
    env: { ...process.env, ...(libraries.length === 0 ? {} : { LD_LIBRARY_PATH: paths.join(':') }) } as Record<
      string,
      string
    >,
  });
}

export interface Opened {
  readonly page: Page;
  /** Every address that the page asked for, its own file aside. */
  readonly asked: readonly string[];
  /** What it wrote to the console as errors, and what it threw. */
  readonly errors: readonly string[];
}

/** The page, from the disk, once it can be used. */
export async function open(
  browser: Browser,
  { fragment = '', ...options }: { readonly fragment?: string } & NonNullable<Parameters<Browser['newPage']>[0]> = {},
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
  await page.goto(`${own}${fragment}`);
  await page.waitForSelector('html[data-ready]');
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
