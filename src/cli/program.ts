/** The program that `usercopy` is: its verbs, one file each, and its help. */
import { type Command, CommanderError } from 'commander';
import { progress, write, writeError } from '../terminal.js';
import { refuseOverwriting } from './arguments.js';
import { BAD_INPUT, CLEAN, tellFailure } from './output.js';
import { Verb } from './verb.js';

/** In the order of the help. A verb is loaded when it is wanted: all of them take five times as long as Node.js itself. */
const VERBS: Readonly<Record<string, () => Promise<Verb>>> = {
  run: async () => (await import('./run.js')).runCommand(),
  check: async () => (await import('./check.js')).checkCommand(),
  identify: async () => (await import('./identify.js')).identifyCommand(),
  repro: async () => (await import('./repro.js')).reproCommand(),
  triage: async () => (await import('./triage.js')).triageCommand(),
  prepare: async () => (await import('./prepare.js')).prepareCommand(),
  kernel: async () => (await import('./kernel.js')).kernelCommand(),
  arch: async () => (await import('./arch.js')).archCommand(),
  overhead: async () => (await import('./overhead.js')).overheadCommand(),
  bench: async () => (await import('./bench.js')).benchCommand(),
  page: async () => (await import('./page.js')).pageCommand(),
  profiles: async () => (await import('./profiles.js')).profilesCommand(),
  new: async () => (await import('./new.js')).newCommand(),
  doctor: async () => (await import('./doctor.js')).doctorCommand(),
  completion: async () => (await import('./completion.js')).completionCommand(),
};
/** The verbs that an invocation needs: the one that it names; all for help and completion, and where it names none. */
function wantedVerbs(argument: string | undefined): readonly string[] {
  const named = argument !== undefined && argument !== 'completion' && Object.hasOwn(VERBS, argument);
  return named ? [argument] : Object.keys(VERBS);
}

/** Runs what `words` ask for, to its exit status. */
export async function runProgram(version: string, words: readonly string[]): Promise<void> {
  try {
    const whole = await program(version, words);
    await whole.parseAsync(askedFor(whole, words), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) return tellFailure(error);
    progress.clear();
    process.exitCode = error.exitCode === 0 ? CLEAN : BAD_INPUT;
  }
}

/** The program with the verbs that this invocation needs. Its exits are thrown as `CommanderError`. */
export async function program(version: string, words: readonly string[] = []): Promise<Command> {
  const whole = new Verb('usercopy')
    .description("Run Linux's hardened-usercopy check on any guest under the Unicorn CPU emulator.")
    .version(version, '-V, --version', 'Print the version.')
    .helpCommand('help [verb]', 'Show the help of a verb.')
    .showHelpAfterError('(usercopy --help lists the verbs)')
    .ends({
      status: '0 if all is as it should be, 1 if a copy was refused or a check said something else, 2 for bad input.',
      examples: [
        "usercopy run own                                  # the built-in guests' own check, and ours",
        'usercopy new case.yaml && usercopy run case.yaml  # a scenario of your own',
        'usercopy check --dump vmcore --kernel vmlinuz --regs regs.txt',
      ],
    })
    .exitOverride()
    .hook('preAction', (_, verb) => refuseOverwriting(verb.name(), verb.opts(), verb.args));
  // A name of VERBS.
  for (const verb of wantedVerbs(words[0])) whole.addCommand(await VERBS[verb]!());
  return overrideExits(whole);
}

/**
 * What a program is asked for. A word that is no verb where a verb stands is all that is left of the line: with `help` or
 * `--help` about it, the program would show its own help as if nothing were wrong.
 */
function askedFor(whole: Command, words: readonly string[]): readonly string[] {
  const path: string[] = [];
  let command = whole;
  for (const word of words) {
    if (word === 'help') continue;
    if (word.startsWith('-') || command.commands.length === 0) return words;
    const next = command.commands.find((child) => child.name() === word);
    if (next === undefined) return [...path, word];
    path.push(word);
    command = next;
  }
  return words;
}

/** Sub-commands inherit neither exitOverride nor output. */
function overrideExits(command: Command): Command {
  command.exitOverride();
  command.configureOutput({
    writeOut: write,
    writeErr: writeError,
    // As all other errors begin.
    outputError: (text, print) => print(text.replace(/^error: /, 'usercopy: ')),
  });
  for (const child of command.commands) overrideExits(child);
  return command;
}
