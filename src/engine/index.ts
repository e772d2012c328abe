/**
 * `unicorn-usercopy/engine`: the emulators, for those who run code without a kernel, or have an emulator of another making.
 *
 * - `openUnicorn` opens libunicorn through the addon; `openUnicornJs` opens unicorn.js.
 * - `Engine` is what `attach` asks of an emulator.
 */
export type {
  BlockPricer,
  CodeBlock,
  CopyHookSpec,
  Engine,
  EngineBlock,
  EngineCapabilities,
  EngineSpec,
  Hook,
  MemoryFault,
  MemoryFaultHandler,
  NativeJudge,
  RequestRing,
  RequestRingSpec,
  RunEvent,
  RunOptions,
  RunResult,
  SavedContext,
} from './engine.js';
export { openUnicornJs } from './open-unicorn-js.js';
export type { NativeCheck } from './unicorn-addon.js';
export type { UnicornJsFactory, UnicornJsModule } from './unicorn-js/module.js';
export type { EngineOpener } from './unicorn-js.js';
export { type OpenUnicornOptions, openUnicorn } from './unicorn-native.js';
