/** In the place of src/engine/built-check.ts: check.wasm is handed in (`GuestOptions.checkSource`). */
import type { builtCheck as original } from '../../../src/engine/built-check.js';
import { refuse } from './refuse.js';

export const builtCheck: Pick<typeof original, 'module'> = { module: () => refuse('the check of the set-up') };
