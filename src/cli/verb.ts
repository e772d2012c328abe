/** A verb of the command line: the options and the help that all of them have alike. */
import { Command, Option } from 'commander';

/** What stands below the options in a verb's help. */
export interface VerbHelp {
  /** What the options alone do not tell. */
  readonly notes?: string;
  /** The sentence after `Exit status:`; null where 0 and 2 mean what they do everywhere. */
  readonly status?: string;
  /** Command lines that a user can type, the most usual first. */
  readonly examples: readonly [string, string, ...string[]];
}

/** Where nobody says how wide it may be; Commander's own. */
const HELP_WIDTH = 80;

export class Verb extends Command {
  constructor(name: string) {
    super(name);
    this.helpOption('-h, --help', 'Show this help.');
  }

  /** The options of a verb that prints a table. Its action hands them to `printAnswer`. `json` describes `--json`. */
  tables(json = 'Print JSON.'): this {
    return this.addOption(new Option('--json', json).conflicts(['markdown', 'csv']))
      .addOption(new Option('--markdown', 'Print Markdown, including the tables.').conflicts('csv'))
      .option(
        '--csv',
        'Print the tables as CSV, with an empty line between them. Everything else goes to standard error.',
      );
  }

  /** Help ends in examples. */
  ends({ notes, status, examples }: VerbHelp): this {
    const sentences = [
      ...(notes === undefined ? [] : [notes]),
      ...(status === undefined ? [] : [`Exit status: ${status}`]),
    ];
    // A command line is there to be copied: it stays whole.
    const commands = `Examples:\n${examples.map((example) => `  $ ${example}`).join('\n')}`;
    return this.addHelpText('after', ({ command, error }) => {
      const output = command.configureOutput();
      const width = (error ? output.getErrHelpWidth?.() : output.getOutHelpWidth?.()) ?? HELP_WIDTH;
      const helper = command.createHelp();
      const wrapped = sentences.map((text) => helper.boxWrap(text.replaceAll('\n', ' '), width));
      return `\n${[...wrapped, commands].join('\n\n')}`;
    });
  }
}
