/** A basic block's bytes → estimated cycles on one core. */
import type { CycleTraits, Quotient, RegisterAccess } from '../../arch/cycles.js';
import type { CodeBlock } from '../engine/engine.js';
import { Disassembler, type Instruction } from './disassembler.js';
import { parseOperands, shapeOf } from './operands.js';
import { fillOf, isFree, type Operation, type Pipeline, type Scoreboard, simulate, type Timing } from './scoreboard.js';
import type { Cost, CycleTable, Division } from './table.js';

/** An instruction with what the model sees of it. */
export interface Analysed {
  /** Bytes from the start of the code. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  readonly mnemonic: string;
  readonly operands: string;
  /** `add r64,m64` and `add`. */
  readonly keys: readonly [exact: string, mnemonic: string];
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  /** Of `writes`, those that only move an address on. */
  readonly updates: readonly string[];
  /** Storage of registers that an instruction with a memory operand reads beside it, not for its address. */
  readonly data: readonly string[];
  readonly hasMemory: boolean;
}

export function analyse(instruction: Instruction, traits: CycleTraits): Analysed {
  const parsed = parseOperands(instruction.operands);
  const mnemonic = (traits.mnemonic?.(instruction.mnemonic) ?? instruction.mnemonic).replaceAll(' ', '_');
  const shape = shapeOf(parsed, traits);
  const access = traits.access?.(instruction.mnemonic, parsed, instruction.access) ?? instruction.access ?? NO_ACCESS;
  const reads: string[] = [];
  const writes: string[] = [];
  for (const name of access.reads) note(reads, traits.storage(name));
  for (const name of access.writes) {
    const register = traits.storage(name);
    note(writes, register);
    if (traits.keepsRest?.(name)) note(reads, register);
  }
  const addresses: string[] = [];
  const plain: string[] = [];
  let memory = false;
  for (const { kind, registers } of parsed) {
    const address = kind === 'm' || kind === 'x';
    if (address) memory = true;
    const into = address ? addresses : plain;
    for (const name of registers) note(into, traits.storage(name));
  }
  return {
    offset: instruction.offset,
    size: instruction.size,
    mnemonic: instruction.mnemonic,
    operands: instruction.operands,
    keys: [shape === '' ? mnemonic : `${mnemonic} ${shape}`, mnemonic],
    reads,
    writes,
    updates: (traits.updates?.(instruction.mnemonic, parsed) ?? []).flatMap((name) => traits.storage(name) ?? []),
    hasMemory: memory,
    data: memory ? plain.filter((name) => !addresses.includes(name)) : [],
  };
}

/** A load whose data comes so many cycles later; an address that it moves on does not. */
const delayed = (operation: Operation, cycles: number): Operation => ({
  ...operation,
  latency: operation.latency + cycles,
  writes: operation.writes.map((write) => (write.isAddress ? write : { ...write, latency: write.latency + cycles })),
});

/** A division whose quotient is known, by the register that it is left in: the fewer bits it has, the sooner it ends. */
function divided(
  operation: Operation,
  of: Quotient,
  left: bigint,
  { cycles, bits }: Division,
  loadLatency: number,
): Operation {
  const quotient = of.isSigned ? BigInt.asIntN(of.bits, left) : BigInt.asUintN(of.bits, left);
  // A quotient of 0 is one digit, too.
  const digits = (quotient < 0n ? -quotient : quotient).toString(2).length;
  const divider = cycles + Math.ceil(digits / bits);
  const latency = divider + (operation.load ? loadLatency : 0);
  return {
    ...delayed(operation, latency - operation.latency),
    uses: operation.uses.map(({ units, cycles: taken }) => ({ units, cycles: Math.min(taken, divider) })),
  };
}

const NO_ACCESS: RegisterAccess = { reads: [], writes: [] };

function note(into: string[], register: string | null): void {
  if (register !== null && !into.includes(register)) into.push(register);
}

interface CompiledCost {
  readonly cost: Cost;
  readonly uses: Operation['uses'];
  readonly flags: string;
}

const UNKNOWN = '?';
const UNKNOWN_BYTES = 4;
/** Instructions, by their text, whose operation is kept; about 300 bytes each. */
const REMEMBERED = 1 << 15;

export class CycleModel {
  readonly pipeline: Pipeline;
  /** What filling and draining the pipeline takes, in cycles. */
  readonly fill: number;
  /** Instructions that no class of the table fits, by class key. */
  readonly unknown = new Map<string, number>();
  readonly #costs: readonly CompiledCost[];
  readonly #classes: ReadonlyMap<string, number>;
  readonly #loadLatency: number;
  readonly #registers = new Map<string, number>();
  readonly #operations = new Map<string, Operation>();

  constructor(
    readonly traits: CycleTraits,
    readonly table: CycleTable,
    private readonly disassembler: Disassembler,
  ) {
    this.pipeline = {
      order: table.order,
      width: table.width,
      units: table.units.length,
      buffer: table.buffer ?? Number.POSITIVE_INFINITY,
      storesInTurn: table.storesInTurn ?? false,
      fetch: table.fetch ?? null,
    };
    this.#loadLatency = table.loadLatency ?? 0;
    this.fill = fillOf(this.pipeline);
    this.#classes = new Map(Object.entries(table.classes));
    this.#costs = table.costs.map((cost) => ({
      cost,
      flags: cost.flags ?? '',
      uses: Object.entries(cost.uses)
        .map(([group, cycles]) => ({ units: table.groups[group] ?? [], cycles }))
        .sort((a, b) => a.units.length - b.units.length),
    }));
  }

  static async open(traits: CycleTraits, table: CycleTable): Promise<CycleModel> {
    return new CycleModel(traits, table, await Disassembler.open(traits));
  }

  /**
   * Estimated cycles of one pass through `code`, from an idle core to the last instruction's retirement. Bytes at the end
   * that are no known instruction cost a cycle for every four.
   */
  price(
    code: Uint8Array,
    address: bigint,
    options: { readonly thumb?: boolean; readonly timings?: Timing[] } = {},
  ): number {
    const { operations, unknownBytes } = this.operations(code, address, options.thumb);
    return simulate(operations, this.pipeline, options.timings) + Math.ceil(unknownBytes / UNKNOWN_BYTES);
  }

  /**
   * Runs a block on a core that is in the middle of a path: all of it, or its first `most` instructions. `late` says by how
   * many cycles a load comes later than from the nearest cache, and `left` what a division leaves in the register of quotients where
   * that is known, by the instruction's number in the block. `next` is where the path goes on; behind the block when absent.
   */
  run(
    board: Scoreboard,
    { code, address, instructions, thumb }: CodeBlock,
    {
      most = Number.POSITIVE_INFINITY,
      late,
      left,
      next,
    }: {
      most?: number;
      late?: (instruction: number) => number;
      left?: (instruction: number) => bigint | null;
      next?: bigint;
    } = {},
  ): void {
    if (code.length === 0) {
      // Bytes that cannot be read cost a cycle an instruction.
      for (let index = 0; index < Math.min(instructions, most); index++) board.stall(1);
      return;
    }
    const { operations, unknownBytes } = this.operations(code, address, thumb);
    for (const [index, operation] of operations.entries()) {
      if (index >= most) return;
      const { division } = this.table;
      const { quotient } = operation;
      const known = division && quotient ? (left?.(index) ?? null) : null;
      const asKnown =
        division && quotient && known !== null
          ? divided(operation, quotient, known, division, this.#loadLatency)
          : operation;
      const cycles = late?.(index) ?? 0;
      board.add(cycles > 0 && operation.load ? delayed(asKnown, cycles) : asKnown);
    }
    if (unknownBytes > 0) board.stall(Math.ceil(unknownBytes / UNKNOWN_BYTES));
    if (next !== undefined && next !== address + BigInt(code.length)) board.turn(operations.at(-1)?.turnsLate ?? false);
  }

  /** Whether a block has an instruction that repeats itself, which costs one pass in the table. */
  hasStringInstruction({ code, address }: CodeBlock): boolean {
    const { repeats } = this.traits;
    return repeats !== undefined && this.analyse(code, address).some(({ mnemonic }) => repeats.test(mnemonic));
  }

  /** What the instructions of `code` ask of the core, and how many bytes at its end are none that is known. */
  operations(code: Uint8Array, address: bigint, thumb?: boolean): { operations: Operation[]; unknownBytes: number } {
    const operations: Operation[] = [];
    const disassembler = thumb ? (this.disassembler.thumb ?? this.disassembler) : this.disassembler;
    let end = 0;
    for (const instruction of disassembler.instructions(code, address)) {
      end = instruction.offset + instruction.size;
      const text = `${instruction.mnemonic} ${instruction.operands}`;
      let operation = this.#operations.get(text);
      if (operation === undefined) {
        operation = this.operation(analyse(instruction, this.traits));
        if (this.#operations.size >= REMEMBERED) this.#operations.clear();
        this.#operations.set(text, operation);
      }
      operations.push(operation);
    }
    return { operations, unknownBytes: code.length - end };
  }

  analyse(code: Uint8Array, address: bigint): Analysed[] {
    return [...this.disassembler.instructions(code, address)].map((instruction) => analyse(instruction, this.traits));
  }

  operation(instruction: Analysed): Operation {
    // Classes count in this list.
    const { cost, uses, flags } = this.#costs[this.#classOf(instruction)]!;
    const load = flags.includes('l');
    const store = flags.includes('s');
    // Of an instruction that loads and computes, only the address is needed at once.
    const late = load && cost.latency > this.#loadLatency ? this.#loadLatency : 0;
    const early = cost.early ?? 0;
    const reads = instruction.reads.map((name) => ({
      register: this.#register(name),
      after: instruction.data.includes(name) ? Math.max(late, early) : instruction.hasMemory ? 0 : early,
    }));
    const forwards = this.#loadLatency > 0 ? Number.POSITIVE_INFINITY : (cost.forwards ?? 0);
    return {
      latency: cost.latency,
      microOps: cost.microOps,
      uses,
      reads,
      writes: instruction.writes.map((name) => ({
        register: this.#register(name),
        ...(instruction.updates.includes(name)
          ? { latency: this.table.updateLatency ?? cost.latency, forwards: 0, isAddress: true }
          : { latency: cost.latency, forwards }),
      })),
      load,
      store,
      first: flags.includes('f'),
      last: flags.includes('e'),
      // Of two registers alike nothing is read: `xor eax, eax`.
      isEliminatedMove: isFree({ latency: cost.latency, uses }) && !instruction.keys[0].endsWith('='),
      turnsLate: this.traits.turnsLate?.(instruction.mnemonic, instruction.operands) ?? false,
      quotient:
        this.traits.division?.quotientOf(
          instruction.mnemonic,
          instruction.keys[0].slice(instruction.keys[1].length + 1),
        ) ?? null,
    };
  }

  close(): void {
    this.disassembler.close();
  }

  #classOf({ keys: [exact, mnemonic] }: Analysed): number {
    const found = this.#classes.get(exact) ?? this.#classes.get(mnemonic);
    if (found !== undefined) return found;
    this.unknown.set(exact, (this.unknown.get(exact) ?? 0) + 1);
    return this.#classes.get(UNKNOWN) ?? 0;
  }

  #register(name: string): number {
    let number = this.#registers.get(name);
    if (number === undefined) {
      number = this.#registers.size;
      this.#registers.set(name, number);
    }
    return number;
  }
}
