import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { build, preview } from "vite";
import { afterAll } from "vitest";
import { launchBrowser } from "../../scripts/browser.mjs";
import { bundleLibrary } from "../../scripts/bundle.mjs";

const CONFIG = fileURLToPath(new URL("../../vite.config.ts", import.meta.url));

export interface Site {
  /** Ends in a slash. */
  readonly url: string;
  readonly browser: Browser;
  /** A page whose errors and warnings are gathered in `complaints`. */
  open(path: string, options?: BrowserContextOptions): Promise<Page>;
  readonly complaints: string[];
}

/** The page as `npm run web:build` makes it, the library's one module and a page that runs it, served and opened in a browser. */
export async function openSite(): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), "deeplimit-web-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  // Under vitest's NODE_ENV, Vite would take the packages' development code.
  const { NODE_ENV } = process.env;
  process.env.NODE_ENV = "production";
  await build({ configFile: CONFIG, logLevel: "error", build: { outDir: folder } });
  process.env.NODE_ENV = NODE_ENV;
  await bundleLibrary(folder);
  copyFileSync(fileURLToPath(new URL("web_probe.mjs", import.meta.url)), join(folder, "probe.mjs"));
  writeFileSync(join(folder, "probe_worker.mjs"), PROBE_WORKER);
  writeFileSync(join(folder, "probe.html"), PROBE_PAGE);
  const server = await preview({
    configFile: CONFIG,
    logLevel: "error",
    build: { outDir: folder },
    preview: { port: 0, host: "127.0.0.1", open: false },
  });
  afterAll(() => server.close());
  const browser = await launchBrowser();
  afterAll(() => browser.close());
  const complaints: string[] = [];
  const url = server.resolvedUrls!.local[0]!;
  return {
    url,
    browser,
    complaints,
    async open(path, options) {
      const context = await browser.newContext(options);
      const page = await context.newPage();
      page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(error.message));
      await page.goto(url + path);
      return page;
    },
  };
}

const PROBE_WORKER = `import * as library from "./deeplimit.min.js";
import { probe } from "./probe.mjs";
const gpu = await library.openBrowser();
postMessage(await probe(library, gpu));
gpu.close();
`;

const PROBE_PAGE = `<!doctype html><meta charset="utf-8"><title>probe</title><link rel="icon" href="data:,">
<meta http-equiv="Content-Security-Policy" content="script-src 'self' 'unsafe-inline'; worker-src 'self'">
<script type="module">
import * as library from "./deeplimit.min.js";
import { probe } from "./probe.mjs";
window.onPage = (async () => {
  const gpu = await library.openBrowser();
  const result = await probe(library, gpu);
  gpu.close();
  return result;
})();
window.inWorker = () => new Promise((resolve, reject) => {
  const worker = new Worker("./probe_worker.mjs", { type: "module" });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message));
});
</script>`;
