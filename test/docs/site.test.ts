import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { deadLinks, pagesOf } from '../../scripts/lib/dead-links.mjs';

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
