import { defineConfig } from "vitest/config";

// The browser tests: one real server, one real Chromium, in order.
export default defineConfig({
  test: {
    include: ["e2e/**/*.e2e.ts"],
    environment: "node",
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 90_000,
    bail: 1,
    reporters: ["verbose"],
  },
});
