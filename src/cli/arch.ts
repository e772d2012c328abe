/** `usercopy arch`: what is supported on each architecture. */
import { Command } from 'commander';
import type { ArchDriver } from '../../arch/driver.js';
import { ownVariants } from '../scenario/own.js';
import { print } from '../terminal.js';
import { table, toJson } from './output.js';

export function archCommand(drivers: readonly ArchDriver[]): Command {
  return new Command('arch')
    .description('list the architectures and what is supported on each')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ usercopy arch
  $ usercopy arch --json | jq -r '.[] | select(.run) | .variant'`,
    )
    .action((options: { json?: boolean }) => {
      const guests = ownVariants();
      const rows = drivers.flatMap((driver) =>
        driver.variants.map((variant) => ({
          variant: variant.name,
          linuxArch: driver.linuxArch,
          bits: variant.bits,
          endian: variant.endian,
          run: !('unsupported' in variant.engine),
          dump: variant.dump !== null,
          report: true,
          guest: guests.includes(variant.name),
          kernelFetch: variant.debianKernel?.metaPackage ?? null,
          frames: variant.frames.linked,
          note: variant.note,
        })),
      );
      if (options.json) {
        print(toJson(rows));
        return;
      }
      print(
        table(
          ['variant', "Linux's arch/", 'bits', 'byte order', 'run', 'dump', 'guest', 'frames', 'Debian kernel', 'note'],
          rows.map((row) => [
            row.variant,
            row.linuxArch,
            String(row.bits),
            row.endian,
            row.run ? 'yes' : 'no',
            row.dump ? 'yes' : 'no',
            row.guest ? 'yes' : 'no',
            row.frames ? 'yes' : 'no',
            row.kernelFetch ?? '–',
            row.note,
          ]),
          [null, null, null, null, null, null, null, null, null, 60],
        ),
      );
    });
}
