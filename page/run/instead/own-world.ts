/** In the place of src/scenario/own-world.ts: no scenario of the page has random objects. */
import type * as original from '../../../src/scenario/own-world.js';
import { refuse } from './refuse.js';

export const buildOwnWorld: typeof original.buildOwnWorld = async () => refuse('random objects');
