/** `usercopy kernel`: real kernels to run. */
import { Command } from 'commander';
import { cachedKernels, fetchKernel } from '../image/fetch.js';
import { print, progress, table, toJson } from './output.js';

export function kernelCommand(): Command {
  return new Command('kernel')
    .description('get real kernels')
    .addCommand(fetchCommand())
    .addCommand(listCommand())
    .addHelpText(
      'after',
      `
Examples:
  $ usercopy kernel fetch x86_64
  $ usercopy kernel list`,
    );
}

function fetchCommand(): Command {
  return new Command('fetch')
    .description("download Debian's kernel for an architecture into the cache (no root, nothing installed)")
    .argument('<variant>', 'x86_64, arm64, …')
    .option('--release <name>', 'suite (bookworm), version (5.10) or full release (6.1.0-50-cloud-amd64)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ usercopy kernel fetch x86_64
  $ usercopy kernel fetch arm64 --release trixie --json`,
    )
    .action(async (variant: string, options: { release?: string; json?: boolean }) => {
      progress.show(`fetching Debian's kernel for ${variant}`);
      const fetched = await fetchKernel(variant, options.release === undefined ? {} : { release: options.release });
      progress.clear();
      if (options.json) print(toJson(fetched));
      else print(`${fetched.release}  ${fetched.path}`);
    });
}

function listCommand(): Command {
  return new Command('list')
    .description('list the kernels in the cache')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ usercopy kernel list
  $ usercopy kernel list --json | jq -r '.[] | select(.variant == "x86_64") | .path'`,
    )
    .action(async (options: { json?: boolean }) => {
      const kernels = await cachedKernels();
      if (options.json) print(toJson(kernels));
      else if (kernels.length === 0) print("none; 'usercopy kernel fetch x86_64' gets one");
      else
        print(
          table(
            ['variant', 'release', 'image'],
            kernels.map(({ variant, release, path }) => [variant, release, path]),
          ),
        );
    });
}
