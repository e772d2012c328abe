/** `usercopy page`, as a process of its own. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { beforeAll, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { buildPage, PAGE } from '../page/chromium.js';
import { usercopy } from './usercopy.js';

beforeAll(buildPage);

/** The status that a path gets as it is written here: `fetch` would mend it first. */
const statusOf = (method: string, port: string, path: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('error', reject).end();
  });

it('serves the page, and nothing else, until it is ended', async () => {
  const child = spawn(process.execPath, [packageFile('build/cli/main.js'), 'page', '--port', '0']);
  try {
    const address = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (text) => resolve(`${text}`.trim()));
      child.once('exit', (status) => reject(new Error(`it ended with ${status}`)));
    });
    const answer = await fetch(address);
    expect(await answer.text()).toBe(readFileSync(PAGE, 'utf8'));
    expect(answer.headers.get('content-type')).toContain('text/html');
    const { port } = new URL(address);
    for (const path of [
      '/../package.json',
      '/../../package.json',
      '/%2e%2e/package.json',
      '//etc/passwd',
      '/package.json',
    ])
      expect([path, await statusOf('GET', port, path)]).toEqual([path, 404]);
    expect(await statusOf('POST', port, '/')).toBe(405);
    expect(usercopy(['page', '--port', port])).toMatchObject({ status: 2, err: expect.stringContaining('free') });
  } finally {
    child.kill();
  }
});

it('says where the page lies, and refuses a port that is none', () => {
  expect(usercopy(['page', '--path']).out.trim()).toBe(PAGE);
  expect(usercopy(['page', '--port', '99999'])).toMatchObject({ status: 2, err: expect.stringContaining('--port') });
});
