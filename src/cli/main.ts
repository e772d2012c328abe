#!/usr/bin/env node
/** The command line: one file per verb; errors are one sentence on stderr and exit code 2. */
import { readFileSync } from 'node:fs';
import { UsercopyError } from '../errors.js';
import { packageFile } from '../paths.js';
import { printError, progress, write } from '../terminal.js';
import { BAD_INPUT, CLEAN, VIOLATION } from './output.js';

function packageVersion(): string {
  const { version }: { readonly version: string } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'));
  return version;
}

async function main(): Promise<void> {
  try {
    const version = packageVersion();
    // What scripts ask most often waits for nothing else to be loaded.
    if (process.argv[2] === '--version' || process.argv[2] === '-V') write(`${version}\n`);
    else {
      const { askedFor, program } = await import('./program.js');
      const whole = await program(version);
      await whole.parseAsync(askedFor(whole, process.argv.slice(2)), { from: 'user' });
    }
  } catch (error) {
    progress.clear();
    if (isExit(error)) {
      process.exitCode = error.exitCode === 0 ? CLEAN : BAD_INPUT;
      return;
    }
    const message = error instanceof Error ? error.message : String(error);
    const prefix = error instanceof UsercopyError ? '' : 'unexpected: ';
    printError(`usercopy: ${prefix}${message}`);
    process.exitCode = error instanceof UsercopyError && error.kind === 'crash' ? VIOLATION : BAD_INPUT;
  }
}

/** An exit of commander's, which is not loaded here. */
const isExit = (error: unknown): error is { readonly exitCode: number } =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('commander.') && 'exitCode' in error;

/** 128 + SIGPIPE: what a shell tells of a program whose reader has gone. */
const READER_GONE = 141;

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of a pipe has gone (`| head`): what is not known is no success.
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? READER_GONE);
  printError(`usercopy: standard output: expected room for what is printed, found ${error.code ?? error.message}`);
  process.exit(BAD_INPUT);
});
// Nobody is left to be told.
process.stderr.on('error', () => undefined);
await main();
