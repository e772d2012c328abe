/** `usercopy check`: judges one copy against the kernel structures in a memory dump. */
import type { Verdict } from '../check/verdict.js';
import { type DumpFinding, judgeDump } from '../repro/from-dump.js';
import { print } from '../terminal.js';
import { type CopyOptions, copyOf, DEFAULT_TIMEOUT, readRegisters, secondsOf } from './arguments.js';
import { BAD_INPUT, byLine, CLEAN, count, toJson, VIOLATION } from './output.js';
import { callLines, explanationJson } from './repro-json.js';
import { Verb } from './verb.js';

interface CheckOptions extends CopyOptions {
  readonly dump: string;
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  readonly regs?: string;
  readonly profile?: string;
  readonly frames?: boolean;
  readonly timeout: string;
  readonly json?: boolean;
}

export function checkCommand(): Verb {
  return new Verb('check')
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
    .option('--profile <name>', 'rules to judge by; default: by what the kernel holds, then by its vendor and version')
    .option('--frames', 'check stack frames although the kernel does not')
    .option('--timeout <seconds>', 'longest time for reading the dump', DEFAULT_TIMEOUT)
    .option('--json', 'print JSON')
    .ends({
      notes: `Without --at, the copy is taken from the argument registers (--regs, or the dump's own notes) if the CPU stands at the
check, and otherwise from the report in the dump's own log.`,
      status: '0 if the kernel would let the copy pass, 1 if not, 2 for bad input.',
      examples: [
        'usercopy check --dump vmcore --kernel vmlinuz --regs regs.txt',
        'usercopy check --dump vmcore --at 0xffff888003a1f810 --size 1024 --to-user --json',
      ],
    })
    .action(async (options: CheckOptions) => {
      process.exitCode = await runCheck(options);
    });
}

async function runCheck(options: CheckOptions): Promise<number> {
  const given = copyOf(options, 'check');
  const { btf, config, kernel, profile, frames } = options;
  const registers = readRegisters(options.regs);
  const finding = await judgeDump(
    {
      dump: options.dump,
      registers,
      kernel,
      btf,
      config,
      profile,
      frames,
    },
    given,
    { readingLimit: secondsOf('--timeout', options.timeout) * 1000 },
  );
  if (options.json) print(toJson(jsonOf(finding)));
  else for (const line of linesOf(finding)) print(line);
  if (finding.verdict.outcome === 'unreadable') return BAD_INPUT;
  return finding.verdict.outcome === 'bad' ? VIOLATION : CLEAN;
}

function jsonVerdict(verdict: Verdict): unknown {
  return verdict.outcome === 'bad' ? { ...verdict, offset: count(verdict.offset), size: count(verdict.size) } : verdict;
}

function jsonOf({
  variant,
  kernel,
  profile,
  profileBy,
  copy,
  verdict,
  message,
  explanation,
  found,
  warnings,
  reproduction,
}: DumpFinding): unknown {
  const { copy_from, object, field, surroundings } = explanationJson(reproduction);
  return {
    variant,
    kernel,
    profile,
    profileBy,
    copy: { ...copy, size: count(copy.size) },
    message,
    verdict: jsonVerdict(verdict),
    explanation,
    copy_from,
    object,
    field,
    surroundings,
    found,
    warnings,
  };
}

function linesOf({
  variant,
  kernel,
  profile,
  profileBy,
  message,
  found,
  reproduction,
  warnings,
}: DumpFinding): string[] {
  // What an emulator that ended was to tell is among the finding's warnings only.
  const { lines } = reproduction.explanation;
  const notes = warnings.map((warning) => `note: ${warning}`).filter((note) => !lines.includes(note));
  return [
    `${variant}, kernel ${kernel}, profile ${profile} (kernel found by ${found.by})`,
    ...(message === null ? [] : [message]),
    ...lines,
    ...byLine(profileBy),
    ...notes,
    ...callLines(reproduction.explanation),
  ];
}
