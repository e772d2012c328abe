/** The Code: line of a report as instructions. */
import type { CycleTraits } from '../../arch/cycles.js';
import { findVariant } from '../../arch/index.js';
import { Disassembler, type Instruction } from '../cycles/disassembler.js';
import { hex, UsercopyError } from '../errors.js';
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
const THUMB_UNIT = 2;

/** null where the report has no such line. */
export async function codeLinesOf({ code, arch }: UsercopyReport): Promise<Code | null> {
  if (code === null) return null;
  const variant = findVariant(arch);
  const none = (note: string): Code => ({ lines: [], note });
  if (variant?.cycles === undefined)
    return none(`the code is not disassembled: nothing here does it for ${arch ?? 'an unknown architecture'}`);
  const groups = code.split(' ').map((text) => ({ text: text.replace(/[<>()]/g, ''), marked: /[<(]/.test(text) }));
  const digits = unitDigits(groups, variant.cycles);
  // A log may end within the last one.
  if ((groups.at(-1)?.text.length ?? 0) < digits) groups.pop();
  if (groups.some(({ text }) => text.length !== digits || !/^[0-9a-f]+$/.test(text))) {
    const groupsOf = `groups of ${digits} hexadecimal digits`;
    return none(`the code is not disassembled: not all of it are ${groupsOf}, as this kernel prints what it can read`);
  }
  const marks = groups.filter((group) => group.marked).length;
  if (marks !== 1) {
    const how = marks === 0 ? 'it does not say where the CPU stopped' : 'it marks several places where the CPU stopped';
    return none(`the code is not disassembled: ${how}`);
  }
  const size = digits / 2;
  const bytes = Uint8Array.from(
    groups.flatMap(({ text }) => [...encodeUnsigned(BigInt(`0x${text}`), size, variant.endian)]),
  );
  const stop = size * groups.findIndex((group) => group.marked);
  let disassembler: Disassembler;
  try {
    disassembler = await Disassembler.open(variant.cycles);
  } catch (error) {
    if (error instanceof UsercopyError) return none(`the code is not disassembled: ${error.message}`);
    throw error;
  }
  try {
    const isThumb = size === THUMB_UNIT && disassembler.thumb !== null;
    const used = (isThumb && disassembler.thumb) || disassembler;
    const decoded = decode(used, bytes, stop, { varies: size < 4 && !isThumb, bits: variant.bits });
    return decoded.length === 0
      ? none('the code is not disassembled: its bytes are not instructions')
      : { lines: decoded, note: null };
  } finally {
    disassembler.close();
  }
}

/** Digits of each group: of the architecture's units, or all of Thumb's. */
function unitDigits(groups: readonly { readonly text: string }[], { codeUnit, capstone }: CycleTraits): number {
  const isThumb = capstone.thumbMode !== undefined && groups[0]?.text.length === 2 * THUMB_UNIT;
  return 2 * (isThumb ? THUMB_UNIT : codeUnit);
}

interface Decoding {
  /** Lengths of instructions vary. */
  readonly varies: boolean;
  readonly bits: 32 | 64;
}

/**
 * Where lengths vary, the first byte may be the middle of an instruction, and what is read from there on is none that ran until a true
 * boundary is met. So the code is read from each of the first bytes, and before the one that the CPU stopped at those instructions count
 * that all these ways come to.
 */
function decode(disassembler: Disassembler, bytes: Uint8Array, stop: number, { varies, bits }: Decoding): CodeLine[] {
  // Ways that have come together stay together: what begins at a byte is looked at once.
  const known = new Map<number, Instruction | null>();
  const instructionAt = (start: number): Instruction | null => {
    let found = known.get(start);
    if (found === undefined) {
      found = one(disassembler, bytes, start, PLACES[0] + BigInt(start - stop));
      known.set(start, found);
    }
    return found;
  };
  const wayFrom = (start: number): number[] => {
    const places: number[] = [];
    let at = start;
    for (let next = instructionAt(at); next !== null; next = instructionAt(at)) {
      places.push(at);
      at += next.size;
    }
    return places;
  };
  const starts = varies ? Math.min(stop, LONGEST_INSTRUCTION) + 1 : 1;
  const ways = Array.from({ length: starts }, (_, start) => wayFrom(start)).filter((places) => places.includes(stop));
  const [first = wayFrom(stop), ...others] = ways;
  const sure = others.map((places) => new Set(places));
  return first
    .filter((at) => sure.every((places) => places.has(at)))
    .map((at) => {
      const offset = at - stop;
      const { mnemonic = '', operands = '' } = instructionAt(at) ?? {};
      const there = one(disassembler, bytes, at, PLACES[1] + BigInt(offset));
      const text = relative(operands, there?.operands ?? '', PLACES[0] + BigInt(offset), bits);
      return { offset, text: `${mnemonic} ${text}`.trimEnd(), stopped: offset === 0 };
    });
}

/** The instruction that begins at a byte; null for bytes that are none. */
function one(disassembler: Disassembler, bytes: Uint8Array, start: number, address: bigint): Instruction | null {
  for (const instruction of disassembler.instructions(bytes.subarray(start), address)) return instruction;
  return null;
}

const PAGE = 0x1000n;
/** Two places where the code might lie. What of an operand moves with them is told from the instruction's own address on. */
const PLACES = [0x1000_0800n, 0x1000_0800n + 2n * PAGE + 4n] as const;
const NUMBER = /#?(?:0x[0-9a-f]+|\b\d+\b)/g;

/** Where the code lies is not told: addresses that are counted from it are `.+0x10`, as assemblers write it. */
function relative(operands: string, elsewhere: string, address: bigint, bits: 32 | 64): string {
  if (operands === elsewhere) return operands;
  const moved = elsewhere.match(NUMBER) ?? [];
  let index = 0;
  return operands.replace(NUMBER, (printed) => {
    const value = BigInt(printed.replace('#', ''));
    const distance = BigInt((moved[index++] ?? printed).replace('#', '')) - value;
    const from = (base: bigint): string => {
      const way = BigInt.asIntN(bits, value - base);
      return way < 0n ? `-${hex(-way)}` : `+${hex(way)}`;
    };
    if (BigInt.asIntN(bits, distance) === PLACES[1] - PLACES[0]) return `.${from(address)}`;
    const isByPage = distance !== 0n && distance % PAGE === 0n;
    return isByPage ? `(. & ~0xfff)${from(address - (address % PAGE))}` : printed;
  });
}
