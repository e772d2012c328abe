/** Loads the addon of `native/`; what it exports, typed. */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type ErrorKind, UsercopyError } from '../errors.js';
import { buildCommand, nativeFile } from '../paths.js';

export interface NativeRunOptions {
  readonly resume: boolean;
  readonly blockLimit: number | undefined;
  readonly countInstructions: boolean | undefined;
  readonly instructionLimit: number | undefined;
  readonly cycleLimit: number | undefined;
  /** Another function than before: every block is priced anew. */
  readonly cycles: ((address: bigint, code: Uint8Array, instructions: number, thumb: boolean) => number) | undefined;
}

export interface NativeEngine {
  close(): void;
  stop(): void;
  quirks(): string[];
  readRegister(name: string): bigint;
  readRegisters(names: readonly string[]): bigint[];
  writeRegister(name: string, value: bigint): void;
  map(address: bigint, size: bigint, permissions: string): void;
  mapShared(address: bigint, size: bigint, permissions: string, memory: WebAssembly.Memory, offset: number): void;
  unmap(address: bigint, size: bigint): void;
  regions(): { start: bigint; end: bigint; permissions: string }[];
  read(address: bigint, length: number): Uint8Array;
  write(address: bigint, bytes: Uint8Array): void;
  dropCode(address: bigint, length: number): void;
  addAddressHook(address: bigint, callback: (pc: bigint) => void): number;
  addCopyHook(
    address: bigint,
    memory: WebAssembly.Memory,
    requestOffset: number,
    contextOffset: number,
    registers: readonly (string | null)[],
    judge: (context: number, request: number) => number,
    onVerdict: (code: number) => 'stop' | 'continue',
    native: NativeCheck | undefined,
    outermost: boolean,
    ring: number | undefined,
    stackedReturn: readonly number[] | null | undefined,
  ): number;
  /** `places`: count offset, first offset, request bytes, head bytes, capacity, context offset. */
  openRing(
    memory: WebAssembly.Memory,
    places: readonly number[],
    judge: (context: number, first: number, count: number) => number,
    onVerdicts: (count: number) => 'stop' | 'continue',
    native: NativeCheck | undefined,
    outermost: boolean,
  ): number;
  flushRing(id: number): void;
  closeRing(id: number): void;
  removeAddressHook(address: bigint, id: number): void;
  addBlockHook(callback: (address: bigint, size: number) => void): number;
  /** `kind`: 0 read, 1 write, 2 fetch. */
  addFaultHook(callback: (kind: number, protection: boolean, address: bigint, size: number) => boolean): number;
  addInterruptHook(callback: (number: number) => void): number;
  addReadHook(callback: (address: bigint, size: number) => void): number;
  removeEventHook(id: number): void;
  addInstructionHook(callback: (address: bigint, size: number) => void): number;
  /** Milliseconds 0: no end; options in the first slice of a run. Answers an index into `outcomes`. */
  slice(start: bigint, until: bigint, milliseconds: number, options: NativeRunOptions | null): number;
  instructionCount(): number | null;
  cycleCount(): number | null;
  chargeCycles(cycles: number): void;
  saveContext(): Uint8Array;
  restoreContext(bytes: Uint8Array): void;
}

/** check.wasm as native code on a WebAssembly.Memory; its methods are the module's exports. */
export interface NativeCheck {
  check(context: number, request: number): number;
  checkOutermost(context: number, request: number): number;
  checkBatch(context: number, requests: number, count: number): number;
  checkOutermostBatch(context: number, requests: number, count: number): number;
  look(context: number, look: number, request: number): number;
  /** Reads foreign memory from an emulator, without JavaScript; `undefined`: asks `host.read` again. */
  readFrom(engine: object | undefined): void;
  /** Lets go of the memory. Judging is an error afterwards; twice is harmless. */
  close(): void;
}

export interface NativeAddon {
  readonly Engine: new (
    arch: string,
    mode: readonly string[],
    cpu: string | undefined,
    status: BigUint64Array,
    mmu: boolean,
  ) => NativeEngine;
  readonly NativeCheck: new (
    memory: WebAssembly.Memory,
    read: (addressLow: number, addressHigh: number, length: number, destination: number) => number,
  ) => NativeCheck;
  /** `absence`: why there is no native check, null when there is one; `digest`: SHA-256 of its check.wasm. */
  nativeCheckState(): { absence: string | null; digest: string };
  /** Opens libunicorn for the whole process; `must`: none but this file will do. Answers the file that is used. */
  openLibrary(file: string, must: boolean): string;
  version(): [major: number, minor: number, patch: number];
  errorText(code: number): { code: string; text: string };
  setErrorFactory(factory: (kind: ErrorKind, message: string) => Error): void;
}

let loaded: NativeAddon | undefined;

/** The addon, loaded once. Without it, or without libunicorn: a `missing-dependency` error that says what to do. */
export function loadAddon(): NativeAddon {
  if (loaded) return loaded;
  const file = nativeFile('unicorn_engine.node');
  if (!existsSync(file)) {
    throw new UsercopyError(
      'missing-dependency',
      `the emulator addon is not built (${file}): run \`${buildCommand()}\``,
    );
  }
  let addon: NativeAddon;
  try {
    addon = createRequire(import.meta.url)(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UsercopyError(
      'missing-dependency',
      `the emulator addon cannot be loaded (${reason}): run \`${buildCommand()}\` again, with libunicorn 2.0.1 or later installed or UNICORN_PREFIX pointing at one`,
      { cause: error },
    );
  }
  addon.setErrorFactory((kind, message) => new UsercopyError(kind, message));
  loaded = addon;
  return addon;
}
