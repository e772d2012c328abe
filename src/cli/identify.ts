/** `usercopy identify`: what lies at an address of a memory dump. */
import { hex } from '../errors.js';
import { type Identified, identifyInDump } from '../repro/from-dump.js';
import { wordOf } from '../scenario/expression.js';
import { print, progress } from '../terminal.js';
import { commandWords, DEFAULT_TIMEOUT, FILES_OF_DUMP, readRegisters, secondsOf } from './arguments.js';
import { BAD_INPUT, CLEAN, nextLine, toJson } from './output.js';
import { addressJson, objectJson } from './repro-json.js';
import { Verb } from './verb.js';

interface IdentifyOptions {
  readonly dump: string;
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  readonly regs?: string;
  readonly timeout: string;
  readonly json?: boolean;
}

export function identifyCommand(): Verb {
  return new Verb('identify')
    .description('Say what lies at an address of a memory dump: object, cache, member, state and owner.')
    .argument('<address>', 'Look at this kernel address (0x… or decimal).')
    .requiredOption(
      '--dump <file>',
      'Read this memory dump: a vmcore of kdump, of QEMU (dump-guest-memory) or of virsh dump --memory-only.',
    )
    .option(
      '--kernel <image>',
      'Take symbols and types from this image of the kernel in the dump (vmlinux, bzImage, …).',
    )
    .option('--btf <file>', 'Take the types from this file if the image has none.')
    .option('--config <file>', 'Take the configuration (.config) from this file if the image has none.')
    .option('--regs <file>', "Take the registers from this file, QEMU's `info registers`, if the dump has none.")
    .option('--timeout <seconds>', 'Stop reading the dump after this many seconds.', DEFAULT_TIMEOUT)
    .option('--json', 'Print JSON.')
    .ends({
      status: `0 if something is known of the address; 2 for bad input, for an address that is not mapped, and where the dump lacks
the memory that would tell.`,
      examples: [
        'usercopy identify 0xffff888003a1f810 --dump vmcore --kernel vmlinuz',
        'usercopy identify 0xffff888003a1f810 --dump vmcore --json | jq .object',
      ],
    })
    .action(async (address: string, options: IdentifyOptions) => {
      const { dump, kernel, btf, config, regs, timeout } = options;
      const asked = identifyInDump(
        { dump, kernel, btf, config, registers: readRegisters(regs) },
        wordOf(address, 'identify'),
        { readingLimit: secondsOf('--timeout', timeout) * 1000 },
      );
      const found = await progress.during(`reading ${dump} …`, asked);
      print(options.json ? toJson(jsonOf(found)) : [...linesOf(found), nextAfter(found, options)].join('\n'));
      process.exitCode = found.known ? CLEAN : BAD_INPUT;
    });
}

/** A copy of what is left of the object from the address on; of a word where no object is known. */
function nextAfter({ address, object, known }: Identified, options: IdentifyOptions): string {
  const words = commandWords(options, FILES_OF_DUMP);
  if (!known) return nextLine(`usercopy repro ${words}  # the copy that this dump was made for`);
  const rest = object?.end != null && object.end > address ? object.end - address : 8n;
  return nextLine(
    `usercopy check --at ${hex(address)} --size ${rest} --to-user ${words}  # whether the kernel lets such a copy pass`,
  );
}

function jsonOf({ object, neighbours, ...rest }: Identified): unknown {
  return { ...rest, physical: addressJson(rest.physical), object: objectJson(object), neighbours };
}

function linesOf(found: Identified): string[] {
  const { address, what, symbol, struct, member, object, owner, physical, lines, variant, kernel } = found;
  const state = object?.state == null ? '' : `, ${object.state}`;
  const inside = object?.start == null ? '' : `, ${address - object.start} bytes into it`;
  return [
    `${hex(address)}: ${what}${state}${inside}`,
    ...(struct === null ? [] : [`member: ${struct}${member === null ? '' : `.${member}`}`]),
    ...(symbol === null ? [] : [`symbol: ${symbol}`]),
    ...(owner === null ? [] : [`owner: ${owner}`]),
    ...(physical === null ? [] : [`physical address: ${hex(physical)}`]),
    ...lines,
    `${variant}, kernel ${kernel}`,
  ];
}
