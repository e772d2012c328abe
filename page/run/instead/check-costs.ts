/** In the place of src/cycles/check-costs.ts: no run of the page charges the check to the guest. */
import type * as original from '../../../src/cycles/check-costs.js';
import { refuse } from './refuse.js';

export const readCheckCosts: typeof original.readCheckCosts = async () => refuse("the check's costs");
export const cyclesOf: typeof original.cyclesOf = () => refuse("the check's costs");
