import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: { "agio-sdk": here("../sdk/typescript/src/index.ts"), "@": here("./src") },
  },
  test: {
    environment: "node",
    testTimeout: 60_000,
    include: ["test/**/*.test.ts"],
  },
});
