import { readFileSync } from "node:fs";
import type { Download, Page } from "playwright-core";
import { afterEach, expect, it } from "vitest";
import { launchBrowser } from "../../scripts/browser.mjs";
import { singleTrainingSchema, specOf } from "../../src/experiment/single_training/config.ts";
import { createTraining } from "../../src/experiment/training.ts";
import * as library from "../../src/index.ts";
import { openTestDevice } from "../support/device.ts";
import { type Probed, probe } from "../support/web_probe.mjs";
import { openSite } from "../support/web_site.ts";

const gpu = await openTestDevice();
const site = await openSite();

/** Small enough that a step takes a few milliseconds on a processor. */
const SMALL = { depth: 12, width: 4, hidden: 8, rows: 10, steps: 1_000_000 };
const link = (a: object, b?: object) =>
  `#training?${new URLSearchParams([
    ...Object.entries({ ...SMALL, ...a }).map(([key, value]) => [`a.${key}`, String(value)]),
    ...Object.entries(b ? { ...SMALL, ...b } : {}).map(([key, value]) => [`b.${key}`, String(value)]),
  ])}`;

const step = async (page: Page, network = "A") =>
  Number(await page.locator(`td[data-slot=${network}] output.step`).textContent());
const loss = (page: Page, network = "A") => page.locator(`td[data-slot=${network}] output.loss`).textContent();
const isReady = (page: Page) => page.locator("#status", { hasText: "Paused." }).waitFor();
const reaches = (page: Page, least: number, network = "A") =>
  page.waitForFunction(
    ([name, number]) => Number(document.querySelector(`td[data-slot=${name}] output.step`)?.textContent) >= number,
    [network, least] as const,
  );
const picture = (page: Page) =>
  page.evaluate(() => [...document.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL()));

afterEach(async () => {
  for (const context of site.browser.contexts()) await context.close();
  expect(site.complaints.splice(0)).toEqual([]);
});

/**
 * The compilers of Node's Dawn and of the browser may order or fuse float32 operations differently; each of the few hundred operations
 * between data and result then rounds by up to 2⁻²⁴ of the largest number on the way.
 */
it("a page and a worker compute what Node does, under a policy that forbids code made at run time", async () => {
  const here = await probe(library, gpu);
  const page = await site.open("probe.html");
  const onPage = await page.evaluate(() => (window as unknown as { onPage: Promise<Probed> }).onPage);
  const inWorker = await page.evaluate(() => (window as unknown as { inWorker(): Promise<Probed> }).inWorker());
  expect(inWorker).toEqual(onPage);
  for (const key of Object.keys(here) as (keyof Probed)[]) {
    const [expected, actual] = [[here[key]].flat(), [onPage[key]].flat()];
    const largest = Math.max(...expected.map(Math.abs));
    expect(largest, key).toBeGreaterThan(0);
    expect(actual.length, key).toBe(expected.length);
    const error = Math.max(...expected.map((value, i) => Math.abs(value - actual[i]!)));
    expect(error, key).toBeLessThanOrEqual(300 * 2 ** -24 * largest);
  }
});

it("trains, draws, pauses, steps and starts again", async () => {
  const page = await site.open(link({}));
  await isReady(page);
  expect(await step(page)).toBe(0);
  const before = await picture(page);
  await page.getByRole("button", { name: "Step", exact: true }).click();
  await reaches(page, 1);
  const early = Number(await loss(page));
  await page.getByRole("button", { name: "Start" }).click();
  await reaches(page, 40);
  expect(Number(await loss(page))).toBeLessThan(early);
  await page.getByRole("button", { name: "Pause" }).click();
  await isReady(page);
  const after = await picture(page);
  expect(after.length).toBe(4);
  for (const [i, image] of after.entries()) expect(image === before[i], `chart ${i}`).toBe(false);
  const paused = await step(page);
  await page.getByRole("button", { name: "Step", exact: true }).click();
  await reaches(page, paused + 1);
  expect(await step(page)).toBe(paused + 1);
  await page.getByRole("button", { name: "Start" }).click();
  await reaches(page, paused + 10);
  await page.getByRole("button", { name: "Reset" }).click();
  await page.waitForFunction(() => document.querySelector("output.step")?.textContent === "0");
});

it("every choice is in the link, and a link makes the run again", async () => {
  const page = await site.open(link({}));
  await isReady(page);
  await page.getByLabel("Activation σ").selectOption("tanh");
  await page.getByLabel("Rate η").fill("0.02");
  await page.getByLabel("Rate η").blur();
  await page.getByLabel("Compare with a second network").check();
  await page.locator("td[data-slot=B] output.step", { hasText: "0" }).waitFor();
  const address = page.url();
  const query = new URLSearchParams(address.split("?")[1]);
  expect([query.get("a.activation"), query.get("a.rate"), query.get("b.initialisation")]).toEqual([
    "tanh",
    "0.02",
    "iid",
  ]);
  expect(query.get("b.depth")).toBe("12");
  const run = async (on: Page) => {
    await isReady(on);
    for (let i = 1; i <= 3; i++) {
      await on.getByRole("button", { name: "Step", exact: true }).click();
      await reaches(on, i, "B");
    }
    return [await loss(on, "A"), await loss(on, "B")];
  };
  const first = await run(page);
  const second = await run(await site.open(address.slice(site.url.length)));
  expect(second).toEqual(first);
  expect(first[0]).not.toBe(first[1]);
});

it("exports: numbers, pictures, and a file that the command line takes", async () => {
  const page = await site.open(link({ dataset: "digits", rows: 20, initialisation: "smooth", kernelLength: 0.3 }));
  await isReady(page);
  for (let i = 1; i <= 3; i++) {
    await page.getByRole("button", { name: "Step", exact: true }).click();
    await reaches(page, i);
  }
  const save = async (name: string | RegExp): Promise<Buffer> => {
    const [download] = (await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name }).click(),
    ])) as [Download, unknown];
    return readFileSync(await download.path());
  };
  const [head, ...rows] = (await save("Save numbers (CSV)")).toString().trim().split("\n");
  expect(head).toBe(
    "network,step,time,loss,lipschitz_V,lipschitz_W,roughness_V,roughness_W,distance_V,distance_W,step_ms",
  );
  expect(rows.map((row) => row.split(",").slice(0, 2).join())).toEqual(["A,0", "A,1", "A,2", "A,3"]);
  const image = await save("Save charts (PNG)");
  expect(image.subarray(1, 4).toString()).toBe("PNG");
  expect(image.length).toBeGreaterThan(5000);

  const file = JSON.parse((await save(/deeplimit run/)).toString());
  expect(file).toMatchObject({ experiment: "single-training" });
  const config = singleTrainingSchema.parse(file.config);
  const { readDigits } = await import("../../src/data/digits.ts");
  const training = await createTraining(gpu, specOf(config, readDigits()));
  const { loss: here } = await training.flow.advance({ steps: 3 });
  training.destroy();
  // Four digits are shown.
  expect(Math.abs(Number(await loss(page)) - here)).toBeLessThanOrEqual(1e-3 * here);
});

it("two networks keep one clock; what is wrong is said at its place", async () => {
  const page = await site.open(link({ referenceDepth: 24 }, { activation: "relu", depth: 8 }));
  await isReady(page);
  await page.getByRole("button", { name: "Start" }).click();
  await reaches(page, 20, "B");
  await page.getByRole("button", { name: "Pause" }).click();
  await isReady(page);
  expect(await page.locator("live-chart").count()).toBe(7);
  await page.locator("#B-depth").fill("1");
  await page.locator("#B-depth").blur();
  await page.locator("#B-depth-help strong").waitFor();
  expect(await page.locator("#B-depth").getAttribute("aria-invalid")).toBe("true");
  expect(await page.locator("#status").textContent()).toContain("Not built");
  expect(await page.getByRole("button", { name: "Start" }).isDisabled()).toBe(true);
});

it("a lost device is said, and the training goes on where it was", async () => {
  const page = await site.open(link({}));
  await isReady(page);
  await page.getByRole("button", { name: "Start" }).click();
  await reaches(page, 20);
  await page.getByRole("button", { name: "Pause" }).click();
  await isReady(page);
  const [paused, shown] = [await step(page), await loss(page)];
  const session = await site.browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  process.kill(processInfo.find(({ type }) => type === "GPU")!.id);
  await page.getByRole("alert").waitFor();
  await page.getByRole("button", { name: "Restart and resume" }).click();
  await page.getByText(`Resumed from step ${paused}`).waitFor();
  await reaches(page, paused + 20);
  expect(Number(await loss(page))).toBeLessThan(Number(shown));
  expect(await page.getByRole("alert").count()).toBe(0);
  // The browser itself may say that its process ended.
  site.complaints.length = 0;
});

it("every control has a name, and the theme follows the system until it is chosen", async () => {
  const page = await site.open(link({}, {}), { colorScheme: "dark", viewport: { width: 390, height: 844 } });
  await isReady(page);
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>("input, select, button")]
      .filter(
        (element) =>
          !element.textContent?.trim() &&
          !element.getAttribute("aria-label") &&
          !(element as HTMLInputElement).labels?.[0]?.textContent?.trim(),
      )
      .map(({ outerHTML }) => outerHTML),
  );
  expect(nameless).toEqual([]);
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  expect(await theme()).toBe("dark");
  await page.getByRole("button", { name: "Switch to light colours" }).click();
  expect(await theme()).toBe("light");
  // Nothing is wider than the screen of a phone.
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
});

it("without WebGPU it says what to do", async () => {
  const browser = await launchBrowser({ webgpu: false });
  try {
    const page = await browser.newPage();
    await page.goto(site.url);
    await page.getByRole("heading", { name: "This page needs WebGPU" }).waitFor();
    expect(await page.getByRole("alert").textContent()).toMatch(/chrome:\/\/flags/);
  } finally {
    await browser.close();
  }
});
