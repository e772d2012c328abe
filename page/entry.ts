/** The program's two beginnings: in the page, and in the worker that the page makes of the same script. */
import { start } from './main.js';
import { serve } from './run/worker.js';

if (typeof document === 'undefined') {
  // A dedicated worker: its postMessage() takes no origin.
  serve(globalThis as unknown as Parameters<typeof serve>[0]);
} else void start(document.currentScript?.textContent ?? '');
