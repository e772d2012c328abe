/** `usercopy profiles`: the rules that copies can be judged by. */
import { Command } from 'commander';
import { profileList, switchList } from '../check/profiles.js';
import { print } from '../terminal.js';
import { table, toJson } from './output.js';

export function profilesCommand(): Command {
  return new Command('profiles')
    .description('list the rules to judge by (--profile) and their switches')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
A profile is the check of one era of kernels; switches after it change single rules, in the order they are written.

Examples:
  $ usercopy profiles
  $ usercopy check --dump vmcore --profile 4.16,pagespan,no-highmem`,
    )
    .action(({ json }: { json?: boolean }) => {
      if (json) {
        print(toJson({ profiles: profileList, switches: switchList }));
        return;
      }
      print(
        table(
          ['profile', 'kernels'],
          profileList.map(({ name, kernels }) => [name, kernels]),
        ),
      );
      const rows = switchList.map(({ name, profiles, about }) => [name, profiles.join(' '), about]);
      print(table(['switch', 'of profiles', 'what it does'], rows, [null, null, 84]));
    });
}
