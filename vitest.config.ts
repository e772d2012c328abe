import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/watchdog.ts'],
    testTimeout: 120_000,
    hookTimeout: 300_000,
    // A file to a process: each may use a libunicorn of its own, and one that crashes takes no other with it.
    pool: 'forks',
  },
});
