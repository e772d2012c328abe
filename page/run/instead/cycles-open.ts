/** In the place of src/cycles/open.ts: no run of the page prices its blocks. */
import type * as original from '../../../src/cycles/open.js';
import { refuse } from './refuse.js';

export const IGNORED = '';
export const openCycleModel: typeof original.openCycleModel = async () => refuse('a cycle model');
export const blockPricer: typeof original.blockPricer = () => refuse('a cycle model');
