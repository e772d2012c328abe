/** `usercopy new`: a scenario to start from. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseProfile } from '../check/profiles.js';
import { badInput, shellWord } from '../errors.js';
import { writeWhole } from '../image/files.js';
import { SCENARIO_MARK } from '../report/own-output.js';
import { ownVariants } from '../scenario/own.js';
import { schemaPath } from '../scenario/read.js';
import { print, write } from '../terminal.js';
import { nextLine } from './output.js';
import { Verb } from './verb.js';

interface NewOptions {
  readonly variant?: string;
  readonly kernel?: string;
  readonly profile?: string;
  readonly schema?: boolean;
  readonly force?: boolean;
  readonly yes?: boolean;
}

interface Answers {
  readonly variant: string;
  readonly kernel: string | null;
  readonly profile: string;
}

export function newCommand(): Verb {
  return new Verb('new')
    .description('Write a scenario to start from.')
    .argument('[file]', "Write it to this file ('-' is standard output).", 'scenario.yaml')
    .option('--variant <name>', 'Use the built-in guest of this architecture.')
    .option('--kernel <image>', 'Use this kernel image instead of a built-in guest.')
    .option('--profile <name>', 'Judge by these rules.')
    .option('--yes', 'Ask no questions, even on a terminal.')
    .option('--force', 'Overwrite the file if it exists.')
    .option('--schema', 'Print the JSON schema of scenarios instead.')
    .ends({
      notes: 'On a terminal, it asks for whatever no option says.',
      examples: [
        'usercopy new case.yaml && usercopy run case.yaml',
        'usercopy new - --variant arm64 --profile 4.16,pagespan',
        'usercopy new --schema > scenario.schema.json',
      ],
    })
    .action(async (file: string, options: NewOptions) => {
      if (options.schema) {
        write(await readFile(schemaPath(), 'utf8'));
        return;
      }
      const text = starter(await answersOf(file, options), relative(process.cwd(), schemaPath()));
      if (file === '-') {
        write(text);
        return;
      }
      if (existsSync(file) && !options.force) throw badInput(file, 'a file that is not there yet, or --force', 'one');
      writeWhole(file, text);
      print(`${file} is written`);
      print(nextLine(`usercopy run ${shellWord(file)}`));
    });
}

async function answersOf(file: string, { variant, kernel, profile, yes }: NewOptions): Promise<Answers> {
  if (variant !== undefined && kernel !== undefined) throw badInput('new', 'one of --variant and --kernel', 'both');
  const asks = !yes && file !== '-' && process.stdin.isTTY && process.stdout.isTTY;
  const ask = asks ? createInterface({ input: process.stdin, output: process.stdout }) : null;
  try {
    const [first = ''] = ownVariants();
    const answer = async (question: string, given: string | undefined, otherwise: string): Promise<string> =>
      given ?? ((await ask?.question(`${question} (${otherwise}): `))?.trim() || otherwise);
    const chosen = kernel === undefined ? await answer(`guest: ${ownVariants().join(', ')}`, variant, first) : '';
    if (kernel === undefined && !ownVariants().includes(chosen)) {
      throw badInput('--variant', `one of ${ownVariants().join(', ')}`, `'${chosen}'`);
    }
    const rules = await answer('profile', profile, 'auto');
    if (rules !== 'auto') parseProfile(rules);
    return { variant: chosen, kernel: kernel ?? null, profile: rules };
  } finally {
    ask?.close();
  }
}

function starter({ variant, kernel, profile }: Answers, schema: string): string {
  const { whitelist, fallback } =
    profile === 'auto' ? { whitelist: true, fallback: false } : parseProfile(profile).switches;
  const guest = kernel === null ? `variant: ${variant}` : `kernel: ${JSON.stringify(kernel)}`;
  return `# yaml-language-server: $schema=${schema}
${SCENARIO_MARK}
# A scenario: which guest, which memory objects, which copies, and what must come out. Play it with 'usercopy run'.
name: one object, and one byte too many
guest:
  ${guest}
  # The rules of one era of kernels, with switches: 4.16,pagespan; auto picks by what the kernel holds, then by version.
  profile: ${JSON.stringify(profile)}

# Names stand for the first byte of an object; 'buffer.end' is the first byte after it.
objects:
  buffer:
    slab: { cache: kmalloc-64, objectSize: 64 }
  # Its cache has an empty whitelist (4.16 on): nothing of a cred may be copied.
  cred:
    slab: { cache: cred_jar, objectSize: 168, useroffset: 0, usersize: 0, index: 3 }
  # folio: { compoundPage: { order: 2 } }
  # area: { vmalloc: { pages: 2 } }

# Each step starts from the same memory. Only what 'expect' names must hold.
steps:
  - name: the whole object
    copy: { pointer: buffer, size: 64, direction: to_user }
    expect: { outcome: good }
  - name: one byte too many
    copy: { pointer: buffer, size: 65, direction: to_user }
    expect: { outcome: bad }
  - name: a cred
    copy: { pointer: cred + 8, size: 16, direction: from_user }
    expect: { outcome: ${whitelist && !fallback ? 'bad' : 'good'} }
  # A call of a guest function; sp, stack, user and the kernel's symbols have names too.
  - call: __check_object_size(_stext + 8, 64, 1)
    expect: { outcome: bad }
`;
}
