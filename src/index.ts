/**
 * Linux's hardened-usercopy check for guests under the Unicorn CPU emulator.
 *
 * - `attach` hooks a kernel's uaccess entry points and judges every copy.
 * - `loadKernel` reads a kernel image, `Guest` makes it runnable at function level.
 * - `playScenario` plays a scenario: a guest, memory objects, copies, and what must come out.
 * - `Check` is the check alone, for those who bring their own emulator.
 * - `judgeReport` and `playReport` say what a kernel's report means.
 *
 * Emulators are in `unicorn-usercopy/engine`, memory dumps in `/dump`, reading and wording reports in `/report`, and what an
 * architecture is in `/arch`.
 */

export { type AttachableGuest, type Attachment, attach } from './attach/attach.js';
export { prepareHarness } from './attach/harness.js';
export { type HarnessFile, type HarnessSymbols, harnessText } from './attach/harness-file.js';
export type { AttachOptions, HarnessOptions } from './attach/options.js';
export type { JudgeMode } from './attach/plan.js';
export type { Finding, FindingHandler, Sanitizer, SanitizerStatistics } from './attach/sanitizers.js';
export {
  parseSuppressions,
  type Suppression,
  type SuppressionCount,
  type SuppressionFacts,
} from './attach/suppression.js';
export type { TallyCount } from './attach/tally.js';
export type { Violation, ViolationHandler, ViolationStatistics } from './attach/violation.js';
export {
  Check,
  type CheckImage,
  type CheckOptions,
  type CheckSource,
  type CheckStatistics,
  type Executor,
  type ExecutorName,
  type ExecutorState,
  executors,
  type JudgedAt,
  type MappedRegion,
  type ReasonCount,
  type RequestFunction,
  type RequestPreset,
  type Ring,
} from './check/check.js';
export type { HostRead, JavaScriptModule, Judge, JudgeBatch, LookAt, ModuleExports } from './check/executors.js';
export type { Look, LookResult, UnknownState } from './check/look.js';
export type {
  AddressRange,
  BitSlot,
  CheckParameters,
  CmaParameters,
  Declaration,
  Introspection,
  PageValidityParameters,
  ProfileSwitches,
  SlabLists,
  Slot,
  SparsememParameters,
  StackParameters,
  VmapAreaSlots,
} from './check/parameters.js';
export { type Profile, parseProfile, profileForVersion } from './check/profiles.js';
export type { Acceptance, CheckedObject, Copy, Direction, Refusal, Verdict } from './check/verdict.js';
export type { Reason } from './check/verdicts.js';
export { type CheckCosts, type PathCost, readCheckCosts } from './cycles/check-costs.js';
export type { Disassembler, Instruction } from './cycles/disassembler.js';
export { blockPricer, openCycleModel } from './cycles/open.js';
export type { Analysed, CycleModel } from './cycles/price.js';
export type { Operation, Pipeline, Read, Scoreboard, Timing, UnitGroup, Write } from './cycles/scoreboard.js';
export type { Cost, CycleTable } from './cycles/table.js';
export type { WholeMessage } from './diagnosis/follows.js';
export { type JudgeReportOptions, judgeReport, type ReportJudgement } from './diagnosis/from-report.js';
export type { Machine } from './diagnosis/machine.js';
export { builtCheck } from './engine/built-check.js';
export { type ErrorKind, UsercopyError } from './errors.js';
export { applySnapshot } from './guest/apply-snapshot.js';
export { type CallOptions, type CallOutcome, Guest, type GuestOptions, type GuestSnapshot } from './guest/guest.js';
export { type MachineState, saveMachine } from './guest/machine-state.js';
export type { GuestMemory, MappedRange, MemorySnapshot, RamBlock } from './guest/memory.js';
export { KernelObjects, type SlabObjects, type SlabSpec } from './guest/objects.js';
export {
  readSnapshot,
  type Snapshot,
  type SnapshotDetails,
  type SnapshotPlace,
  type SnapshotSegment,
  writeSnapshot,
} from './guest/snapshot.js';
export {
  cachedKernels,
  type FetchedKernel,
  type FetchOptions,
  fetchKernel,
  type RemoteKernel,
  remoteKernels,
} from './image/fetch.js';
export { type ImportOptions, importKernels } from './image/import.js';
export { type KernelSource, type LoadKernelOptions, loadKernel } from './image/load.js';
export { checkParametersOf, type ParameterOptions } from './introspect/parameters.js';
export type {
  Bits,
  CheckTraits,
  Endian,
  Field,
  Kernel,
  KernelConfig,
  KernelSymbol,
  KernelVersion,
  Segment,
  StructType,
  SymbolTable,
  TypeTable,
} from './kernel/kernel.js';
export { type PlayedReport, playReport } from './repro/play-report.js';
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
export { type PlayOptions, playScenario, type ScenarioRow, type ScenarioRun } from './scenario/play.js';
export type { Path, Position, Positions } from './scenario/positions.js';
export { parseScenario, readScenario, type ScenarioFile, scenarioInMemory, schemaPath } from './scenario/read.js';
export { writeScenario } from './scenario/write.js';
export type { Backtrace, BacktraceEntry, BacktraceMethod, CodePlace } from './stack/backtrace.js';
export type { ArgumentPlaces } from './stack/call.js';
export { type DepthGuest, measureStackDepth, type StackDepth } from './stack/depth.js';
