import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunRecord } from "../../src/experiment/record.ts";
import { readRecordFile } from "../../src/report/write.ts";
import { startProgram } from "../support/program.ts";

// `deeplimit bench` as a process; `npm test` builds first. Nothing here asserts a time.
const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

let dir: string;
beforeAll(() => {
  if (!existsSync(cli)) throw new Error("dist/ is absent: npm run build");
  dir = mkdtempSync(join(tmpdir(), "deeplimit-bench-"));
  for (const [name, median] of [
    ["before", 10],
    ["after", 20],
  ] as const)
    writeFileSync(join(dir, `${name}.json`), JSON.stringify(sample(median)));
  writeFileSync(join(dir, "digits.json"), JSON.stringify({ ...sample(1), experiment: "digits" }));
  writeFileSync(join(dir, "old.json"), "{}");
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const start = (args: readonly string[], env: Record<string, string> = {}) =>
  startProgram(cli, ["bench", ...args], { cwd: dir, env });
const bench = (...args: string[]) => start(args)[1];
const quick = ["--quick", "--adapter", "swiftshader"];

/** A record of one kernel, with a spread of a tenth. */
function sample(median: number): RunRecord {
  const names = ["kernel", "variant", "shape", "median", "lower", "upper"];
  return {
    experiment: "bench",
    title: "",
    summary: "",
    preset: "full",
    status: "done",
    config: {},
    environment: { stamp: { adapter: "card", deeplimit: `0.1.0, commit ${median}` } },
    tables: [
      {
        name: "kernels",
        description: "",
        columns: names.map((name) => ({ name, description: name, ...(name === "median" && { unit: "µs" }) })),
        rows: [
          { kernel: "loss/loss", variant: "", shape: "n 9", median, lower: 0.9 * median, upper: 1.1 * median },
          { kernel: "metric/sum", variant: "", shape: "n 9", median: 5, lower: 4, upper: 6 },
        ],
      },
    ],
    figures: [],
    claims: [],
    notes: [],
    seconds: 1,
    command: "deeplimit bench",
  };
}

describe("wrong usage is one line and exit code 2, before anything is measured", () => {
  it.each<[string[], ...string[]]>([
    [["--suite", "kernls"], "--suite must be of ceilings, kernels,", "did you mean kernels?", 'got "kernls"'],
    [["--peers", "handwritten,pytorh@64"], "--peers must be of deeplimit,", "did you mean pytorch?", 'got "pytorh"'],
    [["--depth", "16,x"], '--depth must be integers of at least 1, separated by commas, got "16,x"'],
    [["--out", "old.json/name"], "--out: old.json/name cannot be written: a part of its path is a file"],
    [["--compare", "before.json"], "--compare: must name two records of deeplimit bench, got 1"],
    [["--compare", "before.json", "after.json", "--depth", "16"], "cannot be used with option '--depth <list>'"],
    [["--compare", "before.json", "gone.json"], "gone.json: cannot be read: there is no such file or directory"],
    [["--compare", "old.json", "after.json"], "needs records of deeplimit bench: old.json: experiment:"],
    [["--compare", "digits.json", "after.json"], "digits.json is one of digits"],
  ])("%j", async (args, ...texts) => {
    const names = readdirSync(dir);
    const { code, out, err } = await bench(...args);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
    for (const text of texts) expect(err).toContain(text);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(readdirSync(dir)).toEqual(names);
  });
});

describe("--compare", () => {
  it("says what became slower, and fails on it only when asked", async () => {
    const { code, out, err } = await bench("--compare", "before.json", "after.json");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/deeplimit +0\.1\.0, commit 10\n +→ 0\.1\.0, commit 20/);
    expect(out).toMatch(/2\.00 +10 \[9, 11\] µs +20 \[18, 22\] µs +slower +kernels: loss\/loss, n 9/);
    expect(out).toMatch(/1\.00 +5 \[4, 6\] µs +5 \[4, 6\] µs +same within spread +kernels: metric\/sum, n 9/);
    expect(out.replace(/\s+/g, " ")).toContain("1 slower, 1 same within spread.");
    expect((await bench("--compare", "before.json", "after.json", "--fail-on-regression")).code).toBe(1);
    expect((await bench("--compare", "after.json", "before.json", "--fail-on-regression")).code).toBe(0);
  });

  it("--json is data", async () => {
    const { code, out } = await bench("--compare", "before.json", "after.json", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      sameDevice: true,
      changes: [{ row: "loss/loss, n 9", ratio: 2, verdict: "slower" }, { verdict: "same within spread" }],
    });
  });
});

describe("a run", () => {
  it("prints its tables under a stamp and writes a record and a page, which compare with themselves", async () => {
    const { code, out, err } = await bench("--suite", "ceilings", ...quick, "--out", "made/here/ceilings.json");
    expect(err.split("\n")[0]).toBe("ceilings …");
    expect(code).toBe(0);
    for (const fact of ["adapter", "processor", "software", "flags", "load average"])
      expect(out).toMatch(new RegExp(`^${fact} +\\S`, "m"));
    expect(out).toMatch(/^multiply-add f32 +[\d.]+ +GFLOP\/s/m);
    expect(out).toContain("not to be quoted");
    expect(out).toContain("made/here/ceilings.json");
    const record = await readRecordFile(join(dir, "made/here/ceilings.json"));
    expect(record).toMatchObject({
      experiment: "bench",
      preset: "quick",
      status: "done",
      command: "deeplimit bench --suite ceilings --adapter swiftshader --quick",
      environment: { load: { start: expect.any(Number), end: expect.any(Number) } },
    });
    expect(record.tables.map(({ name }) => name)).toEqual(["ceilings", "suites"]);
    const page = readFileSync(join(dir, "made/here/ceilings.html"), "utf8");
    expect(page).toContain('id="table-ceilings"');
    const again = await bench("--compare", "made/here/ceilings.json", "made/here/ceilings.json");
    expect(again.out).not.toMatch(/slower {2}|faster|differ/);
    expect(again.code).toBe(0);
  });

  it("a suite that fails is reported, the others go on, and the exit code is 1", async () => {
    // Both write a file for their processes into the system's folder for temporary files.
    const args = ["--suite", "peers,accuracy,experiments", ...quick, "--json", "--out", "failing"];
    const { code, out, err } = await start(args, { TMPDIR: join(dir, "absent") })[1];
    expect(err).toMatch(/^experiments failed: .*ENOENT/m);
    expect(err).toMatch(/^peers failed: .*ENOENT/m);
    expect(code).toBe(1);
    const record = JSON.parse(out);
    expect(record).toMatchObject({
      status: "failed",
      statusDetail: expect.stringContaining("experiments failed"),
      config: { suites: ["accuracy", "experiments", "peers"] },
    });
    expect(record.tables.at(-1).rows).toMatchObject([
      { suite: "accuracy", status: "measured" },
      { suite: "experiments", status: "failed", reason: expect.stringContaining("ENOENT") },
      { suite: "peers", status: "failed" },
    ]);
    expect(record.tables[0]).toMatchObject({ name: "accuracy" });
    expect(record.tables[0].rows.length).toBeGreaterThan(0);
    expect(JSON.parse(readFileSync(join(dir, "failing.json"), "utf8"))).toEqual(record);
  });

  it("Ctrl-C ends after the suite and writes what there is", async () => {
    const [child, ended] = start(["--suite", "ceilings,accuracy", ...quick, "--out", "stopped"]);
    child.stderr!.once("data", () => child.kill("SIGINT"));
    const { code, err } = await ended;
    expect(err).toContain("Press Ctrl-C again to quit at once");
    expect(code).toBe(130);
    const record = await readRecordFile(join(dir, "stopped.json"));
    expect(record).toMatchObject({ status: "cancelled", statusDetail: "stopped before accuracy" });
    expect(record.tables.map(({ name }) => name)).toEqual(["ceilings", "suites"]);
    expect(record.tables[1]!.rows[1]).toMatchObject({ suite: "accuracy", status: "not run" });
    expect(existsSync(join(dir, "stopped.html"))).toBe(true);
  });

  it("Ctrl-C ends the process being measured and keeps what was measured before it", async () => {
    // A step of the second depth takes seconds.
    const sizes = ["--peers", "handwritten", "--peer-depth", "4,65536"];
    const [child, ended] = start(["--suite", "peers", ...quick, ...sizes, "--out", "stopped-peer"]);
    child.stderr!.on("data", (text: Buffer) => {
      if (text.toString().includes("round 2 of 2")) setTimeout(() => child.kill("SIGINT"), 300);
    });
    const { code, err } = await ended;
    expect(code).toBe(130);
    expect(err.split("\n").filter((line) => !/^(peers |peers: L = 4,|$)/.test(line))).toEqual([
      "Stopping: what is measured is kept, other processes are ended. Press Ctrl-C again to quit at once.",
    ]);
    const record = await readRecordFile(join(dir, "stopped-peer.json"));
    expect(record).toMatchObject({ status: "cancelled", statusDetail: "stopped in peers" });
    expect(record.tables[0]!.rows).toMatchObject([
      { depth: 4, status: "measured", steps: 6 },
      { depth: 65_536, status: "stopped", reason: "Ctrl-C", median: null },
    ]);
  });
});
