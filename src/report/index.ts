/**
 * `unicorn-usercopy/report`: the kernel's messages, both ways. Needs no emulator and no Node.js.
 *
 * - `parseReports` finds the reports in a log; `chooseReport` picks one, `chooseLastReport` that of a dump.
 * - `formatMessage` words a verdict as the kernel does; `explainVerdict` says the same to a person.
 */
export { explainVerdict } from './explain.js';
export { formatMessage, formatWarning, type MessageStyle } from './format.js';
export { chooseLastReport, chooseReport, parseReports } from './parse.js';
export type {
  MessageFormat,
  RegisterObject,
  RegisterText,
  ReturnLength,
  TraceEntry,
  UsercopyMessage,
  UsercopyReport,
} from './report.js';
