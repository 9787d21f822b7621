import { readFileSync } from "node:fs";
import type { Download, Page } from "playwright-core";
import { afterEach, describe, expect, it } from "vitest";
import { EnsembleSolve, RandomStream } from "../../src/index.ts";
import { exampleOf, textOfLink } from "../../web/src/ensembles/settings.ts";
import { openTestDevice } from "../support/device.ts";
import { openSite } from "../support/web_site.ts";

const gpu = await openTestDevice();
const site = await openSite();

afterEach(async () => {
  for (const context of site.browser.contexts()) await context.close();
  expect(site.complaints.splice(0)).toEqual([]);
});

const button = (page: Page, name: string | RegExp) =>
  page.getByRole("button", { name, exact: typeof name === "string" });

async function save(page: Page, name: string | RegExp): Promise<Buffer> {
  const [download] = (await Promise.all([page.waitForEvent("download"), button(page, name).click()])) as [
    Download,
    unknown,
  ];
  return readFileSync(await download.path());
}

async function nameless(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>("main:not([hidden]) :is(input, select, button, [role=textbox])")]
      .filter(
        (element) =>
          !element.textContent?.trim() &&
          !element.getAttribute("aria-label") &&
          !(element as HTMLInputElement).labels?.[0]?.textContent?.trim(),
      )
      .map(({ outerHTML }) => outerHTML),
  );
}

describe("ensembles", () => {
  const link = (choices: object) => `#ensembles?${new URLSearchParams({ n: "2000", ...choices })}`;
  const is = (page: Page, text: string) => page.locator("ensembles-tab .status", { hasText: text }).waitFor();
  const time = async (page: Page) => Number(await page.locator("output.time").textContent());
  const reaches = (page: Page, t: number) =>
    page.waitForFunction((least) => Number(document.querySelector("output.time")?.textContent) >= least, t);
  const picture = (page: Page) => page.evaluate(() => document.querySelector("canvas")!.toDataURL());
  const edit = async (page: Page, from: string, to: string) => {
    const text = (await page.locator(".cm-content .cm-line").allTextContents()).join("\n");
    expect(text).toContain(from);
    await page.locator(".cm-content").fill(text.replace(from, to));
  };

  it("draws, plays, pauses, steps and starts again", async () => {
    const page = await site.open(link({ example: "van-der-pol" }));
    await is(page, "Paused.");
    expect(await time(page)).toBe(0);
    const before = await picture(page);
    await button(page, "Step").click();
    await reaches(page, 0.02);
    expect(await time(page)).toBe(0.02);
    expect(await picture(page)).not.toBe(before);
    await button(page, "Play").click();
    await reaches(page, 0.2);
    await button(page, "Pause").click();
    await is(page, "Paused.");
    const [paused, shown] = [await time(page), await picture(page)];
    await page.getByLabel("Across").selectOption("v");
    await page.waitForFunction((old) => document.querySelector("canvas")!.toDataURL() !== old, shown);
    expect(await time(page)).toBe(paused);
    await button(page, "Reset").click();
    await page.waitForFunction(() => document.querySelector("output.time")?.textContent === "0");
  });

  it("says what is wrong with a text at its line, and takes it when it is mended", async () => {
    const page = await site.open(link({ example: "lorenz", run: "1" }));
    await reaches(page, 0.02);
    await edit(page, "y[0] * y[1]", "y[0] * yy[1]");
    await page.locator("#field-problem strong", { hasText: /^Line 6: .*yy/ }).waitFor();
    expect(await page.locator(".cm-lintRange-error").textContent()).toBe("yy");
    expect(await page.locator("ensembles-tab .status").textContent()).toContain("Not built");
    expect(await button(page, "Play").isDisabled()).toBe(true);
    await edit(page, "// components: x, y, z", "// components: x, y,");
    await page.locator("#field-problem strong", { hasText: /^Line 2: components/ }).waitFor();
    await edit(page, "// components: x, y,", "// components: x, y, z");
    await edit(page, "y[0] * yy[1]", "y[0] * y[1]");
    await is(page, "Paused.");
    await page.getByLabel("Trajectories", { exact: true }).fill("0");
    await page.getByLabel("Trajectories", { exact: true }).blur();
    await page.locator("#ensemble-n-help strong", { hasText: "from 1 to" }).waitFor();
    expect(await button(page, "Play").isDisabled()).toBe(true);
  });

  it("every choice is in the link; the states of a link are those that Node's solver comes to", async () => {
    const page = await site.open(link({ example: "lotka-volterra", n: "70", end: "0.04" }));
    await is(page, "Paused.");
    await edit(page, "p[2] * y[1]", "(p[2] * y[1] + 0.1)");
    await page.getByLabel("α, from").fill("1.25");
    await page.getByLabel("α, from").blur();
    await page.getByLabel("Method").selectOption("dopri5");
    await page.waitForFunction(() => location.hash.includes("dopri5") && location.hash.includes("text="));
    const address = page.url();
    const again = await site.open(address.slice(site.url.length));
    await is(again, "Paused.");
    await button(again, "Play").click();
    await is(again, "Done");
    const [head, ...lines] = (await save(again, "Save states (CSV)")).toString().trim().split("\n");
    expect(head).toBe("trajectory,status,t,x,y,α,β,γ,δ");
    const table = lines.map((line) => line.split(",").slice(3).map(Number));
    expect(table.length).toBe(70);

    const { source } = textOfLink(new URLSearchParams(address.split("?")[1])).text;
    expect(source).toBe(exampleOf("lotka-volterra")!.source.replace("p[2] * y[1]", "(p[2] * y[1] + 0.1)"));
    const start = new RandomStream(0, "initial");
    let states: Float32Array = Float32Array.from({ length: 140 }, (_, i) =>
      i % 2 === 0 ? 2 + 2 * start.uniform(i) : 0.5 + 0.5 * start.uniform(i),
    );
    const random = new RandomStream(0, "parameters");
    const parameters = Float32Array.from({ length: 280 }, (_, i) =>
      i % 4 === 0 ? 1.25 + 0.25 * random.uniform(i) : [0, 1, 3, 1][i % 4]!,
    );
    for (const t of [0, 0.02]) {
      const solve = await EnsembleSolve.create(
        gpu,
        {
          field: { name: "field", dimension: 2, parameters: 4, source },
          initial: states,
          parameters,
          start: t,
          end: t + 0.02,
        },
        { method: "dopri5", steps: { kind: "adaptive", rtol: 1e-5, atol: 1e-5 } },
      );
      await solve.run();
      states = await solve.states();
      solve.destroy();
    }
    // A handful of steps of at most 30 operations each, whose compilers may fuse them differently: 2⁻²⁴ of the largest number each.
    for (const [j, row] of table.entries()) {
      expect(row.slice(2)).toEqual([...parameters.subarray(4 * j, 4 * j + 4)]);
      for (const i of [0, 1]) expect(Math.abs(row[i]! - states[2 * j + i]!)).toBeLessThanOrEqual(300 * 2 ** -24 * 4);
    }
    expect((await save(again, "Save picture (PNG)")).subarray(1, 4).toString()).toBe("PNG");
    expect((await save(again, /deeplimit solve/)).toString()).toBe(source);
  });

  it("trajectories that end early are counted, and the others go on; on a phone nothing is wider than the screen", async () => {
    const page = await site.open(link({ example: "lorenz", n: "200" }), { viewport: { width: 390, height: 844 } });
    await is(page, "Paused.");
    // Half of them explode at t = 1/y(0).
    await page
      .locator(".cm-content")
      .fill(
        "// components: y\n\nfn vector_field(t: f32, y: State, p: Params) -> State {\n  return State(y[0] * y[0]);\n}\n",
      );
    await page.getByLabel("y, from").fill("-2");
    await page.getByLabel("y, from").blur();
    await page.getByLabel("y, to").fill("2");
    await page.getByLabel("y, to").blur();
    await page.getByLabel("Time a picture").fill("0.5");
    await page.getByLabel("Time a picture").blur();
    await page.getByLabel("Stop at t").fill("1");
    await page.getByLabel("Stop at t").blur();
    await page.waitForFunction(() => location.hash.includes("end=1"));
    await button(page, "Reset").click();
    await is(page, "Paused.");
    await button(page, "Play").click();
    await is(page, "Done");
    const counts = await page.locator(".numbers tr", { hasText: "failed" }).locator("td").textContent();
    const [stay, failed] = counts!.split(",").map(Number.parseFloat);
    const expected = Array.from({ length: 200 }, (_, j) => -2 + 4 * new RandomStream(0, "initial").uniform(j));
    expect(failed).toBe(expected.filter((y) => y > 1).length);
    expect(stay).toBe(200 - failed!);
    expect(await nameless(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  });
});
