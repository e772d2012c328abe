/** Whether `build/js` is what its sources say. */
import { fingerprint, isFresh, setStamp } from './step.mjs';

const INPUTS = [
  'src',
  'arch',
  'bench',
  'test',
  'vitest.config.ts',
  'tsconfig.json',
  'node_modules/typescript/package.json',
];

export const isCompiled = (print = compiledPrint()) => isFresh('javascript', print, ['build/js']);

/** To be taken before the sources are read: what is changed meanwhile is compiled the next time. */
export const compiledPrint = () => fingerprint(INPUTS);

export const setCompiled = (print) => setStamp('javascript', print);
