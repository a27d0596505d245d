import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["__test__/**/*.spec.ts", "examples/**/*.spec.ts"],
    // Generous: a real cluster and a busy machine take their time. No test waits this long when all is well.
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // Suites start processes of their own; more of them at once than cores make every wait longer.
    maxWorkers: 2,
  },
});
