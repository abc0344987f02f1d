/// <reference types="vitest/config" />
// How the application is built into static/admin, which is committed: the same sources give the same bytes.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

import { licences } from "./build/licences.ts";

/** Where `npm run dev` finds a server. */
const SERVER = process.env.QYVO_URL ?? "http://127.0.0.1:8080";

export default defineConfig(({ mode }) => ({
  // Relative, so that a proxy may put the page below any path.
  base: "./",
  plugins: [svelte(), licences()],
  build: {
    outDir: "../static/admin",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        // What every view uses is one file, and not one for each set of views that shares something.
        codeSplitting: {
          groups: [{ name: "ground", test: /node_modules[\\/]svelte|src[\\/]lib[\\/](?!flow[\\/])|src[\\/]shell/ }],
        },
      },
    },
  },
  server: {
    port: 5173,
    proxy: {
      ...Object.fromEntries(["/api", "/healthz", "/readyz", "/docs"].map((path) => [path, SERVER])),
      "/lists.js": { target: SERVER, rewrite: () => "/admin/lists.js" },
      "/old": { target: SERVER, rewrite: (path) => `/admin${path}` },
    },
  },
  // Units run what browsers run, and not Svelte for servers.
  ...(mode === "test" && { resolve: { conditions: ["browser"] } }),
  test: { include: ["src/**/*.test.ts"], environment: "node" },
}));
