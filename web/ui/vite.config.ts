import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` serves the page with hot reload and passes /api to a running `docent serve`.
const server = process.env.DOCENT_URL ?? "http://127.0.0.1:8420";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: {
    target: "es2022",
    // dist/.gitkeep is tracked, so that `go build` finds a folder to embed; public/ holds its copy.
    emptyOutDir: true,
    reportCompressedSize: true,
    rolldownOptions: {
      output: {
        entryFileNames: "assets/[name]-[hash].js",
      },
    },
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/api": {
        target: server,
        changeOrigin: true,
        headers: { origin: server },
      },
    },
  },
  test: {
    include: ["src/**/*.spec.{ts,tsx}"],
    environment: "node",
  },
});
