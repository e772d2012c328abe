/** `usercopy arch`: what is supported on each architecture. */
import type { Variant } from '../../arch/driver.js';
import { drivers } from '../../arch/index.js';
import { openUnicorn } from '../engine/unicorn-native.js';
import { UsercopyError } from '../errors.js';
import { ownVariants } from '../scenario/own.js';
import { type Forms, printAnswer } from './answer.js';
import { toJson } from './output.js';
import { Verb } from './verb.js';

interface Emulated {
  /** `2.1.4`; null where nothing runs here. */
  readonly unicorn: string | null;
  /** What it cannot do for the variant, in words; or why nothing runs. */
  readonly quirks: readonly string[];
}

/** Tries what holds for the libunicorn that is loaded. */
function emulated({ engine }: Variant): Emulated {
  if ('unsupported' in engine) return { unicorn: null, quirks: [engine.unsupported] };
  try {
    const emulator = openUnicorn(engine);
    try {
      return { unicorn: emulator.version, quirks: emulator.quirks?.() ?? [] };
    } finally {
      emulator.close();
    }
  } catch (error) {
    if (!(error instanceof UsercopyError)) throw error;
    return { unicorn: null, quirks: [error.message] };
  }
}

export function archCommand(): Verb {
  return new Verb('arch')
    .description('List the architectures and what works on each.')
    .tables()
    .ends({ examples: ['usercopy arch', "usercopy arch --json | jq -r '.[] | select(.run) | .variant'"] })
    .action((forms: Forms) => {
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
          ...emulated(variant),
        })),
      );
      printAnswer(forms, {
        json: () => toJson(rows),
        parts: () => [
          {
            head: [
              'variant',
              "Linux's arch/",
              'bits',
              'byte order',
              'run',
              'dump',
              'guest',
              'frames',
              'Debian kernel',
              'note',
            ],
            rows: rows.map((row) => [
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
            widths: [null, null, null, null, null, null, null, null, null, 60],
          },
          quirksText(rows),
        ],
        next: "usercopy run own --variant arm64  # a built-in guest's own check, and ours",
      });
    });
}

/** One line for each thing that some variants cannot do, with the variants. */
function quirksText(rows: readonly (Emulated & { readonly variant: string; readonly run: boolean })[]): string {
  const running = rows.filter(({ run }) => run);
  const found = new Map<string, string[]>();
  for (const { variant, quirks } of running) {
    for (const quirk of quirks) found.set(quirk, [...(found.get(quirk) ?? []), variant]);
  }
  const version = running.find(({ unicorn }) => unicorn !== null)?.unicorn;
  const head = version === undefined ? 'Nothing runs here:' : `libunicorn ${version}, tried just now:`;
  if (found.size === 0) return `${head} no restriction`;
  return [head, ...[...found].map(([quirk, variants]) => `  ${variants.join(', ')}: ${quirk}`)].join('\n');
}
