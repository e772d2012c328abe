import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deadLinks, pagesOf } from '../../scripts/lib/dead-links.mjs';
import { packageFile } from '../../src/paths.js';

const SITE = packageFile('build/docs');
const build = () => spawnSync(process.execPath, [packageFile('scripts/build-docs.mjs')], { encoding: 'utf8' });

let absence: string | null = null;
let built: ReturnType<typeof build>;
beforeAll(() => {
  const tool = packageFile('scripts/typedoc/node_modules/typedoc');
  if (!existsSync(tool) && spawnSync('npm', ['view', 'typedoc', 'version'], { timeout: 20_000 }).status !== 0) {
    absence = "typedoc is not here, and npm's registry cannot be reached";
    return;
  }
  built = build();
}, 120_000);

const page = (name: string): string => readFileSync(join(SITE, name), 'utf8');

describe('the site of the documents', () => {
  it('is built, and no link inside it is dead', (context) => {
    if (absence !== null) return context.skip(absence);
    expect(built.stderr).toBe('');
    expect(built.stdout).toMatch(/no dead link inside/);
    expect(built.status).toBe(0);
  });

  it('has every document under its heading, the reference and the page', (context) => {
    if (absence !== null) return context.skip(absence);
    const documents = ['docs', 'docs/tutorials'].flatMap((folder) =>
      readdirSync(packageFile(folder))
        .filter((name) => name.endsWith('.md'))
        .map((name) => /^# +(.+)$/m.exec(readFileSync(packageFile(`${folder}/${name}`), 'utf8'))?.[1] ?? name),
    );
    const titles = readdirSync(join(SITE, 'documents')).map(
      (name) => /<title>(.*?)<\/title>/.exec(page(`documents/${name}`))?.[1],
    );
    for (const title of documents)
      expect(
        titles.filter((found) => found?.startsWith(title.replaceAll('`', '').replaceAll("'", '&#39;'))),
      ).toHaveLength(1);
    expect(existsSync(join(SITE, 'functions'))).toBe(true);
    expect(page('page.html')).toBe(readFileSync(packageFile('build/page/index.html'), 'utf8'));
    // What the search knows: names and texts.
    expect(existsSync(join(SITE, 'assets/search.js'))).toBe(true);
  });
});

describe('the links of a site', () => {
  const site = mkdtempSync(join(tmpdir(), 'usercopy-site-'));
  afterAll(() => rmSync(site, { recursive: true }));

  it('are dead where a file or an anchor is not there', () => {
    mkdirSync(join(site, 'more'));
    const links = ['more/b.html', 'more/b.html#here', '#own', 'https://example.org/none', 'mailto:a@example.org'];
    const dead = ['more/c.html', 'more/b.html#there', '#none', '../more/b.html'];
    const html = [...links, ...dead].map((link) => `<a href="${link}">x</a>`).join('');
    writeFileSync(join(site, 'a.html'), `<p id="own">${html}</p><script src="gone.js"></script>`);
    writeFileSync(join(site, 'more/b.html'), '<h2 id="here">x</h2><a href="../a.html#own">x</a>');
    writeFileSync(join(site, 'page.html'), '<a href="built-by-a-program.html">x</a>');
    expect(pagesOf(site).sort()).toEqual(['a.html', 'more/b.html', 'page.html']);
    expect(deadLinks(site, ['page.html'])).toEqual([...dead, 'gone.js'].map((link) => `a.html: ${link}`));
  });
});
