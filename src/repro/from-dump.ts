/** A copy in a memory dump: what the check says of it, and what it means. */
import { drivers } from '../../arch/index.js';
import { DumpJudge } from '../dump/judge.js';
import { kernelFromDump } from '../dump/kernel-from-dump.js';
import { openDump } from '../dump/open-dump.js';
import { stackDepthOfDump } from '../dump/stack-depth.js';
import { loadKernel } from '../kernel/load.js';
import type { UsercopyReport } from '../report/report.js';
import type { Copy } from '../verdict.js';
import type { Outcome, Reproduction } from './outcome.js';

export interface DumpInput {
  /** Path of the vmcore. */
  readonly dump: string;
  /** Paths of the kernel's image, types and configuration. */
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  /** Text of QEMU's `info registers`, and where it came from. */
  readonly registers: { readonly text: string; readonly path: string } | null;
  readonly profile?: string;
}

/**
 * Judges one copy against a dump. Without `copy` it is taken from the registers at the check's first instruction.
 * @throws UsercopyError `bad-input` for files that are not what they should be, or no copy to judge.
 */
export async function reproduceDump(
  input: DumpInput,
  copy: Copy | null,
  report: UsercopyReport | null,
): Promise<Reproduction> {
  const files = {
    ...(input.btf === undefined ? {} : { btf: input.btf }),
    ...(input.config === undefined ? {} : { config: input.config }),
  };
  const image = input.kernel === undefined ? null : await loadKernel({ path: input.kernel }, { drivers, ...files });
  const dump = await openDump(input.dump, {
    image,
    registers: input.registers,
    kernelFromDump: (located, variant) => kernelFromDump(input.dump, located, variant, files),
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
      ...(input.profile === undefined ? {} : { profile: input.profile }),
    });
    const from = copy === null ? 'dump registers' : 'given';
    const {
      verdict,
      message,
      explanation,
      warnings,
      copy: judged,
    } = await judge.judge(copy ?? judge.copyFromRegisters());
    return {
      outcome: outcomeOf(verdict.outcome === 'unreadable', message, report),
      variant: dump.variant.name,
      profile: judge.profile.name,
      kernel: dump.kernel.version.release,
      copy: { ...judged, pointerFrom: from, sizeFrom: from, directionFrom: from },
      report,
      check: { message, judged: 'dump' },
      replay: null,
      explanation: {
        region: verdict.outcome === 'unreadable' ? null : verdict.by,
        object: null,
        field: null,
        lines: [...explanation, ...warnings.map((warning) => `note: ${warning}`)],
        causes: [],
      },
    };
  } finally {
    dump.close();
  }
}

function outcomeOf(unreadable: boolean, message: string | null, report: UsercopyReport | null): Outcome {
  if (unreadable) return 'unknown';
  if (report?.message) return report.message.canonical === message ? 'identical' : 'different';
  return message === null ? 'clean' : 'unknown';
}
