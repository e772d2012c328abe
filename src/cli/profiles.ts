/** `usercopy profiles`: the rules that copies can be judged by. */
import { Command } from 'commander';
import { profileList, switchList } from '../check/profiles.js';
import { unreadTrees, vendorTrees } from '../check/vendor-profiles.js';
import { print } from '../terminal.js';
import { toJson } from './output.js';
import { table } from './table.js';

export function profilesCommand(): Command {
  return new Command('profiles')
    .description('list the rules to judge by (--profile) and their switches')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
A profile is the check of one era of kernels; switches after it change single rules, in the order they are written.
Without --profile the kernel's own contents tell (texts, what its check calls, configuration); what they leave open is told
by the vendor's tree, where one was read, else by the version.

Examples:
  $ usercopy profiles
  $ usercopy check --dump vmcore --profile 4.16,pagespan,no-highmem`,
    )
    .action(({ json }: { json?: boolean }) => {
      if (json) {
        const vendors = vendorTrees.map(({ includes: _, ...tree }) => tree);
        print(toJson({ profiles: profileList, switches: switchList, vendors, unread: unreadTrees }));
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
      const trees = vendorTrees.map(({ name, profile, source, shownBy, note }) => [
        name,
        profile ?? 'as its version',
        shownBy ?? (source === null ? '' : 'from source only'),
        `${source ?? 'not read'}${note === null ? '' : `; ${note}`}`,
      ]);
      print(table(["vendor's tree", 'profile', 'shown by', 'read in'], trees, [null, null, 30, 70]));
      print(`not read: ${unreadTrees.join('; ')}`);
    });
}
