/**
 * `unicorn-usercopy/dump`: memory dumps.
 *
 * - `judgeDump` says what the check makes of a copy by the structures in a dump.
 * - `reproduceDump` also lets the dump's own kernel judge it, and says why.
 * - `identifyInDump` says what lies at an address.
 * - `openDump` opens a dump for those who want to read its kernel and memory themselves.
 *
 * The first three work in a process of their own: a dump may be anything.
 */

export type {
  CheckFinding,
  CopySource,
  ExplainedField,
  ExplainedObject,
  ExplainedSurroundings,
  Explanation,
  KnownCause,
  LikelyCause,
  Outcome,
  ReplayFinding,
  ReproducedCopy,
  Reproduction,
} from '../diagnosis/outcome.js';
export type { CurrentTaskFound } from '../dump/current.js';
export type { Dump, DumpOptions, RegisterText } from '../dump/dump.js';
export type { DumpFile } from '../dump/dump-file.js';
export type { CoreNote } from '../dump/elf-core.js';
export type { Located } from '../dump/locate.js';
export { openDump } from '../dump/open-dump.js';
export type { Absence, MemoryRange, PhysicalMemory } from '../dump/physical.js';
export type { VirtualMemory } from '../dump/virtual.js';
export type { ModulePlace, Modules } from '../introspect/modules.js';
export {
  type DumpedTask,
  type DumpFinding,
  type DumpInput,
  type DumpLimits,
  type Identified,
  identifyInDump,
  judgeDump,
  reproduceDump,
} from './from-dump.js';
