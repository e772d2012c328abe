/** The Code: line of a report as instructions. */
import { findVariant } from '../../arch/index.js';
import { Disassembler } from '../cycles/disassembler.js';
import { UsercopyError } from '../errors.js';
import { encodeUnsigned } from '../kernel/words.js';
import type { UsercopyReport } from '../report/report.js';

export interface CodeLine {
  /** Bytes from the instruction at which the CPU stopped. */
  readonly offset: number;
  readonly text: string;
  /** The CPU stopped here. */
  readonly stopped: boolean;
}

export interface Code {
  readonly lines: readonly CodeLine[];
  /** Why there are none, or not all; null where nothing is amiss. */
  readonly note: string | null;
}

/** Bytes of x86's instructions at most: so far from the start a true boundary is met. */
const LONGEST_INSTRUCTION = 15;

/** null where the report has no such line. */
export async function codeLinesOf({ code, arch }: UsercopyReport): Promise<Code | null> {
  if (code === null) return null;
  const variant = findVariant(arch);
  const none = (note: string): Code => ({ lines: [], note });
  if (variant?.cycles === undefined)
    return none(`the code is not disassembled: nothing here does it for ${arch ?? 'an architecture that is not told'}`);
  const groups = code.split(' ').map((text) => ({ text: text.replace(/[<>()]/g, ''), marked: /[<(]/.test(text) }));
  if (groups.some(({ text }) => !/^(?:[0-9a-f]{2}|[0-9a-f]{4}|[0-9a-f]{8})$/.test(text))) {
    return none('the code is not disassembled: not all of its bytes could be read by the kernel');
  }
  const units = groups.map(({ text }) => encodeUnsigned(BigInt(`0x${text}`), text.length / 2, variant.endian));
  const bytes = Uint8Array.from(units.flatMap((unit) => [...unit]));
  const marked = groups.findIndex((group) => group.marked);
  if (marked < 0) return none('the code is not disassembled: it does not say where the CPU stopped');
  const stop = units.slice(0, marked).reduce((sum, unit) => sum + unit.length, 0);
  let disassembler: Disassembler;
  try {
    disassembler = await Disassembler.open(variant.cycles);
  } catch (error) {
    if (error instanceof UsercopyError) return none(`the code is not disassembled: ${error.message}`);
    throw error;
  }
  try {
    const isHalfwords = groups.every(({ text }) => text.length === 4);
    // Thumb, or an instruction set that has both lengths in one.
    const used = (isHalfwords && disassembler.thumb) || disassembler;
    const varies = groups[0]?.text.length === 2 || (isHalfwords && disassembler.thumb === null);
    const decoded = decode(used, bytes, stop, varies);
    return decoded.length === 0
      ? none('the code is not disassembled: its bytes are no instructions')
      : { lines: decoded, note: null };
  } finally {
    disassembler.close();
  }
}

/** Where lengths vary, from the first byte from which instructions meet the one that the CPU stopped at. */
function decode(disassembler: Disassembler, bytes: Uint8Array, stop: number, varies: boolean): CodeLine[] {
  const linesFrom = (start: number): CodeLine[] =>
    [...disassembler.instructions(bytes.subarray(start), 0n)].map(({ offset, mnemonic, operands }) => ({
      offset: start + offset - stop,
      text: `${mnemonic} ${operands}`.trimEnd(),
      stopped: start + offset === stop,
    }));
  const starts = varies ? Math.min(stop, LONGEST_INSTRUCTION) + 1 : 1;
  for (let start = 0; start < starts; start++) {
    const lines = linesFrom(start);
    if (lines.some(({ stopped }) => stopped)) return lines;
  }
  return linesFrom(stop);
}
