/**
 * `unicorn-usercopy/report`: the kernel's messages, both ways, and what a report means. Needs no emulator and no Node.js.
 *
 * - `parseReports` finds the reports in a log; `chooseReport` picks one.
 * - `judgeReport` says which copy it was, whether its message follows from its kernel's rules, and what the causes may be.
 * - `summaryOf` puts that into a paragraph, `sceneOf` and `drawing` into a figure.
 * - `formatMessage` words a verdict as the kernel does; `explainVerdict` says the same to a person.
 */
export * from '../report/index.js';
export { drawing } from './drawing.js';
export type { WholeMessage } from './follows.js';
export { judgeReport, type ReportJudgement } from './from-report.js';
export type { Machine } from './machine.js';
export type {
  CopySource,
  ExplainedObject,
  Explanation,
  KnownCause,
  LikelyCause,
  Outcome,
  ReproducedCopy,
  Reproduction,
} from './outcome.js';
export { type Member, type Part, type PartKind, type Scene, sceneOf } from './scene.js';
export { type Summary, summaryOf } from './summary.js';
