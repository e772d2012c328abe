/** CPU state as dumps carry it, under the engine's register names: ELF notes, and the text of QEMU's `info registers`. */
import type { DumpConvention, PrstatusLayout } from '../../arch/dump.js';
import { badInput } from '../errors.js';
import { Words, wordFormat } from '../kernel/words.js';
import type { CoreNote } from './elf-core.js';

const NT_PRSTATUS = 1;
/** `info registers -a` of a large machine; more is no register text. */
const MAXIMUM_TEXT = 16 << 20;
const MAXIMUM_CPUS = 8192;

export type Registers = ReadonlyMap<string, bigint>;

/**
 * One map per CPU. Notes come per CPU in the same order, so the n-th note of each owner and type belongs to CPU n; what a
 * later kind of note says of a register does not replace what an earlier one said.
 */
export function registersFromNotes(
  notes: readonly CoreNote[],
  convention: DumpConvention,
  littleEndian: boolean,
): Registers[] {
  const cpus: Map<string, bigint>[] = [];
  const counts = new Map<string, number>();
  const add = (kind: string, values: Iterable<readonly [string, bigint]>): void => {
    const cpu = counts.get(kind) ?? 0;
    counts.set(kind, cpu + 1);
    if (cpu >= MAXIMUM_CPUS) return;
    const registers = cpus[cpu] ?? new Map<string, bigint>();
    cpus[cpu] = registers;
    for (const [name, value] of values) if (!registers.has(name)) registers.set(name, value);
  };
  for (const note of notes) {
    const view = new Words(note.data, wordFormat(64, littleEndian));
    if (note.owner === 'CORE' && note.type === NT_PRSTATUS) {
      add('prstatus', prstatus(view, convention.prstatus));
    }
    for (const known of convention.notes) {
      if (known.owner === note.owner && known.type === note.type) {
        add(`${known.owner} ${known.type}`, known.parse(view));
      }
    }
  }
  return cpus;
}

function* prstatus(data: Words, layout: PrstatusLayout): Iterable<readonly [string, bigint]> {
  for (const [index, name] of layout.registers.entries()) {
    const at = layout.offset + index * layout.width;
    if (at + layout.width > data.length) return;
    if (name === null) continue;
    yield [name, layout.width === 8 ? data.uint64(at) : BigInt(data.uint32(at))];
  }
}

/**
 * Parses QEMU's `info registers` (or `info registers -a`: one map per CPU). Text without a single known register is an
 * error; `where` names it.
 */
export function parseRegisterText(text: string, convention: DumpConvention, where: string): Registers[] {
  if (text.length > MAXIMUM_TEXT) {
    throw badInput(where, `QEMU's "info registers" of at most ${MAXIMUM_TEXT} bytes`, `${text.length} bytes`);
  }
  const blocks = text.split(/^CPU#\d+/m, MAXIMUM_CPUS + 1);
  const cpus = blocks.map((block) => registersOfBlock(block, convention)).filter((registers) => registers.size > 0);
  if (cpus.length === 0) {
    throw badInput(where, 'QEMU\'s "info registers" text', 'no register of this architecture in it');
  }
  return cpus;
}

function registersOfBlock(block: string, convention: DumpConvention): Registers {
  const registers = new Map<string, bigint>();
  for (const { pattern, name } of convention.text) {
    for (const match of block.matchAll(pattern)) {
      const [, label = '', values = ''] = match;
      for (const [index, value] of values.trim().split(/ +/).entries()) {
        const known = name(label, index);
        if (known !== null && !registers.has(known)) registers.set(known, BigInt(`0x${value}`));
      }
    }
  }
  return registers;
}
