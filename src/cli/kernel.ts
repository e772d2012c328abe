/** `usercopy kernel`: real kernels to run. */
import { Command } from 'commander';
import { fetchKernel } from '../kernel/fetch.js';
import { print, toJson } from './output.js';

export function kernelCommand(): Command {
  const fetch = new Command('fetch')
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
      const fetched = await fetchKernel(variant, options.release === undefined ? {} : { release: options.release });
      if (options.json) print(toJson(fetched));
      else print(`${fetched.release}  ${fetched.path}`);
    });
  return new Command('kernel').description('get real kernels').addCommand(fetch);
}
