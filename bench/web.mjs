// How the laboratory page does in a real browser, beside Node on the same kind of adapter: time from page load to the first training step,
// training steps a second, the longest time the page's own thread was busy, sizes. `npm run bench:web`; not in CI. `--shots DIR` also
// takes pictures of the page, to be looked at.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, preview } from "vite";
import { PRESETS, specOf } from "../dist/experiment/single_training/config.js";
import { createTraining } from "../dist/experiment/training.js";
import { openNode } from "../dist/gpu/node_adapter.js";
import { launchBrowser } from "../scripts/browser.mjs";
import { bundleLibrary } from "../scripts/bundle.mjs";

const DEPTHS = [64, 256, 1024];
const SECONDS = 8;
/** Pairs of measurements, Node and page taking turns: a machine's speed wanders. */
const ROUNDS = 3;
const configFile = fileURLToPath(new URL("../vite.config.ts", import.meta.url));
const shots = process.argv[2] === "--shots" ? process.argv[3] : undefined;

const folder = mkdtempSync(join(tmpdir(), "deeplimit-web-"));
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
const gzipped = (bytes) => gzipSync(bytes, { level: 9 }).length;

await build({ configFile, logLevel: "error", build: { outDir: folder } });
const server = await preview({
  configFile,
  logLevel: "error",
  build: { outDir: folder },
  preview: { port: 0, host: "127.0.0.1", open: false },
});
const url = server.resolvedUrls.local[0];
const { gpu, attempts } = await openNode({ adapter: process.env.DEEPLIMIT_ADAPTER ?? "swiftshader", tuning: false });
const browser = await launchBrowser();
try {
  await printSizes();
  console.log(`\nNode: ${gpu.name} (${attempts.at(-1).way}); browser: Chromium ${browser.version()}`);
  console.log(
    "depth  load to first step, ms  steps/s page  steps/s Node  ratio  frames/s  longest task, ms  on the processor",
  );
  for (const depth of DEPTHS) {
    const rounds = [];
    for (let i = 0; i < ROUNDS; i++) rounds.push({ node: await inNode(depth), page: await inPage(depth) });
    const page = (name) => median(rounds.map((round) => round.page[name]));
    const node = median(rounds.map((round) => round.node));
    const ratio = median(rounds.map((round) => round.page.speed / round.node));
    const longest = (name) => Math.max(...rounds.map((round) => round.page[name]));
    const cells = [
      String(depth).padEnd(5),
      page("first").toFixed(0).padStart(23),
      page("speed").toFixed(1).padStart(12),
      node.toFixed(1).padStart(12),
      ratio.toFixed(2).padStart(5),
      page("frames").toFixed(0).padStart(8),
      longest("longest").toFixed(1).padStart(16),
      longest("work").toFixed(1).padStart(16),
    ];
    console.log(cells.join("  "));
  }
  if (shots) await takePictures(shots);
} finally {
  await browser.close();
  gpu.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
}

/** @returns steps a second of the page's training in Node */
async function inNode(depth) {
  const training = await createTraining(gpu, specOf({ ...PRESETS.reduced, depth, steps: 1_000_000 }));
  await training.flow.advance({ steps: 10 });
  const started = performance.now();
  const first = training.flow.state.step;
  while (performance.now() - started < 1000 * SECONDS) await training.flow.advance({ steps: 10 });
  const speed = (1000 * (training.flow.state.step - first)) / (performance.now() - started);
  training.destroy();
  return speed;
}

async function inPage(depth) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.addInitScript(() => {
    window.framesDrawn = 0;
    const count = () => {
      window.framesDrawn++;
      requestAnimationFrame(count);
    };
    requestAnimationFrame(count);
  });
  await page.goto(`${url}#training?a.depth=${depth}&a.steps=1000000&run=1`);
  await page.waitForFunction(() => Number(document.querySelector("output.step")?.textContent) >= 10);
  const state = () =>
    page.evaluate(() => ({
      step: Number(document.querySelector("output.step").textContent),
      at: performance.now(),
      frames: window.framesDrawn,
    }));
  await browser.startTracing(page, { categories: ["toplevel", "devtools.timeline"] });
  const before = await state();
  await page.waitForTimeout(1000 * SECONDS);
  const after = await state();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const seconds = (after.at - before.at) / 1000;
  const result = {
    first: Number(await page.evaluate(() => document.querySelector("training-tab").dataset.firstStepMs)),
    speed: (after.step - before.step) / seconds,
    frames: (after.frames - before.frames) / seconds,
    ...longestTask(traceEvents),
  };
  await context.close();
  return result;
}

/** The longest task of the page's thread, ms: by the clock, and on the processor: on a busy machine a task lasts longer than it works. */
function longestTask(events) {
  const { pid, tid } = events.find(({ name }) => name === "FireAnimationFrame");
  const tasks = events.filter((event) => event.pid === pid && event.tid === tid && event.name.endsWith("RunTask"));
  const most = (key) => tasks.reduce((longest, task) => Math.max(longest, (task[key] ?? 0) / 1000), 0);
  return { longest: most("dur"), work: most("tdur") };
}

async function printSizes() {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => extname(name) !== "");
  console.log("Page, gzipped:");
  for (const name of files.sort()) {
    const bytes = readFileSync(join(folder, name));
    console.log(`  ${name.padEnd(44)} ${kilobytes(bytes.length).padStart(9)} ${kilobytes(gzipped(bytes)).padStart(9)}`);
  }
  for (const [name, code] of Object.entries(await bundleLibrary()))
    console.log(`  ${name.padEnd(44)} ${kilobytes(code.length).padStart(9)} ${kilobytes(gzipped(code)).padStart(9)}`);
}

async function takePictures(to) {
  const screens = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
  for (const [screen, viewport] of Object.entries(screens))
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport, colorScheme });
      const page = await context.newPage();
      await page.goto(`${url}#training?a.depth=64&b.initialisation=iid&run=1`);
      await page.waitForFunction(() => Number(document.querySelector("output.step")?.textContent) >= 30);
      await page.screenshot({ path: join(to, `${screen}-${colorScheme}.png`), fullPage: true });
      await context.close();
    }
}
