/**
 * Running a scenario in a unicorn.js of the user's. What files that are none lead to is tried with small scripts; none of
 * them is an emulator, and none counts as one that works. With UNICORN_JS set the real one runs, and the guest's own check is the judge.
 */
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { accessibility, inBrowser, open, widest } from './chromium.js';

const log = (name: string): string => readFileSync(packageFile(`test/report/logs/${name}.log`), 'utf8');
const file = (name: string, text: string | Uint8Array) => ({ name, mimeType: '', buffer: Buffer.from(text) });
const REAL = process.env['UNICORN_JS'];

inBrowser('a unicorn.js of the user in a browser', (launch) => {
  let browser: Browser;
  let page: Page;
  let asked: readonly string[];
  let errors: readonly string[];
  beforeAll(async () => {
    browser = await launch();
    ({ page, asked, errors } = await open(browser, { viewport: { width: 600, height: 900 } }));
    await page.fill('#log', log('x86_64'));
    await page.waitForSelector('.run-it');
  });
  afterAll(() => browser?.close());

  const give = async (files: ReturnType<typeof file>[] | string): Promise<void> => {
    await page.setInputFiles('#panel-report .run-it input[type=file]', files);
  };
  const run = async (): Promise<void> => page.click('#panel-report .run-it >> text=Run the copy');
  const trouble = async (): Promise<string> => {
    await page.waitForSelector('#panel-report .run-it [role=alert]');
    return page.innerText('#panel-report .run-it [role=alert]');
  };
  /** What is said of a script that is given and run. */
  const saidOf = async (text: string): Promise<string> => {
    const putAway = page.locator('#panel-report .run-it >> text=Put the files away');
    if (await putAway.count()) await putAway.click();
    await give([file('given.js', text)]);
    await page.waitForSelector('#panel-report .run-it >> text=given.js');
    await run();
    return trouble();
  };

  it('says what it would add, and nothing of an emulator before there is one', async () => {
    const text = await page.innerText('#panel-report .run-it');
    expect(text).toContain('own check prints stands beside what ours says');
    expect(text).toContain('No emulator was given yet');
    expect(await page.locator('#panel-report .run-it >> text=Run the copy').count()).toBe(0);
  });

  it.each([
    [
      'a text that is no script',
      'this is no script',
      /given\.js: expected unicorn\.js as a classic script.*SyntaxError/,
    ],
    ['a module of the newer kind', 'export default () => {};', /classic script.*export/],
    ['a script that throws', "throw new Error('no luck')", /given\.js.*no luck/],
    [
      'a script that leaves nothing behind',
      'const a = 1;',
      /given\.js: expected unicorn\.js, which leaves a function MUnicorn/,
    ],
    [
      'a factory that fails',
      "var MUnicorn = async () => { throw new Error('out of memory') };",
      /^given\.js: expected a module that starts, found out of memory$/,
    ],
    ['another module', 'const MUnicorn = async () => ({});', /raw exports/],
    [
      'a build whose .wasm file is apart',
      "var MUnicorn = async (given) => { const where = given.locateFile('unicorn.wasm'); await fetch(where); };",
      /^given\.js: expected its unicorn\.wasm beside it: choose that file, too$/,
    ],
    [
      'a build without _uc_ctl',
      `var MUnicorn = async () => new Proxy({}, { get: (_, name) => name === 'then' || name === '_uc_ctl' ? undefined : () => 0 });`,
      /without _uc_ctl: CPU models/,
    ],
    [
      'a build without the architecture',
      `module.exports = async () => new Proxy({ ARCH_X86: 4, MODE_64: 8, VERSION_PATCH: 4 },
        { get: (own, name) => name === 'then' ? undefined : own[name] ?? (() => name === '_malloc' ? 8 : 0) });`,
      /has no X86/,
    ],
    [
      'an emulator that dies',
      `var MUnicorn = async () => new Proxy({ ARCH_X86: 4, MODE_64: 8, VERSION_PATCH: 4, X86_REG_RIP: 41, X86_REG_EIP: 26, X86_REG_IP: 34, _uc_arch_supported: () => 1 },
        { get: (own, name) => name === 'then' ? undefined : own[name]
          ?? (name === '_uc_open' ? () => { throw new WebAssembly.RuntimeError('unreachable') } : () => 8) });`,
      /given\.js: the emulator failed: unreachable/,
    ],
  ])('says of %s what is wrong', async (_, text, said) => {
    expect(await saidOf(text)).toMatch(said);
  });

  it.each([
    ['progress', "{ kind: 'progress', what: drawn }"],
    ['a failure', "{ kind: 'failed', message: drawn }"],
    [
      'a run',
      "{ kind: 'done', run: { variant: drawn, kernel: '', profile: '', engine: '', notes: [], ok: true, rows: [] } }",
    ],
    [
      'a row',
      `{ kind: 'done', run: { variant: '', kernel: '', profile: '', engine: '', notes: [], ok: true,
        rows: [{ case: '', guest: drawn, ours: null, identical: true, outcome: 'bad', guestInstructions: 1, unmet: [] }] } }`,
    ],
    ['a run without rows', "{ kind: 'done', run: {} }"],
    ['nothing', 'null'],
  ])('draws nothing that a file says in the place of the page (%s)', async (_, words) => {
    // What Preact takes for an element of the page's own; JSON cannot say it, messages of workers can.
    const drawn = `{ type: 'div', key: null, ref: null, constructor: undefined,
      props: { dangerouslySetInnerHTML: { __html: '<a id="of-the-file" href="http://127.0.0.1:9/">here</a>' } } }`;
    expect(await saidOf(`const drawn = ${drawn}; postMessage(${words}); for (;;) {}`)).toMatch(
      /^given\.js: the file speaks in the place of the page's program \(/,
    );
    expect(await page.locator('#of-the-file').count()).toBe(0);
  });

  it('takes the .wasm of a build away with its script', async () => {
    const named = page.locator('#panel-report .run-it p', { hasText: 'Run the copy' });
    const wasm = file('unicorn.wasm', Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    await page.click('#panel-report .run-it >> text=Put the files away');
    await give([wasm]);
    await page.waitForSelector('#panel-report .run-it >> text=unicorn.wasm needs its .js file');
    await give([file('first.js', 'for (;;) {}')]);
    await page.waitForSelector('#panel-report .run-it >> text=/first.js, unicorn.wasm/');
    await run();
    await page.waitForSelector('#panel-report .run-it >> text=Stop');
    await give([file('second.js', '1')]);
    await page.waitForSelector('#panel-report .run-it >> text=second.js');
    expect(await named.innerText()).not.toContain('unicorn.wasm');
    await give([wasm, file('third.js', '1')]);
    await page.waitForSelector('#panel-report .run-it >> text=/third.js, unicorn.wasm/');
  });

  it('ends what never ends, and the page stays alive', async () => {
    await page.fill('#panel-report .run-it input.seconds', '1');
    expect(await saidOf('for (;;) {}')).toMatch(/given\.js: stopped after 1 s while loading given\.js/);
    expect(await saidOf('var MUnicorn = () => new Promise(() => {});')).toMatch(/stopped after 1 s/);
    await page.fill('#panel-report .run-it input.seconds', '60');
    await run();
    await page.click('#panel-report .run-it >> text=Stop');
    expect(await trouble()).toBe('Stopped.');
  });

  it('says of other files what is wanted', async () => {
    await give([file('a.bin', Uint8Array.of(0xff, 0xfe, 0x80))]);
    expect(await trouble()).toMatch(/a\.bin: expected unicorn\.js, its \.wasm file, or the ELF/);
    await give([file('empty.js', ' ')]);
    await page.waitForFunction(() => document.querySelector('.run-it [role=alert]')?.textContent?.includes('empty.js'));
    await give([
      file(
        'core',
        Uint8Array.from({ length: 64 }, (__, at) => [0x7f, 0x45, 0x4c, 0x46][at] ?? 0),
      ),
    ]);
    await page.waitForFunction(() => document.querySelector('.run-it [role=alert]')?.textContent?.includes('core'));
    expect(await widest(page)).toBeLessThanOrEqual(600);
    expect(await accessibility(page)).toEqual([]);
  });

  it('asks for the guest that the page has not got, and takes its file', async () => {
    await page.fill('#log', log('i386'));
    await page.waitForFunction(() => document.querySelector('.run-it')?.textContent?.includes('the i386 guest'));
    expect(await saidOf('const MUnicorn = async () => ({});')).toMatch(/The i386 guest is not in this page.*i386\.elf/);
    await give(packageFile('guests/elf/i386.elf'));
    await page.waitForSelector('#panel-report .run-it >> text=/given.js, the i386 guest/');
    await run();
    await page.waitForFunction(() =>
      document.querySelector('.run-it [role=alert]')?.textContent?.includes('raw exports'),
    );
  });

  it('asks for nothing, whatever was given', () => {
    expect(asked).toEqual([]);
    // What the policy refused to a script above is told on the console.
    expect(errors.filter((error) => !/Content Security Policy|Fetch API/.test(error))).toEqual([]);
  });

  describe.skipIf(REAL === undefined)('by the real one that UNICORN_JS names', () => {
    it('runs the copy, and the guest says what we say', { timeout: 120_000 }, async () => {
      await page.fill('#log', log('x86_64'));
      await page.waitForFunction(() => document.querySelector('.run-it')?.textContent?.includes('the x86_64 guest'));
      await give(REAL ?? '');
      await run();
      await page.waitForSelector('#panel-report .played, #panel-report .run-it [role=alert]', { timeout: 100_000 });
      const text = await page.innerText('#panel-report .run-it');
      const line = /usercopy: Kernel memory .*!/.exec(log('x86_64'))?.[0] ?? 'none';
      expect(text.split(line)).toHaveLength(3);
      expect(text).toContain('identical');
    });
  });
});
