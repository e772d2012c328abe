#!/usr/bin/env node
/**
 * The pictures of the README, made of what they show:
 *
 *     npm run pictures        docs/pictures/terminal.svg: what `usercopy run` prints; chart.svg: the newest table of docs/performance.md;
 *                             page.png: the page in a browser, where chromium-headless-shell is here (CHROMIUM=PROGRAM names one)
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const COLUMNS = 96;
const CHARACTER = 8.4;
const LINE = 19;
const MARGIN = 16;

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const picture = (name, content) => writeFileSync(join(root, 'docs/pictures', name), content);

function usercopy(folder, ...args) {
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(root, 'build/cli/main.js'), ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, COLUMNS: String(COLUMNS) },
  });
  if (status !== 0) throw new Error(`usercopy ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Commands and what they print, as a terminal shows them. */
function terminal() {
  const folder = mkdtempSync(join(tmpdir(), 'usercopy-pictures-'));
  try {
    const commands = [
      ['new', 'case.yaml', '--yes'],
      ['run', 'case.yaml'],
    ];
    const lines = commands.flatMap((args) => [
      { text: `$ usercopy ${args.join(' ')}`, fill: '#7ee787' },
      ...usercopy(folder, ...args)
        .trimEnd()
        .split('\n')
        .map((text) => ({ text, fill: '#e6edf3' })),
    ]);
    const width = COLUMNS * CHARACTER + 2 * MARGIN;
    const height = lines.length * LINE + 2 * MARGIN;
    const rows = lines.map(
      ({ text, fill }, index) =>
        `<text x="${MARGIN}" y="${MARGIN + (index + 0.75) * LINE}" fill="${fill}" textLength="${(text.length * CHARACTER).toFixed(1)}" lengthAdjust="spacingAndGlyphs" xml:space="preserve">${escaped(text)}</text>`,
    );
    picture(
      'terminal.svg',
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
<title>Two commands in a terminal, and the table that usercopy run prints</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${rows.join('\n')}
</svg>
`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The first table of docs/performance.md with a column `enforce, native`: what an attached run costs beside a bare one. */
function chart() {
  const text = readFileSync(join(root, 'docs/performance.md'), 'utf8');
  const table = text.split(/\n\n/).find((part) => /^\| variant .*enforce, native/.test(part));
  if (table === undefined) throw new Error('docs/performance.md: expected a table of variants, found none');
  const [head, , ...rows] = table.split('\n').map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
  const [ours, theirs] = ['enforce, native', "guest's own check"].map((name) => head.indexOf(name));
  const share = (cell) => (Number.parseFloat(cell) - 1) * 100;
  const bars = rows.map((row) => ({ name: row[0], ours: share(row[ours]), theirs: share(row[theirs]) }));
  const [left, top, scale, step] = [80, 64, 6, 40];
  const most = 100;
  const bar = (value, y, fill) => {
    const shown = Math.min(Math.max(value, 0), most);
    return `<rect x="${left}" y="${y}" width="${(shown * scale).toFixed(1)}" height="14" fill="${fill}"/><text x="${left + shown * scale + 6}" y="${y + 12}">${value.toFixed(0)} %</text>`;
  };
  const body = bars.flatMap(({ name, ours: own, theirs: guest }, index) => {
    const y = top + index * step;
    return [
      `<text x="${left - 8}" y="${y + 19}" text-anchor="end">${name}</text>`,
      bar(own, y, '#1f6feb'),
      bar(guest, y + 15, '#9aa4af'),
    ];
  });
  const [width, height] = [left + most * scale + 70, top + bars.length * step + 8];
  picture(
    'chart.svg',
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#24292f">
<title>The added time of a copying workload by architecture</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="${left}" y="22" font-size="15" font-weight="600">A copying workload takes this much longer (libunicorn 2.1.4)</text>
<rect x="${left}" y="34" width="12" height="12" fill="#1f6feb"/><text x="${left + 18}" y="45">with this check attached</text>
<rect x="${left + 190}" y="34" width="12" height="12" fill="#9aa4af"/><text x="${left + 208}" y="45">with the kernel's own check, emulated (bars end at ${most} %)</text>
${body.join('\n')}
</svg>
`,
  );
}

async function page() {
  const { readPlaces } = await import('./lib/places.mjs');
  const found = readPlaces().chromium;
  const program = process.env.CHROMIUM ?? found?.program ?? null;
  if (program === null) {
    console.log(`page.png is left as it is: ${found?.absence ?? 'no chromium was found'}`);
    return;
  }
  const { chromium } = await import('playwright-core');
  const libraries = [process.env.LD_LIBRARY_PATH, ...(found?.libraries ?? [])].filter(Boolean).join(':');
  const fonts = join(root, '.cache/chromium/fonts.conf');
  const env = {
    ...process.env,
    LD_LIBRARY_PATH: libraries,
    ...(existsSync(fonts) ? { FONTCONFIG_FILE: fonts } : {}),
  };
  const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox'], env });
  try {
    const view = await browser.newPage({ viewport: { width: 900, height: 620 } });
    await view.goto(pathToFileURL(join(root, 'build/page/index.html')).href);
    const example = readFileSync(join(root, 'page/example.ts'), 'utf8').split('`')[1];
    await view.fill('#log', example);
    await view.waitForSelector('article');
    await view.locator('article').scrollIntoViewIfNeeded();
    await view.screenshot({ path: join(root, 'docs/pictures/page.png') });
  } finally {
    await browser.close();
  }
}

terminal();
chart();
await page();
