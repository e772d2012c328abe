/** Links inside a folder of HTML pages that lead nowhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Names of the pages of a site, from its folder on. */
export const pagesOf = (site) => readdirSync(site, { recursive: true }).filter((name) => name.endsWith('.html'));

const plain = (text) =>
  decodeURIComponent(text.replaceAll('&amp;', '&').replaceAll('&#39;', "'").replaceAll('&quot;', '"'));

/** `page: link` for each file and each anchor that is not there. Links to other sites are not followed; pages in `except` are not read. */
export function deadLinks(site, except = []) {
  const anchors = new Map();
  const anchorsOf = (file) => {
    const known = anchors.get(file);
    if (known !== undefined) return known;
    const ids = [...readFileSync(file, 'utf8').matchAll(/ (?:id|name)="([^"]*)"/g)].map(([, id]) => plain(id));
    const found = new Set(ids);
    anchors.set(file, found);
    return found;
  };
  const dead = new Set();
  for (const name of pagesOf(site)) {
    if (except.includes(name)) continue;
    const file = join(site, name);
    for (const [, link] of readFileSync(file, 'utf8').matchAll(/ (?:href|src)="([^"]*)"/g)) {
      if (/^(?:[a-z]+:|\/\/)/i.test(link)) continue;
      const [path = '', anchor] = plain(link).split('#');
      const target = path === '' ? file : join(dirname(file), path);
      const isThere = existsSync(target) && (!anchor || !target.endsWith('.html') || anchorsOf(target).has(anchor));
      if (!isThere) dead.add(`${name}: ${link}`);
    }
  }
  return [...dead];
}
