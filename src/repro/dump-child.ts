/** The process that `from-dump.ts` starts. */
import { answerQuestions } from '../child.js';
import type { DumpAnswer } from './dump-question.js';
import { examineDump, identifyAddress } from './examine-dump.js';
import type { DumpEvent, DumpRequest, IdentifyRequest } from './from-dump.js';
import type { Identified } from './identify.js';

answerQuestions<DumpRequest | IdentifyRequest, DumpEvent, DumpAnswer | Identified>((request, tell) =>
  'identify' in request
    ? identifyAddress(request.identify)
    : examineDump(request.question, {
        withoutEmulator: request.withoutEmulator,
        beforeEmulation: (known) => tell({ known }),
      }),
);
