/** `usercopy kernel`: real kernels to run. */
import { matchesGlob } from '../attach/suppression.js';
import { badInput, hex, shellWord } from '../errors.js';
import { buildableVariants, buildKernel } from '../image/build.js';
import { debugTypes } from '../image/debug-types.js';
import { cachedKernels, type FetchedKernel, type FetchOptions, fetchKernel, remoteKernels } from '../image/fetch.js';
import { importKernels } from '../image/import.js';
import { loadKernel } from '../image/load.js';
import { print, printError, progress, warn } from '../terminal.js';
import { type Forms, printAnswer } from './answer.js';
import { refuseStray } from './arguments.js';
import { nextLine, toJson } from './output.js';
import { Verb } from './verb.js';

export function kernelCommand(): Verb {
  return new Verb('kernel')
    .description('Get real kernels, and look into them.')
    .addCommand(fetchCommand())
    .addCommand(buildCommand())
    .addCommand(listCommand())
    .addCommand(typesCommand())
    .addCommand(symbolsCommand())
    .helpCommand('help [verb]', 'Show the help of a verb.')
    .ends({
      examples: [
        'usercopy kernel fetch x86_64',
        'usercopy kernel build ppc64',
        'usercopy kernel list',
        'usercopy kernel types 5.10.0-32-686',
        "usercopy kernel symbols vmlinuz '*copy_to_user*'",
      ],
    });
}

interface FetchArguments {
  readonly release?: string;
  readonly refresh?: boolean;
  readonly from?: string;
  readonly json?: boolean;
}

function fetchCommand(): Verb {
  return new Verb('fetch')
    .description(
      "Download Debian's kernel for an architecture into the cache. This needs no root and installs nothing.",
    )
    .argument('[variant]', 'Fetch the kernel of this architecture (x86_64, arm64, …).')
    .option(
      '--release <name>',
      'Fetch the kernel of this suite (bookworm, sid, trixie-backports), series (5.10) or full release.',
    )
    .option('--refresh', 'Ask which kernel is the newest, even if the cache has an earlier answer.')
    .option('--from <path>', 'Take the kernels from this .deb, .rpm or folder (such as /boot) instead.')
    .option('--json', 'Print JSON.')
    .ends({
      notes: 'Standard error lists what could not be downloaded, and which parts of an index could not be read.',
      examples: [
        'usercopy kernel fetch x86_64',
        'usercopy kernel fetch arm64 --release trixie --json',
        'usercopy kernel fetch s390x --release 7.2 --refresh',
        'usercopy kernel fetch --from kernel-core-5.14.0-427.el9.x86_64.rpm',
      ],
    })
    .action(async (variant: string | undefined, { from, json, ...options }: FetchArguments) => {
      const fetched = await fetchedOrImported(variant, from, options);
      progress.clear();
      for (const { warnings } of fetched) for (const warning of warnings ?? []) warn(warning);
      if (json) print(toJson(from === undefined ? fetched[0] : fetched));
      else {
        for (const { release, path } of fetched) print(`${release}  ${path}`);
        for (const { path } of fetched.slice(0, 1)) sayNext(nextOfKernel(path));
      }
    });
}

interface BuildArguments {
  readonly release?: string;
  readonly config?: string;
  readonly jobs?: string;
  readonly refresh?: boolean;
  readonly json?: boolean;
}

function buildCommand(): Verb {
  return new Verb('build')
    .description(
      "Build a kernel from Debian's source, for a variant that Debian has no kernel of, or with options of your own.",
    )
    .argument('<variant>', `Build for this variant: ${buildableVariants().join(', ')}.`)
    .option(
      '--release <name>',
      'Build the kernel of this suite (bookworm) or series (6.1, 5.10). The default is bookworm.',
    )
    .option('--config <file>', 'Add these options, in the form of a .config, to the smallest configuration.')
    .option('--jobs <number>', 'Run this many compilers at a time. The default is 1.')
    .option('--refresh', 'Ask which kernel is the newest, even if the cache has an earlier answer.')
    .option('--json', 'Print JSON.')
    .ends({
      notes: `This downloads Debian's source (some 150 MB) and cross compiler (60 MB) and takes some nine minutes of CPU, once. It needs make and gcc on this
machine. The kernel is the smallest that has the check, with its types; it is not meant to boot. A build that was interrupted goes on where it was.`,
      examples: [
        'usercopy kernel build ppc64',
        'usercopy kernel build sparc64 --jobs 4',
        'usercopy kernel build ppc64 --config slab.config --json',
      ],
    })
    .action(async (variant: string, { json, jobs, ...options }: BuildArguments) => {
      const built = await buildKernel(variant, {
        ...options,
        ...(jobs === undefined ? {} : { jobs: /^\d+$/.test(jobs) ? Number(jobs) : Number.NaN }),
        onProgress: (what) => progress.show(what),
      });
      progress.clear();
      for (const warning of built.warnings ?? []) warn(warning);
      if (json) print(toJson(built));
      else {
        print(`${built.release}  ${built.path}`);
        sayNext(nextOfKernel(built.path));
      }
    });
}

interface TypesArguments {
  readonly variant?: string;
  readonly refresh?: boolean;
  readonly json?: boolean;
}

function typesCommand(): Verb {
  return new Verb('types')
    .description('Make the types of a Debian kernel whose image has none from its debug symbols, and cache them.')
    .argument('<release>', 'Name the release as uname -r does: 6.1.0-50-armmp.')
    .option(
      '--variant <name>',
      'Name the architecture (i386, arm, …). By default it is that of the kernel in the cache.',
    )
    .option('--refresh', 'Make the types again, even if the cache has them.')
    .option('--json', 'Print JSON.')
    .ends({
      notes: `This downloads the package of debug symbols (some 700 MB) and makes BTF of it with pahole. It takes three minutes, once.
The kernel in the cache has its types from then on; for an image elsewhere, give them with --btf FILE.`,
      examples: ['usercopy kernel types 5.10.0-32-686', 'usercopy kernel types 7.2.13+deb14-armmp --variant arm'],
    })
    .action(async (release: string, { json, ...options }: TypesArguments) => {
      progress.show(`getting the types of ${release}`);
      const found = await debugTypes(release, { ...options, onProgress: (what) => progress.show(what) });
      progress.clear();
      for (const warning of found.warnings ?? []) warn(warning);
      if (json) print(toJson(found));
      else {
        print(found.path);
        sayNext('usercopy kernel list  # the image that these types are used with');
      }
    });
}

/** The next step, where standard output is what other programs read: on standard error. */
const sayNext = (command: string): void => printError(nextLine(command));

/** What most people want of a kernel that they have got. */
const nextOfKernel = (image: string): string =>
  `usercopy run random --kernel ${shellWord(image)}  # the kernel's own check and ours, on the same copies`;

async function fetchedOrImported(
  variant: string | undefined,
  from: string | undefined,
  options: FetchOptions,
): Promise<readonly FetchedKernel[]> {
  if (variant !== undefined && from === undefined) {
    progress.show(`fetching Debian's kernel for ${variant}`);
    return [await fetchKernel(variant, options)];
  }
  if (variant === undefined && from !== undefined) {
    refuseStray('kernel fetch --from', options, []);
    progress.show(`reading ${from}`);
    return imported(from);
  }
  throw badInput('kernel fetch', 'either a variant or --from PATH', from === undefined ? 'neither' : 'both');
}

async function imported(from: string): Promise<readonly FetchedKernel[]> {
  const { kernels, warnings } = await importKernels(from);
  return kernels.map((kernel, index) => (index === 0 && warnings.length > 0 ? { ...kernel, warnings } : kernel));
}

interface ListArguments extends Forms {
  readonly remote?: string;
  readonly suite?: string;
}

function listCommand(): Verb {
  return new Verb('list')
    .description('List the kernels in the cache, or those that Debian has.')
    .option('--remote <variant>', 'List what Debian has for this architecture.')
    .option('--suite <name>', 'With --remote, list this suite only.')
    .tables()
    .ends({
      examples: [
        'usercopy kernel list',
        'usercopy kernel list --remote arm64 --suite trixie-backports',
        `usercopy kernel list --json | jq -r '.[] | select(.variant == "x86_64") | .path'`,
      ],
    })
    .action(async (options: ListArguments) => {
      if (options.remote !== undefined) return listRemote(options.remote, options);
      if (options.suite !== undefined) throw badInput('kernel list --suite', '--remote VARIANT with it', 'none');
      const kernels = await cachedKernels();
      const last = kernels.at(-1);
      printAnswer(options, {
        json: () => toJson(kernels),
        parts: () => [
          kernels.length === 0 ? 'no kernel is in the cache' : undefined,
          kernels.length === 0
            ? undefined
            : {
                head: ['variant', 'release', 'image'],
                rows: kernels.map(({ variant, release, path }) => [variant, release, path]),
              },
        ],
        next: last === undefined ? 'usercopy kernel fetch x86_64' : nextOfKernel(last.path),
      });
    });
}

async function listRemote(variant: string, { suite, ...forms }: ListArguments): Promise<void> {
  progress.show("asking Debian's indexes");
  const { kernels, warnings } = await remoteKernels(variant, { suite });
  progress.clear();
  for (const warning of warnings) warn(warning);
  const [first] = kernels;
  printAnswer(forms, {
    json: () => toJson({ kernels, warnings }),
    parts: () => [
      first === undefined
        ? `Debian has no kernel for ${variant}`
        : {
            head: ['release', 'flavour', 'version', 'suites'],
            rows: kernels.map(({ release, flavour, version, suites }) => [
              release,
              flavour,
              version,
              suites.join(', '),
            ]),
          },
    ],
    next: first && `usercopy kernel fetch ${variant} --release ${first.release}`,
  });
}

function symbolsCommand(): Verb {
  return new Verb('symbols')
    .description("List a kernel image's symbols in the order of their addresses.")
    .argument('<image>', 'Read this image (vmlinux, bzImage, …).')
    .argument('[pattern]', "List only names like this one. '*' stands for any characters.")
    .tables()
    .ends({
      notes: 'Types are those of nm: T and t are functions, D, d, B and b are variables, R and r are constants.',
      status: '0, or 2 if there is no such symbol.',
      examples: [
        'usercopy kernel symbols vmlinuz simple_read_from_buffer',
        "usercopy kernel symbols vmlinuz '*copy_to_user*' --json | jq -r '.[].address'",
      ],
    })
    .action(async (image: string, pattern: string | undefined, forms: Forms) => {
      const { symbols } = await progress.during(`reading ${image} …`, loadKernel(image));
      const found = [...symbols].filter(({ name }) => pattern === undefined || matchesGlob(pattern, name));
      if (found.length === 0) {
        const wanted = pattern === undefined ? 'symbols' : `symbols like '${pattern}'`;
        throw badInput(`kernel symbols ${image}`, wanted, `none among ${symbols.count}`);
      }
      const rows = found.map(({ name, address, size, type }) => [hex(address), String(size), type, name]);
      printAnswer(forms, {
        json: () => toJson(found.map(({ name, address, size, type }) => ({ name, address, size: Number(size), type }))),
        parts: () => [
          { head: ['address', 'bytes', 'type', 'name'], rows, text: rows.map((row) => row.join(' ')).join('\n') },
        ],
      });
      if (!forms.json && !forms.csv && !forms.markdown)
        sayNext(
          `usercopy run --kernel ${shellWord(image)} --call '__check_object_size(_stext, 64, 1)'  # calls a function by its name`,
        );
    });
}
