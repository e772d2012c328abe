/** `usercopy check`: judges one copy against the kernel structures in a memory dump. */
import { variantOf } from '../../arch/index.js';
import type { Verdict } from '../check/verdict.js';
import { hex } from '../errors.js';
import { type DumpFinding, judgeDump } from '../repro/from-dump.js';
import { print, progress } from '../terminal.js';
import {
  type CopyOptions,
  commandWords,
  copyOf,
  DEFAULT_TIMEOUT,
  FILES_OF_DUMP,
  readRegisters,
  secondsOf,
  WORDS_OF_COPY,
} from './arguments.js';
import { BAD_INPUT, byLine, CLEAN, count, nextLine, toJson, VIOLATION } from './output.js';
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
    .description("Judge a copy by the kernel's own structures in a memory dump.")
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
    .option(
      '--regs <file>',
      "Take the registers from this file: QEMU's `info registers` at the first instruction of __check_object_size.",
    )
    .option('--at <address>', 'Judge the copy at this kernel address (0x… or decimal).')
    .option('--size <bytes>', 'Judge a copy of this many bytes (0x… or decimal).')
    .option('--to-user', 'The copy goes to user memory.')
    .option('--from-user', 'The copy comes from user memory.')
    .option(
      '--profile <name>',
      'Judge by these rules. By default, the contents of the kernel decide, then its vendor and version.',
    )
    .option('--frames', 'Check stack frames even if the kernel does not.')
    .option('--timeout <seconds>', 'Stop reading the dump after this many seconds.', DEFAULT_TIMEOUT)
    .option('--json', 'Print JSON.')
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
  const { dump } = options;
  const asked = judgeDump({ dump, registers, kernel, btf, config, profile, frames }, given, {
    readingLimit: secondsOf('--timeout', options.timeout) * 1000,
  });
  const finding = await progress.during(`reading ${dump} …`, asked);
  if (options.json) print(toJson(jsonOf(finding)));
  else for (const line of [...linesOf(finding), ...nextAfter(finding, options)]) print(line);
  if (finding.verdict.outcome === 'unreadable') return BAD_INPUT;
  return finding.verdict.outcome === 'bad' ? VIOLATION : CLEAN;
}

/** A copy that is refused may be replayed; of another, what lies there is asked. */
function nextAfter({ verdict, copy, variant }: DumpFinding, options: CheckOptions): string[] {
  // `repro` takes no --frames, and without it the kernel's own code may say otherwise; no emulator runs some kernels at all.
  const { engine } = variantOf(variant);
  const cannotRun = 'unsupported' in engine;
  if (verdict.outcome !== 'bad' || options.frames || cannotRun) {
    const words = commandWords(options, FILES_OF_DUMP);
    const why =
      cannotRun && verdict.outcome === 'bad' ? [`not replayed by the kernel's own code: ${engine.unsupported}`] : [];
    return [...why, nextLine(`usercopy identify ${hex(copy.pointer)} ${words}  # what lies there`)];
  }
  const words = commandWords(options, [...FILES_OF_DUMP, ...WORDS_OF_COPY, 'profile']);
  return [nextLine(`usercopy repro ${words}  # the same copy by the kernel's own code, and its likely cause`)];
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
