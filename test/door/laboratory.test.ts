import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startProgram } from "../support/program.ts";

// Runs and what they left, through the command line: the built program as a process, with four tiny experiments.
const door = fileURLToPath(new URL("../support/laboratory_door.mjs", import.meta.url));

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "deeplimit-laboratory-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const start = (...args: string[]) => startProgram(door, args, { cwd: dir });
const program = (...args: string[]) => start(...args)[1];
const text = (...path: string[]) => readFileSync(join(dir, ...path), "utf8");
const json = (...path: string[]) => JSON.parse(text(...path));

describe("run all", () => {
  const all = ["run", "all", "--adapter", "swiftshader", "--out", "lab"];

  it("Ctrl-C stops the experiment under way and lists what is still to come", async () => {
    const [child, ended] = start(...all);
    await waitFor(() => existsSync(join(dir, "lab/slow/checkpoints/L4.safetensors")));
    child.kill("SIGINT");
    const { code, out, err } = await ended;
    expect(code).toBe(130);
    expect(err).toContain("Continue with: deeplimit run all --preset reduced --adapter swiftshader --out lab --resume");
    expect(out).toMatch(/^tiny +done +1 +0 +0 /m);
    expect(out).toMatch(/^slow +cancelled /m);
    expect(out).toMatch(/^broken +not run yet /m);
    expect(out).toMatch(/^images +skipped /m);
    expect(out).toContain("images: needs the files of a dataset; give its directory with --data");
    expect(json("lab/slow/record.json").status).toBe("cancelled");
    expect(text("lab/index.html")).toContain("Unfinished");
    expect(existsSync(join(dir, "lab/broken"))).toBe(false);
  });

  it("--resume finishes it; a failure of one keeps none from running, and the exit code is 1", async () => {
    const { code, out, err } = await program(...all, "--resume");
    expect(code).toBe(1);
    expect(err).toContain("tiny: is finished");
    expect(err).toContain("error: not done: broken; try again with: deeplimit run all");
    expect(out).toMatch(/^slow +done +1 +0 +0 /m);
    expect(out).toMatch(/^broken +failed /m);
    expect(out).toContain("broken: internal error: a bug");
    expect(out).toContain("4 experiments: 2 done, 1 ended otherwise, 1 skipped");
    expect(json("lab/slow/record.json").notes).toContain("cells taken up in the middle: 1");
    // The run that was finished was left alone.
    expect(json("lab/tiny/run.json").sessions).toBe(1);
  });

  it("writes one page and the claims of all", () => {
    const page = text("lab/index.html");
    for (const name of ["tiny", "slow"]) {
      expect(page).toContain(`href="${name}/report.html"`);
      expect(existsSync(join(dir, "lab", name, "report.html"))).toBe(true);
    }
    expect(page).toContain("internal error: a bug");
    expect(page).not.toMatch(/<script|<link|src="http/);
    const claims = json("lab/claims.json");
    expect(claims.map(({ experiment, id, verdict }: Record<string, string>) => [experiment, id, verdict])).toEqual([
      ["tiny", "all-steps", "holds"],
      ["slow", "all-steps", "holds"],
    ]);
    const lines = text("lab/claims.csv").trimEnd().split("\n");
    expect(lines[0]).toBe("experiment,preset,id,verdict,measured,lower,upper,confidence,min,max,statement,source,note");
    expect(lines[1]).toMatch(/^tiny,reduced,all-steps,holds,3,,,,3,,/);
    const { runs } = json("lab/laboratory.json");
    expect(runs[0]).toMatchObject({ experiment: "tiny", state: "done", holds: 1, peakDeviceBytes: 4096 });
    expect(runs[0].seconds).toBeGreaterThan(0);
  });

  it("refuses a directory of something else, another preset, and options of one experiment", async () => {
    const held = await program(...all);
    expect(held).toMatchObject({ code: 1, err: expect.stringContaining("lab: holds a laboratory at preset reduced") });
    const other = await program(...all, "--resume", "--preset", "smoke");
    expect(other).toMatchObject({ code: 2, err: expect.stringContaining("--preset must be reduced") });
    mkdirSync(join(dir, "thesis"));
    writeFileSync(join(dir, "thesis/thesis.tex"), "");
    const foreign = await program("run", "all", "--out", "thesis");
    expect(foreign).toMatchObject({ code: 1, err: expect.stringContaining("no laboratory wrote (thesis.tex)") });
    const set = await program(...all, "--set", "steps=3");
    expect(set).toMatchObject({ code: 2, err: "error: --set: is for one experiment, not for all\n" });
  });
});

describe("report", () => {
  it("makes the same page and figures again from record.json alone", async () => {
    mkdirSync(join(dir, "lone"));
    copyFileSync(join(dir, "lab/tiny/record.json"), join(dir, "lone/record.json"));
    expect(await program("report", "lone", "--quiet")).toEqual({ code: 0, out: "lone/report.html\n", err: "" });
    for (const file of ["report.html", "figures/counts.svg", "tables/counts.csv", "claims.json"])
      expect(text("lone", file)).toBe(text("lab/tiny", file));
    writeFileSync(join(dir, "lone/tables/counts.csv"), "kept");
    const again = await program("report", "lone");
    expect(again.out).toMatch(/holds +3 +passes at least 3[\s\S]*report +lone\/report\.html\nwall time/);
    expect(text("lone/tables/counts.csv")).toBe("kept");
  });

  it("of a laboratory makes all pages again", async () => {
    const before = text("lab/index.html");
    rmSync(join(dir, "lab/index.html"));
    rmSync(join(dir, "lab/slow/report.html"));
    expect((await program("report", "lab", "--quiet")).out).toBe("lab/index.html\n");
    expect(text("lab/index.html")).toBe(before);
    expect(existsSync(join(dir, "lab/slow/report.html"))).toBe(true);
  });

  it("says what a directory without a record is", async () => {
    expect((await program("report", "nowhere")).err).toBe("error: nowhere: is not there\n");
    expect((await program("report", "thesis")).err).toBe("error: thesis: holds no record of a run (record.json)\n");
    expect((await program("report", "lab/broken")).err).toBe(
      "error: lab/broken: holds a run of broken (failed) without a record; `deeplimit run broken --out lab/broken --resume` continues it\n",
    );
    writeFileSync(join(dir, "thesis/record.json"), '{"experiment": "tiny"}');
    expect(await program("report", "thesis")).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^error: thesis\/record\.json: title: /),
    });
  });
});

describe("a file that describes a run", () => {
  it("init → run has the preset's configuration; what the command line says goes before", async () => {
    const written = await program("init", "tiny", "--preset", "reduced", "--out", "trial.yaml");
    expect(written).toMatchObject({ code: 0, out: "trial.yaml\n" });
    writeFileSync(join(dir, "trial.yaml"), text("trial.yaml").replace("# adapter: auto", "adapter: swiftshader"));
    const plain = await program("plan", "trial.yaml", "--json");
    const preset = await program("plan", "tiny", "--preset", "reduced", "--json");
    expect(JSON.parse(plain.out)).toEqual(JSON.parse(preset.out));
    const { code } = await program("run", "trial.yaml", "--set", "depths=4,8,16,32", "--out", "described", "--quiet");
    expect(code).toBe(0);
    expect(json("described/config.json")).toEqual({
      ...json("lab/tiny/config.json"),
      depths: [4, 8, 16, 32],
    });
    expect(json("described/record.json").command).toBe(
      "deeplimit run tiny --preset reduced --set depths=4,8,16,32 --adapter swiftshader",
    );
    const taken = await program("init", "tiny", "--out", "trial.yaml");
    expect(taken).toMatchObject({ code: 2, err: expect.stringContaining("--force replaces it") });
  });

  it("errors have file, line, column and the line itself", async () => {
    writeFileSync(join(dir, "wrong.yaml"), "experiment: tiny\nconfig:\n  flow:\n    rate: -1\n");
    expect(await program("run", "wrong.yaml")).toEqual({
      code: 2,
      out: "",
      err: "error: wrong.yaml:4:11: config.flow.rate must be > 0, got -1\n    4 |     rate: -1\n      |           ^^\n",
    });
    const beside = await program("plan", "slow", "--config", "wrong.yaml");
    expect(beside.err).toContain('wrong.yaml:1:13: experiment must be slow, as on the command line, got "tiny"');
  });
});

describe("compare", () => {
  it("writes a page and says claims, differences and what else differs", async () => {
    const { code, out } = await program("compare", "lab/tiny", "described");
    expect(code).toBe(0);
    expect(out).toContain("tiny       holds        3");
    expect(out).toContain("described  holds        4");
    expect(out).toContain("difference +1");
    expect(out).toMatch(/Parameters: 1 of \d+ differ\n {2}depths\n {4}tiny +4, 8, 16\n {4}described +4, 8, 16, 32/);
    expect(out).toContain("1 figure on the page, 1 of them on common axes");
    for (const line of out.split("\n")) expect([...line].length).toBeLessThanOrEqual(80);
    const page = text("compare.html");
    expect(page).toContain("<svg");
    expect(page).not.toMatch(/<script|<link|href="(?!#)/);
  });

  it("--json has the same, for programs", async () => {
    const { out } = await program("compare", "lab/tiny", "described", "lone", "--json", "--out", "three.html");
    const { runs, claims, figures } = JSON.parse(out);
    expect(runs.map(({ label }: { label: string }) => label)).toEqual(["tiny", "described", "lone"]);
    expect(claims[0].sides.map((side: { difference?: number }) => side.difference)).toEqual([undefined, 1, 0]);
    expect(figures).toEqual([{ name: "counts", together: true, missing: [] }]);
  });

  it("refuses one run, runs of different experiments, and directories without any", async () => {
    expect((await program("compare", "lab/tiny")).err).toContain("directories must be at least two");
    expect((await program("compare", "lab/tiny", "lab/slow")).err).toContain(
      "must be runs of one experiment; lab/tiny is one of tiny, lab/slow of slow",
    );
    expect((await program("compare", "lab/tiny", "nowhere")).err).toBe("error: nowhere: is not there\n");
  });
});

async function waitFor(condition: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error("waited for 60 s in vain");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
