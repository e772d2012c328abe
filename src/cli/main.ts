#!/usr/bin/env node
/** The command line: one file per verb; errors are one sentence on stderr and exit code 2. */
import { readFileSync } from 'node:fs';
import { packageFile } from '../paths.js';
import { printError, write } from '../terminal.js';
import { BAD_INPUT, tellFailure } from './output.js';

function packageVersion(): string {
  const { version }: { readonly version: string } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'));
  return version;
}

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
try {
  const version = packageVersion();
  // What scripts ask most often waits for nothing else to be loaded.
  if (process.argv[2] === '--version' || process.argv[2] === '-V') write(`${version}\n`);
  else {
    const { runProgram } = await import('./program.js');
    await runProgram(version, process.argv.slice(2));
  }
} catch (error) {
  tellFailure(error);
}
