/** In the place of src/guest/hidden-variables.ts: the built-in guests tell all their symbols. */
import type * as original from '../../../src/guest/hidden-variables.js';
import { refuse } from './refuse.js';

export const hidesVariables: typeof original.hidesVariables = () => false;
export const withHiddenVariables: typeof original.withHiddenVariables = async () => refuse('hidden variables');
