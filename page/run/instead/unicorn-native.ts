/** In the place of src/engine/unicorn-native.ts: emulators are handed in (`GuestOptions.openEngine`). */
import type { openUnicorn as original } from '../../../src/engine/unicorn-native.js';
import { refuse } from './refuse.js';

export const openUnicorn: typeof original = () => refuse('libunicorn');
