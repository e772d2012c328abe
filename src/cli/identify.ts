/** `usercopy identify`: what lies at an address of a memory dump. */
import { hex } from '../errors.js';
import { type Identified, identifyInDump } from '../repro/from-dump.js';
import { wordOf } from '../scenario/expression.js';
import { print } from '../terminal.js';
import { DEFAULT_TIMEOUT, readRegisters, secondsOf } from './arguments.js';
import { BAD_INPUT, CLEAN, toJson } from './output.js';
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
    .description('say what lies at an address of a memory dump: object, cache, member, state, owner')
    .argument('<address>', 'kernel address: 0x… or decimal')
    .requiredOption('--dump <file>', 'vmcore: of QEMU (dump-guest-memory), kdump, virsh dump --memory-only')
    .option('--kernel <image>', 'image of the kernel in the dump (vmlinux, bzImage, …)')
    .option('--btf <file>', 'types of the kernel, when the image has none')
    .option('--config <file>', "the kernel's .config, when the image has none")
    .option('--regs <file>', "QEMU's `info registers`, where the dump has none")
    .option('--timeout <seconds>', 'longest time for reading the dump', DEFAULT_TIMEOUT)
    .option('--json', 'print JSON')
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
      const found = await identifyInDump(
        { dump, kernel, btf, config, registers: readRegisters(regs) },
        wordOf(address, 'identify'),
        { readingLimit: secondsOf('--timeout', timeout) * 1000 },
      );
      print(options.json ? toJson(jsonOf(found)) : linesOf(found).join('\n'));
      process.exitCode = found.known ? CLEAN : BAD_INPUT;
    });
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
