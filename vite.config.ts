import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// The laboratory page: `npm run web` serves it, `npm run web:build` makes a static site that runs from any folder.
export default defineConfig({
  root: fileURLToPath(new URL("./web", import.meta.url)),
  base: "./",
  worker: { format: "es" },
  build: { outDir: "dist", emptyOutDir: true, target: "es2023", reportCompressedSize: false },
  // The data file and the library lie beside the page's folder.
  server: { fs: { allow: [".."] } },
});
