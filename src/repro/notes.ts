/** Notes that are known only when a finding is there. */
import type { Reproduction } from '../diagnosis/outcome.js';
import type { DumpFinding } from './dump-question.js';

const note = (text: string): string => `note: ${text}`;

/** The same with more warnings among its sentences. */
export function withNotes(reproduction: Reproduction, warnings: readonly string[]): Reproduction {
  const { explanation } = reproduction;
  return { ...reproduction, explanation: { ...explanation, lines: [...explanation.lines, ...warnings.map(note)] } };
}

/** The same with more warnings. */
export function findingWithNotes(finding: DumpFinding, warnings: readonly string[]): DumpFinding {
  return { ...finding, warnings: [...finding.warnings, ...warnings] };
}
