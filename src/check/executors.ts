/**
 * Who runs the check: native code inside the addon, V8, or plain JavaScript. All state of the check lies in linear memory,
 * so executors of one memory can take turns.
 */

import type { NativeCheck } from '../engine/unicorn-addon.js';
import { badInput, messageOf, UsercopyError } from '../errors.js';
import { having, requireValue } from '../options.js';

/** `native`: check.wasm compiled into the addon; `v8`: WebAssembly; `js`: check.wasm as JavaScript, for places without WebAssembly. */
export type ExecutorName = 'native' | 'v8' | 'js';

export const EXECUTORS: readonly ExecutorName[] = ['native', 'v8', 'js'];

export interface ExecutorState {
  readonly name: ExecutorName;
  readonly available: boolean;
  /** Why it is not available; null when it is. */
  readonly why: string | null;
}

/** `(context, request)`, offsets in linear memory: 0 when the guest may go on, else the verdict's number. */
export type Judge = (context: number, request: number) => number;
/** `(context, requests, count)`: how many of consecutive requests deserve a look. */
export type JudgeBatch = (context: number, requests: number, count: number) => number;
/** `(context, look, request)`: a look beyond the check at a judged copy; a `LookResult`. */
export type LookAt = (context: number, look: number, request: number) => number;
/** The module's import `host.read`: nonzero when the bytes are at `destination`. */
export type HostRead = (addressLow: number, addressHigh: number, length: number, destination: number) => number;

/** The functions of check.wasm on one linear memory. */
export interface Executor {
  readonly name: ExecutorName;
  readonly check: Judge;
  readonly checkOutermost: Judge;
  readonly checkBatch: JudgeBatch;
  readonly checkOutermostBatch: JudgeBatch;
  readonly look: LookAt;
  /** What engines can call without leaving C++; null for the others. */
  readonly native: NativeCheck | null;
}

/** The largest memory of the JavaScript executor, bytes: its indices are signed 32-bit numbers. */
const JS_MEMORY_LIMIT = 2 ** 31;

/**
 * Where check.wasm comes from, and other ways to run it: `builtCheck` in Node.js. In a browser the bytes alone do. Each
 * function throws `missing-dependency`, with what to do, for what it should have and has not.
 */
export interface CheckSource {
  /** The bytes of check.wasm. */
  module(): Uint8Array;
  /** Native code of this very module. */
  native?(module: Uint8Array): (memory: WebAssembly.Memory, read: HostRead) => NativeCheck;
  /** The module as JavaScript, loaded by the function that comes back. */
  javascript?(): () => Promise<JavaScriptModule>;
}

/** What wasm2js makes of check.wasm. */
export interface JavaScriptModule {
  default(imports: { env: { memory: { buffer: ArrayBuffer } }; host: { read: HostRead } }): ModuleExports;
}

const hasWebAssembly = (): boolean => typeof WebAssembly === 'object';

function absent(what: string): UsercopyError {
  return new UsercopyError('missing-dependency', `${what}: the source of the check that was handed in has none`);
}

function nativeOf(source: CheckSource, module: Uint8Array): ReturnType<NonNullable<CheckSource['native']>> {
  if (!source.native) throw absent('no native check');
  return source.native(module);
}

function javascriptOf(source: CheckSource): ReturnType<NonNullable<CheckSource['javascript']>> {
  if (!source.javascript) throw absent('no JavaScript of the check');
  return source.javascript();
}

/** Why an executor cannot run `module` here; null when it can. */
function obstacle(name: ExecutorName, source: CheckSource, module: Uint8Array): string | null {
  try {
    if (name === 'native') nativeOf(source, module);
    if (name === 'v8' && !hasWebAssembly()) return 'this JavaScript engine has no WebAssembly';
    if (name === 'js') javascriptOf(source);
    return null;
  } catch (error) {
    if (error instanceof UsercopyError) return error.message;
    throw error;
  }
}

/** What can run the check here, fastest first. */
export function executors(source: CheckSource): ExecutorState[] {
  requireValue('executors: source', source, having('where check.wasm comes from: builtCheck', 'module'));
  let module: Uint8Array;
  try {
    module = source.module();
  } catch (error) {
    if (!(error instanceof UsercopyError)) throw error;
    return EXECUTORS.map((name) => ({ name, available: false, why: error.message }));
  }
  return EXECUTORS.map((name) => {
    const why = obstacle(name, source, module);
    return { name, available: why === null, why };
  });
}

/**
 * The executor to use for `module`: the one asked for, or the fastest there is.
 * @throws UsercopyError `bad-input` for an unknown name, `missing-dependency` when it is not available.
 */
export function chooseExecutor(wanted: 'auto' | ExecutorName, source: CheckSource, module: Uint8Array): ExecutorName {
  if (wanted !== 'auto') {
    if (!EXECUTORS.includes(wanted)) throw badInput('executor', `auto, ${EXECUTORS.join(', ')}`, String(wanted));
    const why = obstacle(wanted, source, module);
    if (why === null) return wanted;
    throw new UsercopyError('missing-dependency', `executor ${wanted}: ${why}`);
  }
  const found = EXECUTORS.find((name) => obstacle(name, source, module) === null);
  if (found) return found;
  throw new UsercopyError(
    'missing-dependency',
    'nothing here can run check.wasm; usercopy doctor says what is missing',
  );
}

async function compile(module: Uint8Array): Promise<WebAssembly.Module> {
  try {
    // The type of the web's API asks for bytes that no other thread has; these are a file's.
    return await WebAssembly.compile(module as Uint8Array<ArrayBuffer>);
  } catch (error) {
    throw badInput('check.wasm', 'a WebAssembly module', messageOf(error));
  }
}

async function exportsInV8(module: Uint8Array, memory: WebAssembly.Memory, read: HostRead): Promise<ModuleExports> {
  const compiled = await compile(module);
  try {
    const instance = await WebAssembly.instantiate(compiled, { env: { memory }, host: { read } });
    // assembly/index.ts exports these.
    return instance.exports as unknown as ModuleExports;
  } catch (error) {
    throw badInput('check.wasm', "this version's module, importing env.memory and host.read", messageOf(error));
  }
}

export interface ModuleExports {
  readonly check: Judge;
  readonly checkOutermost: Judge;
  readonly checkBatch: JudgeBatch;
  readonly checkOutermostBatch: JudgeBatch;
  readonly look: LookAt;
}

async function exportsInJavaScript(
  source: CheckSource,
  memory: WebAssembly.Memory,
  read: HostRead,
): Promise<ModuleExports> {
  if (memory.buffer.byteLength > JS_MEMORY_LIMIT) {
    throw new UsercopyError(
      'unsupported',
      `executor js: expected a memory of at most ${JS_MEMORY_LIMIT} bytes, found ${memory.buffer.byteLength}`,
    );
  }
  const { default: make } = await javascriptOf(source)();
  // A memory of its own: wasm2js hangs a function on it.
  return make({ env: { memory: { buffer: memory.buffer } }, host: { read } });
}

/** Makes an executor on `memory`; `read` is what the module imports. Throws as `chooseExecutor` does. */
export async function makeExecutor(
  wanted: 'auto' | ExecutorName,
  source: CheckSource,
  module: Uint8Array,
  memory: WebAssembly.Memory,
  read: HostRead,
): Promise<Executor> {
  const name = chooseExecutor(wanted, source, module);
  if (name === 'native') {
    const native = nativeOf(source, module)(memory, read);
    return {
      name,
      check: (context, request) => native.check(context, request),
      checkOutermost: (context, request) => native.checkOutermost(context, request),
      checkBatch: (context, requests, count) => native.checkBatch(context, requests, count),
      checkOutermostBatch: (context, requests, count) => native.checkOutermostBatch(context, requests, count),
      look: (context, look, request) => native.look(context, look, request),
      native,
    };
  }
  const { check, checkOutermost, checkBatch, checkOutermostBatch, look } =
    name === 'v8' ? await exportsInV8(module, memory, read) : await exportsInJavaScript(source, memory, read);
  return { name, check, checkOutermost, checkBatch, checkOutermostBatch, look, native: null };
}

/** The numbers that the module exports by name (`Enumeration.member`), before there is a memory to work on. */
export async function exportedNumbers(source: CheckSource, module: Uint8Array): Promise<Map<string, number>> {
  const numbers = new Map<string, number>();
  if (hasWebAssembly()) {
    const exports = await exportsInV8(module, new WebAssembly.Memory({ initial: 1, maximum: 1 }), () => 0);
    for (const [name, value] of Object.entries(exports)) {
      if (value instanceof WebAssembly.Global) numbers.set(name, Number(value.value));
    }
    return numbers;
  }
  const exports = await exportsInJavaScript(source, bufferAsMemory(65_536), () => 0);
  for (const [name, value] of Object.entries(exports)) {
    // wasm2js writes an underscore for the dot.
    if (typeof value === 'object') numbers.set(name.replace('_', '.'), value.value);
  }
  return numbers;
}

/** What JavaScript takes for a linear memory where there is no WebAssembly: its buffer is all that is used, and it never grows. */
const bufferAsMemory = (bytes: number): WebAssembly.Memory =>
  // Only `buffer` is asked for.
  ({ buffer: new ArrayBuffer(bytes) }) as WebAssembly.Memory;

/** Linear memory of `pages` of 64 KiB that never grows. */
export function allocateMemory(pages: number): WebAssembly.Memory {
  try {
    if (hasWebAssembly()) return new WebAssembly.Memory({ initial: pages, maximum: pages });
    return bufferAsMemory(pages * 65_536);
  } catch (error) {
    throw new UsercopyError('bad-input', `memory: expected room for ${pages * 64} KiB, found none to reserve`, {
      cause: error,
    });
  }
}
