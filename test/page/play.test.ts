/** The tab that plays with the check: small memories laid out by hand, by sliders and by dragging. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findVariant, variants } from '../../arch/index.js';
import { PLACES, placeOf, walksFrames } from '../../page/places.js';
import { Check } from '../../src/check/check.js';
import { parseProfile } from '../../src/check/profiles.js';
import { judgeSmall } from '../../src/diagnosis/small-memory.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { inBrowser, open } from './chromium.js';

const SLAB = { objectSize: 64, redZone: 8, useroffset: 16, usersize: 32 };
const STRIDE = 72;

/** What a kernel of today prints for a copy that begins at a byte of that slab, by hand: the red zone, then the whitelist. */
function slabLine(at: number, size: number): string | null {
  const inside = at % STRIDE;
  const attempt = 'usercopy: Kernel memory exposure attempt detected from SLUB object';
  if (inside < SLAB.redZone) return `${attempt} in left red zone 'example_cache' (offset ${inside}, size ${size})!`;
  const offset = inside - SLAB.redZone;
  const fits = offset >= SLAB.useroffset && offset + size <= SLAB.useroffset + SLAB.usersize;
  return fits ? null : `${attempt} 'example_cache' (offset ${offset}, size ${size})!`;
}

describe('the small memories', () => {
  let check: Check;
  beforeAll(async () => {
    check = await Check.create({ source: builtCheck, guestBytes: 0, executor: 'v8' });
  });
  const judge = (place: ReturnType<typeof placeOf>, profile: string, at: bigint, size: bigint) =>
    judgeSmall(check, place.memory, parseProfile(profile), { pointer: place.start + at, size, direction: 'to_user' });

  it('hold a slab whose every byte is judged as by hand', () => {
    const place = placeOf('slab', findVariant('x86_64')!, SLAB);
    for (let at = 0; at < 3 * STRIDE; at++)
      for (const size of [1, 8, 32, 33, 64])
        expect(judge(place, '6.1', BigInt(at), BigInt(size)).message).toBe(slabLine(at, size));
  });

  /**
   * By hand, of the second of four frames of 128 bytes from the stack pointer on: on x86 the saved frame pointer and the return
   * address are its last two words (arch/x86/include/asm/thread_info.h), on powerpc its first bytes are the back chain and the
   * rest of STACK_FRAME_PARAMS (ad64fc04f092).
   */
  it.each([
    ['x86_64', 0n, 128n - 16n],
    ['i386', 0n, 128n - 8n],
    ['ppc64le', 32n, 128n],
    ['ppc', 8n, 128n],
  ] as const)('hold frames of %s, which a copy may not leave', (name, own, past) => {
    const place = placeOf('stack', findVariant(name)!, SLAB);
    const frame = 384n + 128n;
    const outcome = (at: bigint, size: bigint): string => judge(place, '6.1,frames', at, size).verdict.outcome;
    const start = frame + own;
    expect([outcome(start, past - own), outcome(start, past - own + 1n), outcome(start - 1n, 2n)]).toEqual([
      'good',
      'bad',
      'bad',
    ]);
    const { frames: _, ...unknown } = place.memory;
    const { message } = judgeSmall(check, unknown, parseProfile('5.0'), {
      pointer: place.start + start - 1n,
      size: 2n,
      direction: 'to_user',
    });
    expect(message).toBeNull();
  });

  it('hold frames of no other architecture: mainline walks them on x86, and from 6.4 on on powerpc', () => {
    const eras = (name: string) => ['4.8', '5.18', '6.1'].map((era) => walksFrames(findVariant(name)!, era));
    for (const { name } of variants) {
      const isX86 = ['x86_64', 'i386'].includes(name);
      expect([name, eras(name)]).toEqual([name, [isX86, isX86, isX86 || name.startsWith('ppc')]]);
      const labels = placeOf('stack', findVariant(name)!, SLAB).parts.map(({ kind }) => kind);
      expect([name, labels.includes('frame')]).toEqual([name, isX86 || name.startsWith('ppc')]);
    }
  });

  it.each(PLACES)('are laid out on every architecture: %s', (name) => {
    for (const variant of [
      'x86_64',
      'i386',
      'arm',
      'arm64',
      's390x',
      'ppc',
      'ppc64le',
      'sparc',
      'sparc64',
      'riscv64',
      'mips64el',
      'mipsel',
      'ia64',
    ]) {
      const place = placeOf(name, findVariant(variant)!, SLAB);
      const outcomes = new Set<string>();
      const length = Number(place.end - place.start);
      for (let at = 0; at < length; at += Math.max(1, Math.floor(length / 40)))
        outcomes.add(judge(place, '6.1', BigInt(at), BigInt(Math.ceil(length / 3))).verdict.outcome);
      expect(outcomes.has('unreadable')).toBe(false);
      expect(outcomes.has('bad')).toBe(true);
    }
  });
});

inBrowser('playing in a browser', (launch) => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await launch();
    ({ page } = await open(browser, { viewport: { width: 1000, height: 900 } }));
    // By keyboard: the tab list is one stop, arrows move in it.
    await page.focus('#tab-report');
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowLeft');
    await page.waitForSelector('#panel-play .said .verdict');
  });
  afterAll(() => browser?.close());

  const said = (): Promise<string> => page.innerText('#panel-play .said .verdict');

  it('says at once what the newest kernel prints, by keyboard and by dragging', async () => {
    await page.focus('#panel-play input[type=range] >> nth=0');
    for (let step = 0; step < 12; step++) await page.keyboard.press('ArrowLeft');
    expect(await said()).toContain(slabLine(84, 24));
    const box = (await page.locator('#panel-play .draggable svg').first().boundingBox())!;
    const x = (byte: number): number => box.x + (byte / (4 * STRIDE)) * box.width;
    const y = box.y + box.height - 10;
    await page.mouse.move(x(84 + 12), y);
    await page.mouse.down();
    await page.mouse.move(x(200), y, { steps: 3 });
    await page.mouse.up();
    const at = Number(await page.innerText('#panel-play output >> nth=0'));
    expect(Math.abs(at - 188)).toBeLessThan(3);
    expect(await said()).toContain(slabLine(at, 24) ?? 'passes');
  });

  it('judges another memory on another architecture', async () => {
    await page.selectOption('#panel-play select >> nth=0', 'null');
    await page.selectOption('#panel-play select >> nth=1', 'i386');
    await page.waitForFunction(() =>
      document.querySelector('#panel-play .said')?.textContent?.includes('null address'),
    );
    expect(await said()).toContain('null address (offset 0, size 24)!');
  });

  it('offers to walk frames where kernels do', async () => {
    await page.selectOption('#panel-play select >> nth=0', 'stack');
    await page.selectOption('#panel-play select >> nth=1', 'arm64');
    expect(await page.locator('#panel-play input[type=checkbox]').count()).toBe(0);
    await page.selectOption('#panel-play select >> nth=1', 'ppc64le');
    await page.check('#panel-play input[type=checkbox]');
    expect(await page.innerText('#panel-play form >> nth=0')).toContain('from 6.4 on');
    // Across two frames.
    for (const [slider, value] of [
      [0, '500'],
      [1, '64'],
    ] as const)
      await page.locator('#panel-play input[type=range]').nth(slider).fill(value);
    const cells = () => page.locator('#panel-play .scroll tbody td:nth-child(2)').allInnerTexts();
    await page.waitForFunction(() => document.querySelector('#panel-play .said')?.textContent?.includes('refused'));
    const lines = await cells();
    expect(lines.at(-1)).toContain('process stack');
    expect(lines[0]).toBe('nothing: the copy passes');
  });
});
