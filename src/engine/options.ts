/** What an emulator is opened with, and what a run is asked for. */
import { aBoolean, anArray, aText, type OptionRule, requireFields, requireKnown, requireOptions } from '../options.js';
import type { EngineSpec, RunOptions } from './engine.js';

const SPEC_RULES = { arch: aText, mode: anArray, cpu: aText, mmu: aBoolean } satisfies Record<
  keyof EngineSpec,
  OptionRule
>;

/** @throws UsercopyError `bad-input` for what no emulator has, or lacks an architecture. */
export function requireSpec(where: string, spec: unknown): void {
  requireOptions(where, spec, SPEC_RULES);
  requireFields(where, spec, { arch: SPEC_RULES.arch, mode: SPEC_RULES.mode });
}

const RUN_OPTIONS: Readonly<Record<keyof RunOptions, true>> = {
  resume: true,
  start: true,
  until: true,
  timeLimit: true,
  blockLimit: true,
  countInstructions: true,
  instructionLimit: true,
  cycles: true,
  cycleLimit: true,
  signal: true,
};
const KNOWN_IN_RUNS = new Set(Object.keys(RUN_OPTIONS));

/** A limit whose name is misspelt is none. @throws UsercopyError `bad-input` for an option that a run does not have. */
export function requireRunOptions(options: RunOptions): void {
  requireKnown('run', options, KNOWN_IN_RUNS);
}
