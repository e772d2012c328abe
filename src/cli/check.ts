/** `usercopy check`: judges one copy against the kernel structures in a memory dump. */
import { Command } from 'commander';
import { drivers } from '../../arch/index.js';
import type { Verdict } from '../check/verdict.js';
import { stackDepthOfDump } from '../dump/dump-code.js';
import { DumpJudge, type DumpJudgement } from '../dump/judge.js';
import { kernelFromDump } from '../dump/kernel-from-dump.js';
import { openDump } from '../dump/open-dump.js';
import { loadKernel } from '../image/load.js';
import { type CopyOptions, copyOf, readText } from './arguments.js';
import { BAD_INPUT, CLEAN, count, print, toJson, VIOLATION } from './output.js';

interface CheckOptions extends CopyOptions {
  readonly dump: string;
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  readonly regs?: string;
  readonly profile?: string;
  readonly frames?: boolean;
  readonly json?: boolean;
}

const MAXIMUM_REGISTER_TEXT = 16 << 20;

export function checkCommand(): Command {
  return new Command('check')
    .description("judge a copy against the kernel's own structures in a memory dump (ELF vmcore)")
    .requiredOption('--dump <file>', 'ELF vmcore: of QEMU (dump-guest-memory), kdump, virsh dump --memory-only')
    .option('--kernel <image>', 'image of the kernel in the dump (vmlinux, bzImage, …)')
    .option('--btf <file>', 'types of the kernel, when the image has none')
    .option('--config <file>', "the kernel's .config, when the image has none")
    .option('--regs <file>', "QEMU's `info registers`, taken at the first instruction of __check_object_size")
    .option('--at <address>', 'kernel address of the copy: 0x… or decimal')
    .option('--size <bytes>', 'bytes of the copy: 0x… or decimal')
    .option('--to-user', 'the copy goes to user memory')
    .option('--from-user', 'the copy comes from user memory')
    .option('--profile <name>', 'rules to judge by; default: by version and configuration')
    .option('--frames', 'check stack frames although the kernel does not')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Without --at the copy is taken from the argument registers: of --regs, or of the dump's own notes.

Examples:
  $ usercopy check --dump vmcore --kernel vmlinuz --regs regs.txt
  $ usercopy check --dump vmcore --at 0xffff888003a1f810 --size 1024 --to-user --json

Exit status: 0 when the kernel would let the copy pass, 1 when not, 2 for bad input.`,
    )
    .action(async (options: CheckOptions) => {
      process.exitCode = await runCheck(options);
    });
}

async function runCheck(options: CheckOptions): Promise<number> {
  const given = copyOf(options, 'check');
  const registers =
    options.regs === undefined ? null : { text: readText(options.regs, MAXIMUM_REGISTER_TEXT), path: options.regs };
  const files = {
    ...(options.btf === undefined ? {} : { btf: options.btf }),
    ...(options.config === undefined ? {} : { config: options.config }),
  };
  const image = options.kernel === undefined ? null : await loadKernel({ path: options.kernel }, { drivers, ...files });
  const dump = await openDump(options.dump, {
    image,
    registers,
    kernelFromDump: (located, variant) => kernelFromDump(options.dump, located, variant, files),
  });
  try {
    const judge = await DumpJudge.create(dump, {
      stackDepth: async (of, current) => {
        const { openUnicorn } = await import('../engine/unicorn-native.js');
        if ('unsupported' in of.variant.engine) return null;
        const engine = openUnicorn(of.variant.engine);
        try {
          return await stackDepthOfDump(engine, of, current);
        } finally {
          engine.close();
        }
      },
      ...(options.profile === undefined ? {} : { profile: options.profile }),
      ...(options.frames ? { frames: true } : {}),
    });
    const judgement = await judge.judge(given ?? judge.copyFromRegisters());
    if (options.json) print(toJson(jsonOf(judge, judgement)));
    else for (const line of linesOf(judge, judgement)) print(line);
    if (judgement.verdict.outcome === 'unreadable') return BAD_INPUT;
    return judgement.verdict.outcome === 'bad' ? VIOLATION : CLEAN;
  } finally {
    dump.close();
  }
}

function jsonVerdict(verdict: Verdict): unknown {
  return verdict.outcome === 'bad' ? { ...verdict, offset: count(verdict.offset), size: count(verdict.size) } : verdict;
}

function jsonOf(judge: DumpJudge, { copy, verdict, message, explanation, warnings }: DumpJudgement): unknown {
  const { kernel, variant, located } = judge.dump;
  return {
    variant: variant.name,
    kernel: kernel.version.release,
    profile: judge.profile.name,
    copy: { ...copy, size: count(copy.size) },
    message,
    verdict: jsonVerdict(verdict),
    explanation,
    found: { by: located.by, slide: located.slide },
    warnings,
  };
}

function linesOf(judge: DumpJudge, { message, explanation, warnings }: DumpJudgement): string[] {
  const { kernel, variant, located } = judge.dump;
  return [
    `${variant.name}, kernel ${kernel.version.release}, profile ${judge.profile.name} (kernel found by ${located.by})`,
    ...(message === null ? [] : [message]),
    ...explanation,
    ...warnings.map((warning) => `note: ${warning}`),
  ];
}
