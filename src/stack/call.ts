/**
 * A call of a guest function by hand, as its architecture's calling convention has it: where arguments, the return
 * address and the stack pointer go, how the function is made to return, and how a run of it ended.
 */
import type { Variant } from '../../arch/driver.js';
import type { Engine, Hook, MemoryFault, RunResult } from '../engine/engine.js';
import { UsercopyError } from '../errors.js';
import { decodeWord, encodeWord, type WordFormat } from '../kernel/words.js';

/** Words of the guest's memory. Both throw where there is none. */
export interface WordMemory {
  readWord(address: bigint): bigint;
  writeWord(address: bigint, value: bigint): void;
}

/** Words in memory that an emulator has mapped. */
export function engineWords(engine: Pick<Engine, 'read' | 'write'>, format: WordFormat): WordMemory {
  return {
    readWord: (address) => decodeWord(engine.read(address, format.bits / 8), format),
    writeWord: (address, value) => engine.write(address, encodeWord(value, format)),
  };
}

/**
 * Where arguments go: `registers`, as far as there are registers, as C functions have them; or all on the stack, as
 * `asmlinkage` functions and those with a variable number of arguments have them where the convention tells them apart.
 */
export type ArgumentPlaces = 'registers' | 'stack';

/** Where functions that are `asmlinkage`, or take a variable number of arguments, find their arguments. */
export function variadicPlaces({ call }: Variant): ArgumentPlaces {
  return call.asmlinkageOnStack ? 'stack' : 'registers';
}

export interface CallSetUp {
  readonly target: bigint;
  readonly arguments: readonly bigint[];
  /** Stack pointer of the caller, as an address: what lies below it is free. It is aligned down as the convention asks. */
  readonly stackPointer: bigint;
  readonly returnTo: bigint;
  /** Default `registers`. */
  readonly places?: ArgumentPlaces | undefined;
}

/** Stack pointer as an address: some registers hold it with a bias. */
export function stackPointerOf(register: (name: string) => bigint, { registers, call, bits }: Variant): bigint {
  return BigInt.asUintN(bits, register(registers.sp) + BigInt(call.stackBias ?? 0));
}

/** The register of argument `index`, from 0. @throws UsercopyError `unsupported` where it is passed on the stack. */
export function argumentRegister({ name, registers }: Variant, index: number): string {
  const register = registers.arguments[index];
  if (register !== undefined) return register;
  throw new UsercopyError('unsupported', `${name}: expected argument ${index} in a register, found none for it`);
}

/** Stack pointer at the first instruction of a function that is called from `stackPointer`; both are addresses. */
export function entryStackPointer({ call, bits }: Variant, stackPointer: bigint, stackArguments = 0): bigint {
  const word = BigInt(bits / 8);
  const free = stackPointer - BigInt(stackArguments) * word;
  const aligned = free - (free % BigInt(call.stackAlignment)) - BigInt(call.reservedBytes);
  return call.pushesReturnAddress ? aligned - word : aligned;
}

/** The function at whose first instruction an emulated CPU stands, or that is about to be called there. */
export class GuestCall {
  readonly #variant: Variant;
  readonly #engine: Pick<Engine, 'readRegister' | 'writeRegister'>;
  readonly #memory: WordMemory;
  readonly #wordBytes: bigint;

  constructor(variant: Variant, engine: Pick<Engine, 'readRegister' | 'writeRegister'>, memory: WordMemory) {
    this.#variant = variant;
    this.#engine = engine;
    this.#memory = memory;
    this.#wordBytes = BigInt(variant.bits / 8);
  }

  /** As an address. */
  get stackPointer(): bigint {
    return stackPointerOf((name) => this.#engine.readRegister(name), this.#variant);
  }

  /** What the call left for the way back: the address behind it, or where the convention counts from (`returnOffset`). */
  get link(): bigint {
    const { link } = this.#variant.registers;
    return link === null ? this.#memory.readWord(this.stackPointer) : this.#engine.readRegister(link);
  }

  /** Where the function returns to. */
  get returnAddress(): bigint {
    return this.#word(this.link + BigInt(this.#variant.call.returnOffset ?? 0));
  }

  /** Argument `index`, from 0: a register's, or a word on the stack. */
  argument(index: number, places: ArgumentPlaces = 'registers'): bigint {
    const registers = this.#argumentRegisters(places);
    const register = registers[index];
    if (register !== undefined) return this.#engine.readRegister(register);
    return this.#memory.readWord(this.#onStack(this.stackPointer, index - registers.length));
  }

  /** Stack pointer at the first instruction of a function that is called from `stackPointer`; both are addresses. */
  entryStackPointer(stackPointer: bigint, stackArguments = 0): bigint {
    return entryStackPointer(this.#variant, stackPointer, stackArguments);
  }

  /** Puts everything but the program counter where the function's first instruction expects it; gives its stack pointer. */
  enter({ target, arguments: args, stackPointer, returnTo, places = 'registers' }: CallSetUp): bigint {
    const { registers, call } = this.#variant;
    const inRegisters = this.#argumentRegisters(places);
    const onStack = args.slice(inRegisters.length);
    const entry = this.entryStackPointer(stackPointer, onStack.length);
    onStack.forEach((value, index) => {
      this.#memory.writeWord(this.#onStack(entry, index), value);
    });
    for (const [index, register] of inRegisters.slice(0, args.length).entries()) {
      this.#engine.writeRegister(register, this.#word(args[index] ?? 0n));
    }
    this.#engine.writeRegister(registers.sp, this.#word(entry - BigInt(call.stackBias ?? 0)));
    if (call.entryRegister !== undefined) this.#engine.writeRegister(call.entryRegister, target);
    this.setReturnAddress(returnTo);
    return entry;
  }

  /** Makes the function return to `address`. */
  setReturnAddress(address: bigint): void {
    const { registers, call } = this.#variant;
    const link = this.#word(address - BigInt(call.returnOffset ?? 0));
    if (registers.link === null) this.#memory.writeWord(this.stackPointer, link);
    else this.#engine.writeRegister(registers.link, link);
  }

  /** Returns to the caller; `value` is what it gets, null for a function without a value. */
  leave(value: bigint | null): void {
    const { registers, call } = this.#variant;
    const target = this.returnAddress;
    if (call.pushesReturnAddress) {
      const sp = this.#engine.readRegister(registers.sp) + this.#wordBytes;
      this.#engine.writeRegister(registers.sp, this.#word(sp));
    }
    if (value !== null) this.#engine.writeRegister(registers.returnValue, this.#word(value));
    this.#engine.writeRegister(registers.pc, target);
  }

  #argumentRegisters(places: ArgumentPlaces): readonly string[] {
    return places === 'stack' ? [] : this.#variant.registers.arguments;
  }

  /** Address of an argument on the stack, counted among those. */
  #onStack(entry: bigint, index: number): bigint {
    const { firstStackArgument, reservedBytes, pushesReturnAddress } = this.#variant.call;
    const first = BigInt(firstStackArgument ?? reservedBytes) + (pushesReturnAddress ? this.#wordBytes : 0n);
    return this.#word(entry + first + BigInt(index) * this.#wordBytes);
  }

  #word(value: bigint): bigint {
    return BigInt.asUintN(this.#variant.bits, value);
  }
}

/** How a run of a called function ended, beyond what `RunResult` tells. */
export type CallEnd =
  | { readonly kind: 'returned' }
  /** BUG(), or WARN() where it traps the same way; `pc` is its instruction. */
  | { readonly kind: 'bug'; readonly pc: bigint }
  /** Another exception, by the emulator's number. */
  | { readonly kind: 'exception'; readonly number: number }
  /** See the reason and the error of `RunResult`. */
  | { readonly kind: 'other' };

/** Bytes of the guest; undefined where there are none. */
type ReadBytes = (address: bigint, length: number) => Uint8Array | undefined;

/** Watches an emulator for what ends a call: exceptions, and accesses to memory that is not there. */
export class CallWatch {
  readonly #variant: Variant;
  readonly #read: ReadBytes;
  readonly #hooks: readonly Hook[];
  #interrupt: number | null = null;
  #fault: MemoryFault | null = null;

  constructor(variant: Variant, engine: Pick<Engine, 'hookInterrupt' | 'hookMemoryFault' | 'stop'>, read: ReadBytes) {
    this.#variant = variant;
    this.#read = read;
    this.#hooks = [
      engine.hookInterrupt((number) => {
        this.#interrupt = number;
        engine.stop();
      }),
      engine.hookMemoryFault((fault) => {
        this.#fault = fault;
        return false;
      }),
    ];
  }

  /** The last fault of the run; another hook may have mended it. */
  get fault(): MemoryFault | null {
    return this.#fault;
  }

  /** A run begins. */
  begin(): void {
    this.#interrupt = null;
    this.#fault = null;
  }

  /** The run that was told to end at `until` has ended. */
  endOf(result: RunResult, until: bigint): CallEnd {
    if (this.#returned(result, until)) return { kind: 'returned' };
    const bug = this.#bugAt(result);
    if (bug !== null) return { kind: 'bug', pc: bug };
    return this.#interrupt === null ? { kind: 'other' } : { kind: 'exception', number: this.#interrupt };
  }

  remove(): void {
    for (const hook of this.#hooks) hook.remove();
  }

  /** Some emulated CPUs fetch or decode what stands at `until` before they stop, and fail there. */
  #returned({ reason, pc }: RunResult, until: bigint): boolean {
    if (reason === 'until') return true;
    if (this.#fault?.kind === 'fetch' && this.#fault.address === until) return true;
    return pc === until && (this.#interrupt !== null || reason === 'error');
  }

  #bugAt({ pc, reason, error }: RunResult): bigint | null {
    const { bug } = this.#variant;
    if (bug.kind === 'invalid instruction') {
      // After a fault the pc is stale: it may stand anywhere.
      const faulted = error !== null && /^(?:READ|WRITE|FETCH)_/.test(error.code);
      return reason === 'error' && !faulted && this.#stands(pc, bug.encodings) ? pc : null;
    }
    if (this.#interrupt !== bug.number) return null;
    const at = BigInt.asUintN(this.#variant.bits, pc - BigInt(bug.pcOffset ?? 0));
    return !bug.encodings || this.#stands(at, bug.encodings) ? at : null;
  }

  #stands(address: bigint, encodings: readonly Uint8Array[]): boolean {
    return encodings.some((encoding) => {
      const bytes = this.#read(address, encoding.length);
      return bytes !== undefined && encoding.every((byte, index) => bytes[index] === byte);
    });
  }
}
