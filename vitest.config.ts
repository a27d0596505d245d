import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["__test__/**/*.spec.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Suites start processes of their own; more of them at once than cores make every wait longer.
    maxWorkers: 2,
  },
});
