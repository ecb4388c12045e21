import react from "@vitejs/plugin-react";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const OUT = "../src/onhand/api/console";
const SERVER = process.env["ONHAND_URL"] ?? "http://127.0.0.1:8080";

/** Packs each file beside itself once, so that the server never has to. */
function packed(): Plugin {
  return {
    name: "packed",
    apply: "build",
    closeBundle() {
      const folder = join(import.meta.dirname, OUT);
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|json|svg)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), packed()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    // light-dark(), :has() and nesting are used as they are.
    target: ["chrome123", "edge123", "firefox121", "safari17.5"],
    // The policy of the page allows no addresses that hold their content.
    assetsInlineLimit: 0,
    license: { fileName: "licenses.md" },
    // Charts and the map are loaded when a room shows one.
    chunkSizeWarningLimit: 800,
  },
  server: {
    proxy: Object.fromEntries(["/v1", "/sign-in", "/metrics", "/docs", "/openapi.json"].map((path) => [path, SERVER])),
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
