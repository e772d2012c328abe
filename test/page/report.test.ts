/** The page as a person uses it: built, opened from the disk in Chromium, a log pasted. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import { summaryOf } from '../../src/diagnosis/summary.js';
import { packageFile } from '../../src/paths.js';
import { chooseReport, parseReports } from '../../src/report/parse.js';
import { parseScenario } from '../../src/scenario/read.js';
import { buildCore } from '../dump/core-builder.js';
import { accessibility, inBrowser, open, PAGE, widest } from './chromium.js';

const log = (name: string): string => readFileSync(packageFile(`test/report/logs/${name}.log`), 'utf8');
const LOG = log('x86_64');

const give = (page: Page, name: string, bytes: Uint8Array): Promise<void> =>
  page.setInputFiles('input[type=file]', { name, mimeType: '', buffer: Buffer.from(bytes) });

const paste = async (page: Page, text: string): Promise<void> => {
  await page.fill('#log', text);
  await page.waitForSelector('article');
};

inBrowser('the page in a browser', (launch) => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());

  it('is small', () => {
    expect(gzipSync(readFileSync(PAGE)).length).toBeLessThan(300 << 10);
  });

  it('explains a pasted log in the words of the command line, and asks for nothing', async () => {
    const { page, asked, errors } = await open(browser);
    await paste(page, LOG);
    const judgement = judgeReport(chooseReport(parseReports(LOG))!);
    const text = await page.innerText('article');
    expect(text).toContain(summaryOf(judgement.reproduction).text);
    for (const line of judgement.reproduction.explanation.lines) expect(text).toContain(line);
    expect(await page.locator('.drawing svg').count()).toBeGreaterThan(0);
    // The reported kernel is one of the last era: its line is the reported one.
    await page.waitForSelector('tr.own');
    expect(await page.innerText('tr.own td')).toBe(judgement.reproduction.report?.message?.text);
    expect(await page.locator('mark').first().innerText()).toContain('widget-a');
    expect([asked, errors]).toEqual([[], []]);
    await page.close();
  });

  it('hands out a scenario that is one', async () => {
    const { page } = await open(browser);
    await paste(page, LOG);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('text=Download reported.yaml')]);
    const text = readFileSync(await download.path(), 'utf8');
    const [step] = parseScenario(text, 'reported.yaml').scenario.steps;
    expect(step?.copy).toMatchObject({ pointer: 'object + 8', size: 120, direction: 'to_user' });
    await page.close();
  });

  it('lists several reports, and shows the one that is chosen', async () => {
    const { page } = await open(browser);
    await paste(page, `${LOG}\n${log('arm64')}`);
    const reports = page.locator('.reports button');
    expect(await reports.count()).toBe(parseReports(`${LOG}\n${log('arm64')}`).length);
    await reports.nth(1).click();
    expect(await page.innerText('article')).toContain('arm64');
    await page.close();
  });

  it('reads logs packed by gzip, xz, zstd and bzip2, two one behind the other', async () => {
    const { page, asked, errors } = await open(browser);
    for (const tool of ['gzip', 'xz', 'zstd', 'bzip2']) {
      const packed = [LOG, log('arm64')].map((text) => spawnSync(tool, ['-c'], { input: text }).stdout);
      // Every tool but gzip may be missing.
      if (tool !== 'gzip' && packed.some((bytes) => !bytes?.length)) continue;
      await page.fill('#log', '');
      await page.waitForSelector('article', { state: 'detached' });
      await give(page, `dmesg.${tool}`, Buffer.concat(packed));
      await page.waitForSelector('.reports');
      expect(await page.innerText('.reports')).toContain('widget-a');
      expect(await page.locator('.reports button').count()).toBe(parseReports(`${LOG}\n${log('arm64')}`).length);
    }
    expect([asked, errors]).toEqual([[], []]);
    await page.close();
  });

  it('says of a file that it does not read why, and what to do', async () => {
    const { page, errors } = await open(browser);
    const refusal = async (name: string, bytes: Uint8Array | string): Promise<string> => {
      await page.evaluate(() => document.querySelector('[role=alert]')?.remove());
      if (typeof bytes === 'string') await page.setInputFiles('input[type=file]', bytes);
      else await give(page, name, bytes);
      await page.waitForSelector('[role=alert]');
      return page.innerText('[role=alert]');
    };
    expect(await refusal('half.gz', gzipSync(LOG).subarray(0, 300))).toContain('half.gz');
    // Each of the members is allowed; all of them together are not.
    const member = gzipSync(new Uint8Array(70 << 20), { level: 1 });
    expect(await refusal('bomb.gz', Buffer.concat([member, member]))).toMatch(/128 MiB when unpacked, found more/);
    expect(await refusal('core', buildCore([{ physical: 0n, bytes: new Uint8Array(64) }]))).toMatch(/A dump.*--shrink/);
    const folder = mkdtempSync(join(tmpdir(), 'usercopy-page-'));
    // Files with nothing in most of them: no byte of it is read or written.
    const large = (name: string, head: Uint8Array): string => {
      writeFileSync(join(folder, name), head);
      truncateSync(join(folder, name), 300 << 20);
      return join(folder, name);
    };
    const core = buildCore([{ physical: 0n, bytes: new Uint8Array(64) }]);
    expect(await refusal('', large('vmcore', core))).toMatch(/A dump.*--shrink/);
    expect(await refusal('', large('messages', Buffer.from(LOG)))).toMatch(/256 MiB, found 300 .*cut out/);
    rmSync(folder, { recursive: true });
    expect(errors).toEqual([]);
    await page.close();
  });

  it('shows what was put in last, whatever was there before', async () => {
    const { page, errors } = await open(browser);
    const said = () => page.innerText('#panel-report');
    const large = Buffer.from(`${'nothing happened here, line after line\n'.repeat(20_000)}${LOG}`);
    // The larger file takes longer to unpack than the smaller one that is dropped behind it.
    await give(page, 'slow.gz', gzipSync(Buffer.concat([Buffer.alloc(60 << 20), large]), { level: 1 }));
    await give(page, 'other.log', Buffer.from(log('arm64')));
    await page.waitForSelector('article');
    await page.waitForTimeout(1500);
    expect(await said()).toContain('Architecture arm64');
    await give(page, 'large.log', large);
    await page.waitForSelector('text=Put it away');
    expect(await said()).toContain('Architecture x86_64');
    await page.click('text=Show an example');
    await page.waitForFunction(() => document.querySelector('article')?.textContent?.includes('sensor_read'));
    // A number that was chosen in one log, and a file that could not be read, are of no other.
    await give(page, 'two.log', Buffer.from(`${LOG}\n${log('arm64')}`));
    await page.locator('.reports button').nth(1).click();
    await give(page, 'broken.gz', gzipSync(LOG).subarray(0, 200));
    await page.waitForSelector('[role=alert]');
    await give(page, 'large.log', large);
    await page.click('text=Put it away');
    await page.waitForSelector('article', { state: 'detached' });
    expect(await page.locator('[role=alert]').count()).toBe(0);
    await give(page, 'large.log', large);
    await page.waitForSelector('article');
    expect(await said()).toContain('Architecture x86_64');
    expect(errors).toEqual([]);
    await page.close();
  });

  it('says what failed where the browser cannot do a thing', async () => {
    const { page } = await open(browser, {}, () => {
      const refuse = () => Promise.reject(new Error('there is no WebAssembly'));
      Object.assign(WebAssembly, { compile: refuse, instantiate: refuse, Module: refuse });
      Object.assign(globalThis, {
        CompressionStream: class {
          constructor() {
            throw new Error('there is no packing');
          }
        },
      });
    });
    await paste(page, LOG);
    await page.waitForSelector('text=there is no WebAssembly');
    expect(await page.innerText('article')).toContain(
      summaryOf(judgeReport(chooseReport(parseReports(LOG))!).reproduction).text,
    );
    await page.click('text=Link to this view');
    await page.waitForSelector('text=there is no packing');
    await page.close();
  });

  it('reads the address of a panic', async () => {
    const { page } = await open(browser);
    const bits = [...deflateSync(LOG)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
    const digits = (bits.match(/.{1,13}/g) ?? []).map((piece) =>
      Number.parseInt(piece, 2)
        .toString()
        .padStart(piece.length === 1 ? 1 : Math.floor((piece.length + 1) / 3), '0'),
    );
    await paste(page, `https://panic.example.org/?a=x86_64&v=6.12&zl=${digits.join('')}`);
    expect(await page.innerText('article')).toContain('widget-a');
    await page.close();
  });

  it('gives a link that brings the view back, and says when a link is none', async () => {
    const { page } = await open(browser);
    await paste(page, LOG);
    await page.click('text=Link to this view');
    await page.waitForFunction(() => location.hash.length > 100);
    const fragment = await page.evaluate(() => location.hash);
    const text = await page.innerText('article');
    await page.close();
    const again = await open(browser, { fragment });
    await again.page.waitForSelector('tr.own');
    expect(await again.page.innerText('article')).toBe(text);
    await again.page.close();
    const broken = await open(browser, { fragment: fragment.slice(0, -40) });
    expect(await broken.page.innerText('[role=alert]')).toContain('link');
    await broken.page.close();
  });

  it('shows hostile text as text', async () => {
    const { page, asked, errors } = await open(browser);
    const hostile = '<img src=x onerror=alert(1)><script>document.title="taken"</script>';
    await paste(
      page,
      LOG.replaceAll('widget-a', `w${hostile.replaceAll(' ', '/')}`)
        .replace('two words', hostile)
        .replaceAll('snd', '</pre><h1>'),
    );
    expect(await page.locator('article img, article script, article h1').count()).toBe(0);
    expect(await page.title()).toBe('usercopy: a report explained');
    expect([asked, errors]).toEqual([[], []]);
    await page.close();
  });

  it('may connect to nobody, even where its own code would want to', async () => {
    const reached: string[] = [];
    const server = createServer((request, response) => {
      reached.push(request.url ?? '');
      response.setHeader('access-control-allow-origin', '*').end('x');
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { page } = await open(browser);
    const said = await page.evaluate(async (target) => {
      const outcomes: string[] = [];
      const fails = async (name: string, act: () => Promise<unknown>) =>
        outcomes.push(
          `${name} ${await act()
            .then(() => 'was let through')
            .catch(() => 'was refused')}`,
        );
      const loads = (element: HTMLElement) =>
        new Promise((resolve, reject) => {
          element.onload = resolve;
          element.onerror = reject;
          document.body.append(element);
        });
      await fails('fetch', () => fetch(target));
      await fails('image', () => loads(Object.assign(document.createElement('img'), { src: `${target}/i` })));
      await fails('script', () => loads(Object.assign(document.createElement('script'), { src: `${target}/s` })));
      await fails('style', () =>
        loads(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: `${target}/c` })),
      );
      await fails('socket', async () => {
        const socket = new WebSocket(target.replace('http', 'ws'));
        await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
      });
      const worked = (worker: Worker) =>
        new Promise((resolve, reject) => Object.assign(worker, { onmessage: resolve, onerror: reject }));
      await fails('worker of another address', async () => worked(new Worker(`${target}/w.js`)));
      await fails('script of a blob', () =>
        loads(
          Object.assign(document.createElement('script'), {
            src: URL.createObjectURL(new Blob(['1'], { type: 'text/javascript' })),
          }),
        ),
      );
      // A worker of the page's own making is allowed (a user's emulator runs in it), and nothing else in it.
      const inside = `
        const target = ${JSON.stringify(target)};
        const acts = {
          fetch: () => fetch(target),
          'fetch of data': () => fetch('data:,x'),
          request: async () => { const r = new XMLHttpRequest(); r.open('GET', target, false); r.send(); },
          socket: () => new Promise((resolve, reject) => {
            Object.assign(new WebSocket(target.replace('http', 'ws')), { onopen: resolve, onerror: reject });
          }),
          import: () => import(target + '/m.js'),
          'import of a blob': () => import(URL.createObjectURL(new Blob(['1'], { type: 'text/javascript' }))),
          script: async () => importScripts(target + '/s.js'),
          'script of data': async () => importScripts('data:text/javascript,1'),
          eval: async () => eval('1'),
        };
        (async () => {
          const said = [];
          for (const [name, act] of Object.entries(acts))
            said.push(name + ' ' + await act().then(() => 'was let through', () => 'was refused'));
          postMessage(said);
        })();`;
      const event = await worked(new Worker(URL.createObjectURL(new Blob([inside]))));
      for (const line of (event as MessageEvent<string[]>).data) outcomes.push(`in a worker, ${line}`);
      return outcomes;
    }, address);
    const inside = ['fetch', 'fetch of data', 'request', 'socket', 'import', 'import of a blob', 'script'];
    expect(said).toEqual(
      [
        ...['fetch', 'image', 'script', 'style', 'socket', 'worker of another address', 'script of a blob'],
        ...[...inside, 'script of data', 'eval'].map((name) => `in a worker, ${name}`),
      ].map((name) => `${name} was refused`),
    );
    expect(reached).toEqual([]);
    await page.close();
    server.close();
  });

  it('is whole and accessible from 320 pixels to 4K, light and dark', async () => {
    const { page } = await open(browser);
    await paste(page, LOG);
    await page.waitForSelector('tr.own');
    for (const [width, colorScheme] of [
      [320, 'light'],
      [320, 'dark'],
      [3840, 'light'],
    ] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      expect(await widest(page)).toBeLessThanOrEqual(width);
      expect(await accessibility(page)).toEqual([]);
    }
    await page.close();
  });
});
