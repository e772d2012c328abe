/** `usercopy profiles`: the rules that copies can be judged by. */
import { profileList, switchList } from '../check/profiles.js';
import { unreadTrees, vendorTrees } from '../check/vendor-profiles.js';
import { type Forms, printAnswer } from './answer.js';
import { toJson } from './output.js';
import { Verb } from './verb.js';

export function profilesCommand(): Verb {
  return new Verb('profiles')
    .description('List the rules to judge by (--profile) and their switches.')
    .tables()
    .ends({
      notes: `A profile is the check of one era of kernels. Switches after it change single rules, in the order in which they are written.
Without --profile, the kernel's own contents decide (its strings, what its check calls, its configuration); what they leave open
is decided by its vendor's tree, if that tree was read, and otherwise by its version.`,
      examples: ['usercopy profiles', 'usercopy check --dump vmcore --profile 4.16,pagespan,no-highmem'],
    })
    .action((forms: Forms) => {
      printAnswer(forms, {
        json: () => {
          const vendors = vendorTrees.map(({ includes: _, ...tree }) => tree);
          return toJson({ profiles: profileList, switches: switchList, vendors, unread: unreadTrees });
        },
        parts: () => [
          { head: ['profile', 'kernels'], rows: profileList.map(({ name, kernels }) => [name, kernels]) },
          {
            head: ['switch', 'of profiles', 'what it does'],
            rows: switchList.map(({ name, profiles, about }) => [name, profiles.join(' '), about]),
            widths: [null, null, 84],
          },
          {
            head: ["vendor's tree", 'profile', 'shown by', 'read in'],
            rows: vendorTrees.map(({ name, profile, source, shownBy, note }) => [
              name,
              profile ?? 'as its version',
              shownBy ?? (source === null ? '' : 'from source only'),
              `${source ?? 'not read'}${note === null ? '' : `; ${note}`}`,
            ]),
            widths: [null, null, 30, 70],
          },
          `not read: ${unreadTrees.join('; ')}`,
        ],
        next: 'usercopy check --dump vmcore --profile 4.16,pagespan  # a copy of a dump, by these rules',
      });
    });
}
