/** `usercopy repro`: reproduces a reported BUG(), from a log, from a memory dump, or from both. */
import { Command } from 'commander';
import { badInput, UsercopyError } from '../errors.js';
import { reproduceDump } from '../repro/from-dump.js';
import type { Reproduction } from '../repro/outcome.js';
import { type CopyOptions, copyOf, readText } from './arguments.js';
import { print, toJson } from './output.js';
import { reproductionJson } from './repro-json.js';

interface ReproOptions extends CopyOptions {
  readonly report?: string;
  readonly all?: boolean;
  readonly dump?: string;
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  readonly regs?: string;
  readonly profile?: string;
  readonly output?: string;
  readonly shrink?: string;
  readonly redact?: boolean;
  readonly html?: string;
  readonly json?: boolean;
}

const VIOLATION = 1;
const MAXIMUM_REGISTER_TEXT = 16 << 20;

export function reproCommand(): Command {
  return new Command('repro')
    .description('reproduce a reported BUG(): from a log, from a memory dump, or from both')
    .option('--report <file>', "text with the kernel's log, '-' for standard input")
    .option('--all', 'every report in the text, a line of JSON each; default: the first one with a message')
    .option('--dump <file>', 'vmcore: of QEMU (dump-guest-memory), kdump, virsh dump --memory-only')
    .option('--kernel <image>', 'dump: image of its kernel (vmlinux, bzImage, …)')
    .option('--btf <file>', 'dump: types of its kernel, when the image has none')
    .option('--config <file>', "dump: its kernel's .config, when the image has none")
    .option('--regs <file>', "dump: QEMU's `info registers`, taken at the first instruction of __check_object_size")
    .option('--at <address>', 'kernel address of the copy: 0x… or decimal')
    .option('--size <bytes>', 'bytes of the copy: 0x… or decimal')
    .option('--to-user', 'the copy goes to user memory')
    .option('--from-user', 'the copy comes from user memory')
    .option('--profile <name>', 'rules to judge by; default: by version and configuration')
    .option('-o, --output <file>', 'write a scenario that replays the copy (YAML)')
    .option('--shrink <file>', 'dump: write it reduced to the pages that were needed (ELF)')
    .option('--redact', 'with --shrink: blank what does not matter')
    .option('--html <file>', 'dump: draw the memory around the copy')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ dmesg | usercopy repro --report -
  $ usercopy repro --report dmesg.txt -o case.yaml
  $ usercopy repro --dump vmcore --kernel vmlinuz --regs regs.txt --report dmesg.txt --json

Exit status: 0 when the copy is good, 1 when it is refused or said to have been, 2 for bad input.`,
    )
    .action(async (options: ReproOptions) => {
      process.exitCode = await runRepro(options);
    });
}

async function runRepro(options: ReproOptions): Promise<number> {
  if (options.dump === undefined) {
    throw badInput('repro', '--report FILE, --dump FILE or both', 'none of them');
  }
  for (const option of ['output', 'shrink', 'redact', 'html'] as const) {
    if (options[option] !== undefined) throw new UsercopyError('unsupported', `repro: --${option} is not built yet`);
  }
  const reproduction = await reproduceDump(
    {
      dump: options.dump,
      registers:
        options.regs === undefined ? null : { text: readText(options.regs, MAXIMUM_REGISTER_TEXT), path: options.regs },
      ...(options.kernel === undefined ? {} : { kernel: options.kernel }),
      ...(options.btf === undefined ? {} : { btf: options.btf }),
      ...(options.config === undefined ? {} : { config: options.config }),
      ...(options.profile === undefined ? {} : { profile: options.profile }),
    },
    copyOf(options, 'repro'),
    null,
  );
  if (options.json) print(toJson(reproductionJson(reproduction)));
  else for (const line of linesOf(reproduction)) print(line);
  return reproduction.outcome === 'clean' ? 0 : VIOLATION;
}

function linesOf({ outcome, variant, kernel, profile, report, check, replay, explanation }: Reproduction): string[] {
  const said = (who: string, message: string | null): string => `${who}: ${message ?? 'passes'}`;
  return [
    `${variant ?? 'unknown architecture'}, kernel ${kernel ?? 'unknown'}, profile ${profile ?? 'unknown'}: ${outcome}`,
    ...(report === null ? [] : [`report: ${report.message?.text ?? 'its message line is missing'}`]),
    ...(check === null ? [] : [said(`check (${check.judged})`, check.message)]),
    ...(replay === null ? [] : [said(`replay (${replay.kernel})`, replay.message)]),
    ...explanation.lines,
    ...explanation.causes.map(({ cause, because }) => `likely cause: ${cause} (${because})`),
  ];
}
