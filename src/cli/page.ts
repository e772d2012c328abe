/** `usercopy page`: the page that explains a report in the browser, served to this machine alone. */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { badInput, UsercopyError } from '../errors.js';
import { buildCommand, packageFile } from '../paths.js';
import { print } from '../terminal.js';
import { Verb } from './verb.js';

const PAGE = 'build/page/index.html';
const HOST = '127.0.0.1';
const DEFAULT_PORT = '8023';

export function pageCommand(): Verb {
  return new Verb('page')
    .description('Serve the page that explains reports in a browser. Nothing that you put into the page leaves it.')
    .option('--port <number>', 'Listen on this port of 127.0.0.1. 0 takes a free one.', DEFAULT_PORT)
    .option('--path', 'Print where the page lies on the disk, and serve nothing. The page works from there too.')
    .ends({
      notes: 'Ctrl-C ends it.',
      examples: ['usercopy page', 'cp "$(usercopy page --path)" /var/www/usercopy.html'],
    })
    .action(async ({ port, path }: { readonly port: string; readonly path?: boolean }) => {
      const page = readPage();
      if (path) {
        print(packageFile(PAGE));
        return;
      }
      const server = await serve(page, portOf(port));
      // It listens at a port, not at a path.
      print(`http://${HOST}:${(server.address() as AddressInfo).port}/`);
    });
}

function readPage(): Buffer {
  try {
    return readFileSync(packageFile(PAGE));
  } catch (cause) {
    throw new UsercopyError(
      'missing-dependency',
      `page: expected ${PAGE}, found none: run \`${buildCommand('page')}\``,
      {
        cause,
      },
    );
  }
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw badInput('--port', 'a number from 0 to 65535', `'${text}'`);
  return port;
}

function serve(page: Buffer, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    const isPage = request.url === '/' || request.url === '/index.html';
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (!isPage || !isRead) {
      response.writeHead(isRead ? 404 : 405).end();
      return;
    }
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'content-length': page.length,
      // What a policy inside a page cannot say.
      'content-security-policy': "frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-cache',
    });
    response.end(request.method === 'HEAD' ? undefined : page);
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(badInput('--port', `a port of ${HOST} that is free`, `${port} (${error.code ?? error.message})`)),
    );
    server.listen(port, HOST, () => resolve(server));
  });
}
