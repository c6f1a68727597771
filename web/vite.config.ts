import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const server = process.env["AGIO_URL"] ?? "https://localhost:8443";

export default defineConfig({
  plugins: [react()],
  resolve: {
    alias: { "agio-sdk": here("../sdk/typescript/src/index.ts"), "@": here("./src") },
  },
  build: {
    outDir: process.env["AGIO_DASHBOARD_OUT"] ?? "dist",
    emptyOutDir: true,
    target: "es2022",
    // The content security policy allows our own files only: nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "/api": { target: server, secure: false },
      // The server lets only pages of its own origin open streams.
      "/stream": { target: server, secure: false, ws: true, changeOrigin: true, headers: { origin: server } },
    },
  },
});
