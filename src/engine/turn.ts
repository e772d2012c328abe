/** Lets the event loop have its turn: timers, messages and finalizers are served. */
export const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    // Browsers have no such thing; a timer there waits some milliseconds when many follow each other.
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve);
  });
