/**
 * Linux's hardened-usercopy check for guests under the Unicorn CPU emulator.
 *
 * - `attach` hooks a kernel's uaccess entry points and judges every copy.
 * - `loadKernel` reads a kernel image, `Guest` makes it runnable at function level.
 * - `playScenario` plays a scenario: a guest, memory objects, copies, and what must come out.
 * - `Check` is the check alone, for those who bring their own emulator.
 */

export type { ArchDriver, Variant } from '../arch/driver.js';
export { drivers, variants } from '../arch/index.js';
export {
  type Attachment,
  type AttachOptions,
  attach,
  type Violation,
  type ViolationHandler,
  type ViolationStatistics,
} from './attach.js';
export type { Backtrace, BacktraceEntry, BacktraceMethod, CodePlace } from './backtrace.js';
export {
  Check,
  type CheckOptions,
  type CheckStatistics,
  type Executor,
  type ExecutorName,
  type ExecutorState,
  executors,
  type JudgedAt,
  type RequestPreset,
} from './check.js';
export type {
  CopyHookSpec,
  Engine,
  EngineCapabilities,
  EngineSpec,
  Hook,
  MemoryFault,
  RunOptions,
  RunResult,
  SavedContext,
} from './engine/engine.js';
export type { UnicornJsFactory } from './engine/unicorn-js/module.js';
export { type OpenUnicornJs, openUnicornJs } from './engine/unicorn-js.js';
export { openUnicorn } from './engine/unicorn-native.js';
export { type ErrorKind, UsercopyError } from './errors.js';
export { type CallOptions, type CallOutcome, Guest, type GuestOptions } from './guest/guest.js';
export { KernelObjects, type SlabObjects, type SlabSpec } from './guest/objects.js';
export { checkParametersOf } from './guest/parameters.js';
export { measureStackDepth, type StackDepth } from './guest/stack-depth.js';
export { fetchKernel } from './kernel/fetch.js';
export type { Kernel, KernelConfig, KernelSymbol, KernelVersion, SymbolTable, TypeTable } from './kernel/kernel.js';
export { type KernelSource, type LoadKernelOptions, loadKernel } from './kernel/load.js';
export type { CheckParameters, Declaration, Introspection, ProfileSwitches } from './parameters.js';
export { parseProfile, profileForVersion } from './profiles.js';
export { explainVerdict } from './report/explain.js';
export { formatMessage, type MessageStyle } from './report/format.js';
export type {
  DeclaredObject,
  Expectation,
  Expression,
  Scenario,
  ScenarioCopy,
  ScenarioGuest,
  ScenarioObject,
  ScenarioStep,
  SlabObject,
  Word,
} from './scenario/format.js';
export { playScenario, type ScenarioRow, type ScenarioRun } from './scenario/play.js';
export { parseScenario, readScenario, type ScenarioFile, scenarioInMemory, schemaPath } from './scenario/read.js';
export { writeScenario } from './scenario/write.js';
export { parseSuppressions, type Suppression, type SuppressionCount } from './suppression.js';
export type { CheckedObject, Copy, Direction, Verdict } from './verdict.js';
