/**
 * Tells whoever watches over this process which guest function is about to run. An emulator that dies in it cannot tell
 * any more (`src/scenario/guest-process.ts`).
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/** Calls made inside `callObserver.run(observer, …)` are told to `observer`, by symbol or address, before they begin. */
export const callObserver = new AsyncLocalStorage<(called: string) => void>();
