#!/usr/bin/env node
/** The command line: one file per verb; errors are one sentence on stderr and exit code 2. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { drivers } from '../../arch/index.js';
import { UsercopyError } from '../errors.js';
import { packageFile } from '../paths.js';
import { printError, progress, write, writeError } from '../terminal.js';
import { archCommand } from './arch.js';
import { benchCommand } from './bench.js';
import { checkCommand } from './check.js';
import { completionCommand } from './completion.js';
import { doctorCommand } from './doctor.js';
import { identifyCommand } from './identify.js';
import { kernelCommand } from './kernel.js';
import { newCommand } from './new.js';
import { BAD_INPUT, CLEAN, VIOLATION } from './output.js';
import { pageCommand } from './page.js';
import { prepareCommand } from './prepare.js';
import { profilesCommand } from './profiles.js';
import { reproCommand } from './repro.js';
import { runCommand } from './run.js';
import { triageCommand } from './triage.js';

function packageVersion(): string {
  return (JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string }).version;
}

function program(): Command {
  return new Command('usercopy')
    .description("Linux's hardened-usercopy check for any guest under the Unicorn CPU emulator")
    .version(packageVersion())
    .showHelpAfterError('(usercopy --help lists the verbs)')
    .addHelpText(
      'after',
      `
Examples:
  $ usercopy run own                                  # the built-in guests, their own check and ours
  $ usercopy new case.yaml && usercopy run case.yaml  # a scenario of your own
  $ usercopy check --dump vmcore --kernel vmlinuz --regs regs.txt

Exit status: 0 when all is as it should be, 1 when a copy was refused or a check said something else, 2 for bad input.`,
    )
    .addCommand(runCommand())
    .addCommand(checkCommand())
    .addCommand(identifyCommand())
    .addCommand(reproCommand())
    .addCommand(triageCommand())
    .addCommand(prepareCommand())
    .addCommand(kernelCommand())
    .addCommand(archCommand(drivers))
    .addCommand(benchCommand())
    .addCommand(pageCommand())
    .addCommand(profilesCommand())
    .addCommand(newCommand())
    .addCommand(doctorCommand())
    .addCommand(completionCommand())
    .exitOverride();
}

/** Sub-commands inherit neither exitOverride nor output. */
function overrideExits(command: Command): Command {
  command.exitOverride();
  command.configureOutput({ writeOut: write, writeErr: writeError });
  for (const child of command.commands) overrideExits(child);
  return command;
}

async function main(): Promise<void> {
  try {
    await overrideExits(program()).parseAsync();
  } catch (error) {
    progress.clear();
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? CLEAN : BAD_INPUT;
      return;
    }
    const message = error instanceof Error ? error.message : String(error);
    const prefix = error instanceof UsercopyError ? '' : 'unexpected: ';
    printError(`usercopy: ${prefix}${message}`);
    process.exitCode = error instanceof UsercopyError && error.kind === 'crash' ? VIOLATION : BAD_INPUT;
  }
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
await main();
