import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["__test__/**/*.spec.ts", "examples/**/*.spec.ts"],
    // Bounds, not expectations: no test measures time, and each must pass on a machine that is ten times slower. A test
    // waits for a state, and what it waits for in vain is given up before the test is: the message says what it was.
    testTimeout: 600_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 180_000 } },
    // Suites start processes of their own; more of them at once than cores make every wait longer.
    maxWorkers: 2,
  },
});
