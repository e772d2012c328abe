/**
 * unicorn.js as it comes: the Emscripten module of AlexAltea/unicorn.js 2.1 (`@alexaltea/unicorn-js`), typed as far as the
 * engine uses it. Only raw exports are called: the package's own wrapper allocates on each call.
 */
import { badInput, UsercopyError } from '../../errors.js';

/** Byte offset in the heap. */
export type Pointer = number;
/** A `uc_err`; 0 is success. */
type Code = number;

/** `Module` of an Emscripten build with WASM_BIGINT: 64-bit integers are bigints, all others numbers. */
export interface UnicornJsModule {
  /** 64-bit values are a bigint or a number, as the release likes: not used. */
  getValue(pointer: Pointer, type: 'i8' | 'i32'): number;
  setValue(pointer: Pointer, value: number, type: 'i8' | 'i32'): void;
  addFunction(callback: (...args: never[]) => unknown, signature: string): Pointer;
  removeFunction(pointer: Pointer): void;
  writeArrayToMemory(bytes: Uint8Array, pointer: Pointer): void;
  /** The heap; not every Emscripten release exports it. */
  readonly HEAPU8?: Uint8Array;
  _malloc(bytes: number): Pointer;
  _free(pointer: Pointer): void;
  _uc_arch_supported(arch: number): number;
  _uc_version(major: Pointer, minor: Pointer): number;
  _uc_strerror(code: Code): Pointer;
  _uc_open(arch: number, mode: number, engine: Pointer): Code;
  _uc_close(engine: Pointer): Code;
  _uc_query(engine: Pointer, type: number, result: Pointer): Code;
  _uc_ctl(engine: Pointer, control: number, values: Pointer): Code;
  _uc_reg_read(engine: Pointer, register: number, value: Pointer): Code;
  _uc_reg_write(engine: Pointer, register: number, value: Pointer): Code;
  _uc_reg_read_batch(engine: Pointer, registers: Pointer, values: Pointer, count: number): Code;
  _uc_mem_map(engine: Pointer, address: bigint, size: bigint, permissions: number): Code;
  /** Missing in some builds. */
  _uc_mem_map_ptr?(engine: Pointer, address: bigint, size: bigint, permissions: number, bytes: Pointer): Code;
  _uc_mem_unmap(engine: Pointer, address: bigint, size: bigint): Code;
  _uc_mem_read(engine: Pointer, address: bigint, bytes: Pointer, size: bigint): Code;
  _uc_mem_write(engine: Pointer, address: bigint, bytes: Pointer, size: bigint): Code;
  _uc_mem_regions(engine: Pointer, regions: Pointer, count: Pointer): Code;
  _uc_hook_add(
    engine: Pointer,
    hook: Pointer,
    type: number,
    callback: Pointer,
    data: Pointer,
    begin: bigint,
    end: bigint,
    extra: Pointer,
  ): Code;
  _uc_hook_del(engine: Pointer, hook: Pointer): Code;
  _uc_emu_start(engine: Pointer, begin: bigint, until: bigint, timeout: bigint, count: number): Code;
  _uc_emu_stop(engine: Pointer): Code;
  _uc_context_alloc(engine: Pointer, context: Pointer): Code;
  _uc_context_save(engine: Pointer, context: Pointer): Code;
  _uc_context_restore(engine: Pointer, context: Pointer): Code;
  _uc_context_free(context: Pointer): Code;
  _uc_free(memory: Pointer): Code;
}

/** What the engine calls; a build that exports less is refused when it is loaded. */
const NEEDED = [
  'getValue',
  'setValue',
  'addFunction',
  'removeFunction',
  'writeArrayToMemory',
  '_malloc',
  '_free',
  '_uc_arch_supported',
  '_uc_version',
  '_uc_strerror',
  '_uc_open',
  '_uc_close',
  '_uc_query',
  '_uc_ctl',
  '_uc_reg_read',
  '_uc_reg_write',
  '_uc_reg_read_batch',
  '_uc_mem_map',
  '_uc_mem_unmap',
  '_uc_mem_read',
  '_uc_mem_write',
  '_uc_mem_regions',
  '_uc_hook_add',
  '_uc_hook_del',
  '_uc_emu_start',
  '_uc_emu_stop',
  '_uc_context_alloc',
  '_uc_context_save',
  '_uc_context_restore',
  '_uc_context_free',
  '_uc_free',
] as const satisfies readonly (keyof UnicornJsModule)[];

/** What the package exports: makes an instance, with a heap of its own. */
export type UnicornJsFactory = () => Promise<UnicornJsModule>;

/**
 * Makes an instance and looks whether it is what the engine calls; `name` is what errors call it.
 * @throws UsercopyError `bad-input` for another module, `unsupported` for a build that lacks exports.
 */
export async function instantiate(name: string, factory: UnicornJsFactory): Promise<UnicornJsModule> {
  let module: UnicornJsModule;
  try {
    module = await factory();
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    throw badInput(name, 'a module that can be instantiated', error instanceof Error ? error.message : String(error));
  }
  if (typeof module?._uc_open !== 'function') {
    throw badInput(name, 'unicorn.js 2.1, with its raw exports (_uc_open, …)', 'a module without them');
  }
  const missing = NEEDED.filter((call) => typeof module[call] !== 'function');
  if (missing.length === 0) return module;
  const why = missing.includes('_uc_ctl')
    ? ': CPU models, kernel addresses and hooks on code that has run go through uc_ctl()'
    : '';
  throw new UsercopyError(
    'unsupported',
    `${name}: expected a build of unicorn.js that exports all that is called, found one without ${missing.join(', ')}${why}; take a build of its repository, which exports all of them since 24 June 2026`,
  );
}
