/** In the place of src/scenario/differential.ts: no scenario of the page has random objects. */
import type * as original from '../../../src/scenario/differential.js';
import { refuse } from './refuse.js';

export const buildRandomWorld: typeof original.buildRandomWorld = () => refuse('random objects');
