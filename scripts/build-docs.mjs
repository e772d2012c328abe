#!/usr/bin/env node
/**
 * `npm run docs`: the site in build/docs, of the documents, the reference of the API, and the page for reports. typedoc makes it; its
 * packages are those of scripts/typedoc/package-lock.json. Then every link inside the site is followed; links to other sites are not.
 * Exit status: 0; 2 where it cannot be built, or has a dead link.
 */
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deadLinks, pagesOf } from './lib/dead-links.mjs';
import { fingerprint, isFresh, mustRun, root, SetupError, setStamp } from './lib/step.mjs';

const site = join(root, 'build', 'docs');
const tool = join('scripts', 'typedoc');

function packages() {
  const print = fingerprint([join(tool, 'package-lock.json')]);
  if (isFresh('docs-packages', print, [join(tool, 'node_modules', 'typedoc', 'package.json')])) return;
  const install = ['npm', 'ci', '--prefix', tool, '--prefer-offline', '--no-audit', '--no-fund'];
  mustRun(
    'docs-packages',
    'installing typedoc',
    [install],
    'npm must have its packages in the cache, or reach its registry',
  );
  setStamp('docs-packages', print);
}

function page() {
  const built = join(root, 'build', 'page', 'index.html');
  if (!existsSync(built))
    throw new SetupError('docs: expected the page, which is part of the site: run `npm run page`');
  copyFileSync(built, join(site, 'page.html'));
  // typedoc writes the address of a navigation link as it is given, also in pages of a folder.
  for (const name of pagesOf(site)) {
    const depth = name.split('/').length - 1;
    if (depth === 0) continue;
    const path = join(site, name);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replaceAll('href="page.html"', `href="${'../'.repeat(depth)}page.html"`));
  }
}

try {
  packages();
  mustRun('docs', 'building the site', [
    [process.execPath, join(root, tool, 'node_modules', 'typedoc', 'bin', 'typedoc')],
  ]);
  page();
  // The page for reports is a program of its own.
  const dead = deadLinks(site, ['page.html']);
  if (dead.length > 0) throw new SetupError(`docs: links that lead nowhere:\n${dead.join('\n')}`);
  console.log(`docs: ${pagesOf(site).length} pages in build/docs, no dead link inside`);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
