/**
 * Capstone, read straight from its memory: the package's own wrapper makes a dozen objects an instruction, and reads
 * operand details at offsets of another Capstone version. What is used here is text and `cs_regs_access`.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { CycleTraits } from '../../arch/cycles.js';
import { UsercopyError } from '../errors.js';

/** The parts of Capstone's module that are used. Numbers are addresses in its memory. */
interface CapstoneModule {
  readonly [constant: `ARCH_${string}` | `MODE_${string}`]: number;
  readonly ERR_OK: number;
  readonly OPT_DETAIL: number;
  readonly OPT_ON: number;
  _malloc(size: number): number;
  _free(pointer: number): void;
  _cs_open(arch: number, mode: number, handle: number): number;
  _cs_close(handle: number): number;
  _cs_option(handle: number, option: number, value: number): number;
  _cs_malloc(handle: number): number;
  _cs_free(instruction: number, count: number): void;
  _cs_disasm_iter(handle: number, code: number, size: number, address: number, instruction: number): number;
  _cs_regs_access(
    handle: number,
    instruction: number,
    reads: number,
    readCount: number,
    writes: number,
    writeCount: number,
  ): number;
  _cs_reg_name(handle: number, register: number): number;
  getValue(pointer: number, type: string): number;
  setValue(pointer: number, value: number | bigint, type: string): void;
  writeArrayToMemory(bytes: Uint8Array, pointer: number): void;
  UTF8ToString(pointer: number): string;
}

/** `struct cs_insn` of Capstone 5 on wasm32. */
const SIZE_OFFSET = 16;
const MNEMONIC_OFFSET = 42;
const OPERANDS_OFFSET = 74;
/** `cs_regs`: registers that cs_regs_access can return. */
const MOST_REGISTERS = 64;
const LONGEST_BLOCK = 1 << 16;

export interface Instruction {
  /** Bytes from the start of the code. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  readonly mnemonic: string;
  readonly operands: string;
  /** Registers as Capstone knows them, explicit and implicit; null on architectures for which it does not say. */
  readonly access: { readonly reads: readonly string[]; readonly writes: readonly string[] } | null;
}

/** A module of Emscripten's: it can be handed its WebAssembly as an instance. */
type Load = (options: {
  instantiateWasm(
    imports: WebAssembly.Imports,
    done: (made: WebAssembly.Instance, of: WebAssembly.Module) => void,
  ): void;
}) => Promise<CapstoneModule>;

/** As its own loader does it, but for two copies of three megabytes and threads that wait: that takes a third longer. */
function loadCapstone(): Promise<CapstoneModule> {
  const require = createRequire(import.meta.url);
  // The package has no types.
  const load = require('@alexaltea/capstone-js') as Load;
  const file = require.resolve('@alexaltea/capstone-js/dist/capstone.wasm');
  return load({
    instantiateWasm(imports, done) {
      const module = new WebAssembly.Module(readFileSync(file));
      done(new WebAssembly.Instance(module, imports), module);
    },
  });
}

export class Disassembler {
  readonly #capstone: CapstoneModule;
  readonly #names = new Map<number, string>();
  readonly #handle: number;
  readonly #instruction: number;
  /** code pointer (4), size (4), address (8), handle (4), counts (2), registers read, written. */
  readonly #scratch: number;
  readonly #code: number;
  #closed = false;

  /** For Thumb code; null on architectures that have none. */
  readonly thumb: Disassembler | null;

  private constructor(capstone: CapstoneModule, traits: CycleTraits, modes: readonly string[]) {
    this.#capstone = capstone;
    this.#scratch = capstone._malloc(24 + 4 * MOST_REGISTERS);
    this.#code = capstone._malloc(LONGEST_BLOCK);
    const constant = (name: `ARCH_${string}` | `MODE_${string}`): number => {
      const value = capstone[name];
      if (value === undefined) throw new UsercopyError('missing-dependency', `Capstone has no ${name}`);
      return value;
    };
    const mode = modes.reduce((bits, name) => (bits | constant(`MODE_${name}`)) >>> 0, 0);
    const error = capstone._cs_open(constant(`ARCH_${traits.capstone.arch}`), mode, this.#scratch + 16);
    if (error !== capstone.ERR_OK)
      throw new UsercopyError(
        'missing-dependency',
        `Capstone cannot disassemble ${traits.capstone.arch} (error ${error})`,
      );
    this.#handle = capstone.getValue(this.#scratch + 16, 'i32');
    capstone._cs_option(this.#handle, capstone.OPT_DETAIL, capstone.OPT_ON);
    this.#instruction = capstone._cs_malloc(this.#handle);
    const { thumbMode } = traits.capstone;
    this.thumb = thumbMode === undefined || modes === thumbMode ? null : new Disassembler(capstone, traits, thumbMode);
  }

  static async open(traits: CycleTraits): Promise<Disassembler> {
    return new Disassembler(await loadCapstone(), traits, traits.capstone.mode);
  }

  /** Instructions from the start of `code` on, until its end or the first bytes that are none. */
  *instructions(code: Uint8Array, address: bigint): Generator<Instruction> {
    const capstone = this.#capstone;
    const length = Math.min(code.length, LONGEST_BLOCK);
    capstone.writeArrayToMemory(code.subarray(0, length), this.#code);
    const [codePointer, sizePointer, addressPointer] = [this.#scratch, this.#scratch + 4, this.#scratch + 8];
    capstone.setValue(codePointer, this.#code, 'i32');
    capstone.setValue(sizePointer, length, 'i32');
    capstone.setValue(addressPointer, address, 'i64');
    const instruction = this.#instruction;
    for (let offset = 0; offset < length; ) {
      if (!capstone._cs_disasm_iter(this.#handle, codePointer, sizePointer, addressPointer, instruction)) return;
      const size = capstone.getValue(instruction + SIZE_OFFSET, 'i16');
      yield {
        offset,
        size,
        mnemonic: capstone.UTF8ToString(instruction + MNEMONIC_OFFSET).trimEnd(),
        operands: capstone.UTF8ToString(instruction + OPERANDS_OFFSET),
        access: this.#access(),
      };
      offset += size;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.thumb?.close();
    this.#capstone._cs_free(this.#instruction, 1);
    this.#capstone._cs_close(this.#scratch + 16);
    this.#capstone._free(this.#code);
    this.#capstone._free(this.#scratch);
  }

  #access(): Instruction['access'] {
    const counts = this.#scratch + 20;
    const reads = this.#scratch + 24;
    const writes = reads + 2 * MOST_REGISTERS;
    const capstone = this.#capstone;
    const error = capstone._cs_regs_access(this.#handle, this.#instruction, reads, counts, writes, counts + 1);
    if (error !== capstone.ERR_OK) return null;
    return {
      reads: this.#registers(reads, capstone.getValue(counts, 'i8')),
      writes: this.#registers(writes, capstone.getValue(counts + 1, 'i8')),
    };
  }

  #registers(pointer: number, count: number): string[] {
    const names: string[] = [];
    for (let i = 0; i < count; i++) {
      const register = this.#capstone.getValue(pointer + 2 * i, 'i16');
      let name = this.#names.get(register);
      if (name === undefined) {
        name = this.#capstone.UTF8ToString(this.#capstone._cs_reg_name(this.#handle, register));
        this.#names.set(register, name);
      }
      names.push(name);
    }
    return names;
  }
}
