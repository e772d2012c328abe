/** `usercopy completion`: completion for shells, made of the verbs and options that there are. */
import { Argument, type Command, type Option } from 'commander';
import { print } from '../terminal.js';
import { Verb } from './verb.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** One verb or sub-verb as shells need it. */
interface Place {
  /** `kernel fetch`; empty for the program itself. */
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly description: string }[];
  readonly options: readonly { readonly option: Option; readonly flags: readonly string[] }[];
  /** Values of arguments that are out of a list. */
  readonly choices: readonly string[];
}

function placesOf(command: Command, path: readonly string[] = []): Place[] {
  const help = command.createHelp();
  const place: Place = {
    path: path.join(' '),
    words: help.visibleCommands(command).map((child) => ({ word: child.name(), description: child.description() })),
    options: help.visibleOptions(command).map((option) => ({
      option,
      flags: [option.long, option.short].filter((flag) => flag !== undefined && flag !== null),
    })),
    choices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  };
  return [place, ...command.commands.flatMap((child) => placesOf(child, [...path, child.name()]))];
}

/** A function for bash, which zsh runs too (bashcompinit). */
function bashScript(places: readonly Place[]): string {
  const cases = places.map(({ path, words, options, choices }) => {
    const values = options
      .filter(({ option }) => option.argChoices)
      .map(({ option, flags }) => `      ${flags.join('|')}) words="${option.argChoices?.join(' ')}" ;;`);
    const all = [...words.map(({ word }) => word), ...choices, ...options.flatMap(({ flags }) => flags)];
    return [
      `    "${path}")`,
      `      words="${all.join(' ')}"`,
      ...(values.length > 0 ? ['      case "$before" in', ...values, '      esac'] : []),
      '      ;;',
    ].join('\n');
  });
  const paths = places.filter(({ path }) => path !== '').map(({ path }) => `"${path}"`);
  return `# usercopy: eval "$(usercopy completion bash)"
_usercopy() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" place="" words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${place:+$place }$word" in
      ${paths.join('|')}) place="\${place:+$place }$word" ;;
    esac
  done
  case "$place" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _usercopy usercopy
`;
}

const quote = (text: string): string => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;

function fishScript(places: readonly Place[]): string {
  const lines = places.flatMap(({ path, words, options, choices }) => {
    const parts = path.split(' ').filter((part) => part !== '');
    const inside = parts.map((part) => `__fish_seen_subcommand_from ${part}`).join('; and ');
    const notDeeper =
      words.length > 0 ? `not __fish_seen_subcommand_from ${words.map(({ word }) => word).join(' ')}` : '';
    const condition = [inside, notDeeper].filter((part) => part !== '').join('; and ');
    const when = condition === '' ? '' : ` -n ${quote(condition)}`;
    return [
      ...words.map(
        ({ word, description }) => `complete -c usercopy -f${when} -a ${quote(word)} -d ${quote(description)}`,
      ),
      ...choices.map((choice) => `complete -c usercopy${when} -a ${quote(choice)}`),
      ...options.map(({ option }) => {
        const names = [
          option.long ? ` -l ${option.long.replace(/^--/, '')}` : '',
          option.short ? ` -s ${option.short.replace(/^-/, '')}` : '',
        ].join('');
        const value = option.argChoices ? ` -x -a ${quote(option.argChoices.join(' '))}` : option.required ? ' -r' : '';
        return `complete -c usercopy${when}${names}${value} -d ${quote(option.description)}`;
      }),
    ];
  });
  return ['# usercopy: usercopy completion fish | source', ...lines, ''].join('\n');
}

/** The script for a shell; `program` is the whole command line. */
export function completionScript(program: Command, shell: (typeof SHELLS)[number]): string {
  const places = placesOf(program);
  if (shell === 'fish') return fishScript(places);
  const bash = bashScript(places);
  return shell === 'bash' ? bash : `autoload -U +X compinit bashcompinit && compinit && bashcompinit\n${bash}`;
}

export function completionCommand(): Verb {
  return new Verb('completion')
    .description('Print a script that makes a shell complete verbs and options.')
    .addArgument(new Argument('<shell>', 'Write the script for this shell.').choices(SHELLS))
    .ends({
      examples: [
        'eval "$(usercopy completion bash)"   # or zsh; in ~/.bashrc or ~/.zshrc',
        'usercopy completion fish | source    # in ~/.config/fish/config.fish',
      ],
    })
    .action((shell: (typeof SHELLS)[number], _options: unknown, command: Command) => {
      let program = command;
      while (program.parent) program = program.parent;
      print(completionScript(program, shell).trimEnd());
    });
}
