/** The process that `from-dump.ts` starts. */
import { answerQuestions } from '../child.js';
import { type DumpAnswer, examineDump } from './examine-dump.js';
import type { DumpEvent, DumpRequest } from './from-dump.js';

answerQuestions<DumpRequest, DumpEvent, DumpAnswer>(({ question, withoutEmulator }, tell) =>
  examineDump(question, { withoutEmulator, beforeEmulation: (known) => tell({ known }) }),
);
