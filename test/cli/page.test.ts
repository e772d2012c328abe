/** `usercopy page`, as a process of its own. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { beforeAll, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { buildPage, PAGE } from '../page/chromium.js';
import { usercopy } from './usercopy.js';

beforeAll(buildPage);

it('serves the page, and nothing else, until it is ended', async () => {
  const child = spawn(process.execPath, [packageFile('build/js/src/cli/main.js'), 'page', '--port', '0']);
  try {
    const address = await new Promise<string>((resolve) =>
      child.stdout.once('data', (text) => resolve(`${text}`.trim())),
    );
    const answer = await fetch(address);
    expect(await answer.text()).toBe(readFileSync(PAGE, 'utf8'));
    expect(answer.headers.get('content-type')).toContain('text/html');
    expect((await fetch(`${address}../package.json`)).status).toBe(404);
    expect((await fetch(address, { method: 'POST' })).status).toBe(405);
    const { port } = new URL(address);
    expect(usercopy(['page', '--port', port])).toMatchObject({ status: 2, err: expect.stringContaining('free') });
  } finally {
    child.kill();
  }
});

it('says where the page lies, and refuses a port that is none', () => {
  expect(usercopy(['page', '--path']).out.trim()).toBe(PAGE);
  expect(usercopy(['page', '--port', '99999'])).toMatchObject({ status: 2, err: expect.stringContaining('--port') });
});
