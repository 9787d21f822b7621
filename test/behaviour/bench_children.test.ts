import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runChild } from "../../src/benchmark/child_process.ts";
import { experimentsSuite } from "../../src/benchmark/experiments.ts";
import { odePeersSuite } from "../../src/benchmark/ode_peers.ts";
import { lorenzSweep, trueAnswers } from "../../src/benchmark/ode_problem.ts";
import { CONV_CONTEST, peersSuite } from "../../src/benchmark/peers.ts";
import type { SuiteResult } from "../../src/benchmark/suite.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { chartSpec } from "../../src/report/chart.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "deeplimit-bench-test-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rowsOf = (result: SuiteResult, name: string) => result.tables.find((table) => table.name === name)!.rows;
/** Every row has the table's columns and no others. */
function expectWellFormed({ tables, figures }: SuiteResult): void {
  for (const { columns, rows } of tables)
    for (const row of rows) expect(Object.keys(row).sort()).toEqual(columns.map(({ name }) => name).sort());
  for (const figure of figures) chartSpec(figure, tables.find(({ name }) => name === figure.table)!);
}

describe("a child", () => {
  const node = (code: string, timeoutSeconds = 60) => runChild(process.execPath, ["-e", code], { timeoutSeconds });

  it("ends with its output, its code and the line that names its error", async () => {
    expect(await node("console.log('a'); console.log('b')")).toMatchObject({ end: "exited", code: 0, out: "a\nb\n" });
    const failed = await node("throw new TypeError('no such thing')");
    expect(failed).toMatchObject({ end: "exited", code: 1, reason: "exit 1: TypeError: no such thing" });
    expect((await node("")).reason).toBeUndefined();
  });

  it("is stopped when it is late, and absent when there is none", async () => {
    const late = await node("setTimeout(() => {}, 60000)", 0.3);
    expect(late).toMatchObject({ end: "timeout", code: null, reason: "no result within 0.3 s" });
    expect(late.seconds).toBeLessThan(30);
    expect(await runChild("no-such-program-here", [], { timeoutSeconds: 9 })).toMatchObject({ end: "absent" });
  });

  it("is ended by a signal, and not begun after it", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const options = { timeoutSeconds: 60, signal };
    const running = runChild(process.execPath, ["-e", "setTimeout(() => {}, 60000)"], options);
    setTimeout(() => controller.abort(), 100);
    const stopped = await running;
    expect(stopped).toMatchObject({ end: "stopped", reason: "Ctrl-C" });
    expect(stopped.seconds).toBeLessThan(30);
    expect(await runChild(process.execPath, ["-e", ""], options)).toMatchObject({ end: "stopped", seconds: 0 });
  });
});

describe("peers", () => {
  /** A folder of scripts, each of which logs its call and prints the value of an expression. */
  function peersFolder(name: string, scripts: Readonly<Record<string, string>>): string {
    const path = join(folder, name);
    mkdirSync(path);
    const log = join(path, "log");
    for (const [file, expression] of Object.entries(scripts))
      writeFileSync(
        join(path, file),
        `import { appendFileSync, readFileSync } from "node:fs";
         const option = (name) => process.argv[process.argv.indexOf("--" + name) + 1];
         const problem = JSON.parse(readFileSync(option("case"), "utf8"));
         appendFileSync(${JSON.stringify(log)}, ${JSON.stringify(file)} + " " + problem.depth + " " + option("adapter") + "\\n");
         const run = readFileSync(${JSON.stringify(log)}, "utf8").split("\\n").filter((line) => line.startsWith(${JSON.stringify(file)})).length;
         const result = (msPerStep, losses = [1, 0.5, 0.25]) => ({ version: "1", device: "d", losses, msPerStep, warmup: run, firstStepMs: 9, peakRssBytes: 2 ** 20 });
         console.log("a line before the result");
         const value = ${expression};
         if (value) console.log(JSON.stringify(value));`,
      );
    return path;
  }
  const logOf = (path: string) => readFileSync(join(path, "log"), "utf8").trimEnd().split("\n");

  it("another loss is a different result: no times, no ratio, no further round", async () => {
    const path = peersFolder("different", {
      "deeplimit.mjs": "result([2, 2])",
      "handwritten_js.mjs": "result([8, 8], [1, 0.5000001, 0.25])",
      "tfjs.mjs": "result([1, 1], [1, 0.5, 0.2501])",
      "jax_js.mjs": "result([1, 1], [1, NaN, 0.25])",
    });
    const peers = ["deeplimit", "handwritten", "tfjs-webgpu", "jax-webgpu"];
    const result = await peersSuite({ folder: path, peers, depths: [4] });
    expectWellFormed(result);
    const [own, plain, wrong, nan] = rowsOf(result, "peers");
    expect(own).toMatchObject({
      status: "measured",
      median: 2,
      steps: 4,
      "warm-up": 2,
      "host memory": 1,
      "compared with": "handwritten",
    });
    expect(plain).toMatchObject({ status: "measured", median: 8, "loss difference": 0 });
    expect(own!["loss difference"]).toBeCloseTo(2e-7, 9);
    expect(wrong).toMatchObject({ status: "different result", median: null, min: null, steps: null });
    expect(wrong!.reason).toMatch(/^losses differ by 0\.0004\d* from those of handwritten$/);
    expect(nan).toMatchObject({ status: "different result", median: null, reason: "a loss is not a finite number" });
    expect(rowsOf(result, "peer-ratios")).toEqual([
      {
        depth: 4,
        peer: "handwritten",
        base: "deeplimit",
        ratio: 4,
        lowest: 4,
        highest: 4,
        rounds: 2,
        verdict: "deeplimit faster",
      },
    ]);
    expect(logOf(path).map((line) => line.split(" ")[0])).toEqual([
      ...["deeplimit.mjs", "handwritten_js.mjs", "tfjs.mjs", "jax_js.mjs"],
      ...["deeplimit.mjs", "handwritten_js.mjs"],
    ]);
  });

  it("a contest of several tasks tells the scripts which, and keeps their rows and ratios apart", async () => {
    const path = peersFolder("tasks", {
      "conv_deeplimit.mjs": "result([option('task') === 'forward' ? 1 : 4])",
      "conv_tfjs.mjs":
        "result([option('task') === 'forward' ? 3 : 2], [problem.labels.length, 0.5, 0.25].map((x) => x / 64))",
    });
    const peers = ["deeplimit", "tfjs-webgpu"];
    const result = await peersSuite({ folder: path, peers, depths: [2] }, CONV_CONTEST);
    expectWellFormed(result);
    const rows = rowsOf(result, "conv-peers");
    expect(rows.map(({ task, peer, status }) => [task, peer, status])).toEqual([
      ["training step", "deeplimit", "measured"],
      ["training step", "tfjs-webgpu", "different result"],
      ["forward", "deeplimit", "measured"],
      ["forward", "tfjs-webgpu", "different result"],
    ]);
    expect(rows.map(({ median }) => median)).toEqual([4, null, 1, null]);
    const agree = peersFolder("tasks that agree", {
      "conv_deeplimit.mjs": "result([option('task') === 'forward' ? 1 : 4])",
      "conv_tfjs.mjs": "result([option('task') === 'forward' ? 3 : 2])",
    });
    const compared = await peersSuite({ folder: agree, peers, depths: [2] }, CONV_CONTEST);
    expect(rowsOf(compared, "conv-peer-ratios").map(({ depth, task, ratio }) => [depth, task, ratio])).toEqual([
      [2, "training step", 0.5],
      [2, "forward", 3],
    ]);
    expect(compared.notes[0]).toBe(
      "tfjs-webgpu is faster than deeplimit at L = 2, training step (0.50 of deeplimit's time).",
    );
    expect(compared.figures.map(({ name }) => name)).toEqual(["conv-peers-training-step", "conv-peers-forward"]);
  });

  it("rounds repeat the order at each depth; a faster peer is named; adapters are passed on", async () => {
    const path = peersFolder("rounds", {
      "deeplimit.mjs": "result([option('adapter') === 'software' ? 4 : 2 * run])",
      "handwritten_js.mjs": "result([run === 1 ? 1 : 8])",
      "tfjs.mjs": "({ ...result([1]), device: 'another' })",
    });
    const peers = ["deeplimit", "handwritten@8", "tfjs-webgpu", "deeplimit:software@4"];
    const result = await peersSuite({ folder: path, peers, depths: [4, 16], adapter: "swiftshader" });
    expectWellFormed(result);
    const once = (depth: number) =>
      depth === 4
        ? [
            "deeplimit.mjs 4 swiftshader",
            "handwritten_js.mjs 4 swiftshader",
            "tfjs.mjs 4 swiftshader",
            "deeplimit.mjs 4 software",
          ]
        : ["deeplimit.mjs 16 swiftshader", "tfjs.mjs 16 swiftshader"];
    expect(logOf(path)).toEqual([...once(4), ...once(4), ...once(16), ...once(16)]);
    const skipped = rowsOf(result, "peers").filter(({ status }) => status === "skipped");
    expect(skipped.map(({ depth, peer, reason }) => [depth, peer, reason])).toEqual([
      [16, "handwritten", "left out beyond L = 8, as asked"],
      [16, "deeplimit:software", "left out beyond L = 4, as asked"],
    ]);
    const verdicts = rowsOf(result, "peer-ratios").map(({ depth, peer, verdict }) => [depth, peer, verdict]);
    // Its script counts the runs of deeplimit:software too: deeplimit takes 2 and 6 ms at depth 4, 10 and 12 at 16.
    expect(verdicts).toEqual([
      [4, "handwritten", "undecided"],
      [4, "tfjs-webgpu", "peer faster"],
      [4, "deeplimit:software", "undecided"],
      [16, "tfjs-webgpu", "peer faster"],
    ]);
    expect(result.notes[0]).toMatch(/^tfjs-webgpu is faster than deeplimit at L = 4 .*, L = 16/);
    expect(result.notes.join("\n")).toContain("tfjs-webgpu ran on another adapter, another; deeplimit on d.");
  });

  it("one that cannot run is a row that says why; what an earlier round measured stays", async () => {
    const path = peersFolder("failing", {
      "deeplimit.mjs": "result([2])",
      "handwritten_js.mjs": "run === 1 ? result([4]) : process.exit(3)",
      "tfjs.mjs":
        "option('backend') === 'webgpu' ? { missing: 'install it' } : option('backend') === 'wasm' ? undefined : result([])",
      "jax_js.mjs": "await new Promise((resolve) => setTimeout(resolve, 60000))",
    });
    const peers = ["deeplimit", "handwritten", "tfjs-webgpu", "tfjs-wasm", "tfjs-cpu", "jax-wasm", "pytorch"];
    const result = await peersSuite({ folder: path, peers, depths: [4], timeoutSeconds: 4, python: "no-such-python" });
    expectWellFormed(result);
    expect(rowsOf(result, "peers").map(({ status, reason }) => [status, reason])).toEqual([
      ["measured", null],
      ["measured", "failed in round 2: exit 3: no message"],
      ["missing", "install it"],
      ["failed", "it printed no result"],
      ["failed", "it printed no result"],
      ["timeout", "no result within 4 s"],
      ["missing", "peers are part of the repository, not of the npm package"],
    ]);
    expect(rowsOf(result, "peer-ratios")).toMatchObject([{ peer: "handwritten", rounds: 1 }]);
    writeFileSync(join(path, "pytorch_eager.py"), "");
    const [python] = rowsOf(
      await peersSuite({ folder: path, peers: ["pytorch"], depths: [4], python: "no-such-python" }),
      "peers",
    );
    expect(python).toMatchObject({ status: "missing", reason: "no-such-python is not installed" });
  });

  it("a signal ends the peer that runs; what was measured stays", async () => {
    const path = peersFolder("stopped", {
      "deeplimit.mjs": "result([2])",
      "handwritten_js.mjs": "run === 1 ? result([4]) : await new Promise((resolve) => setTimeout(resolve, 60000))",
      "tfjs.mjs": "result([2])",
    });
    const controller = new AbortController();
    const lines: string[] = [];
    const result = await peersSuite({
      ...{ folder: path, peers: ["deeplimit", "handwritten", "tfjs-wasm"], depths: [4, 8], signal: controller.signal },
      onProgress: (line) => {
        lines.push(line);
        // The next to run is the second handwritten.
        if (line === "L = 4, deeplimit: round 2 of 2") setTimeout(() => controller.abort(), 500);
      },
    });
    expectWellFormed(result);
    expect(rowsOf(result, "peers").map(({ depth, status, reason }) => [depth, status, reason])).toEqual([
      [4, "measured", null],
      [4, "measured", "stopped in round 2: Ctrl-C"],
      [4, "measured", "stopped in round 2: Ctrl-C"],
      ...[8, 8, 8].map((depth) => [depth, "stopped", "Ctrl-C"]),
    ]);
    expect(lines).toHaveLength(4);
  });

  it("a wrong request is refused before anything runs", async () => {
    for (const [options, text] of [
      [{ peers: ["keras"] }, /keras/],
      [{ adapter: "gpu" }, /adapter/],
      [{ peers: ["deeplimit:gpu"] }, /adapter/],
      [{ rounds: 0 }, /rounds/],
      [{ steps: 1.5 }, /steps/],
      [{ depths: [0] }, /depth/],
    ] as const) {
      const asked = peersSuite({ folder, ...options });
      await expect(asked).rejects.toThrow(ConfigError);
      await expect(asked).rejects.toThrow(text);
    }
  });
});

describe("peers on ensembles of ODEs", () => {
  const sweep = lorenzSweep(5);
  /** Scripts that print the true answers, off by the value of one expression, in the time of another. */
  function odeFolder(name: string, scripts: Readonly<Record<string, readonly [error: string, ms: string]>>): string {
    const path = join(folder, name);
    mkdirSync(path);
    for (const [file, [error, ms]] of Object.entries(scripts))
      writeFileSync(
        join(path, file),
        `const option = (name) => process.argv[process.argv.indexOf("--" + name) + 1];
         const truth = ${JSON.stringify([...trueAnswers(sweep)])};
         const [kind, method, solves] = [option("kind"), option("method"), Number(option("solves"))];
         const result = (setting) => ({
           setting, firstMs: 9, msPerSolve: Array(solves).fill(${ms}), answers: truth.map((y) => y + ${error}),
         });
         const results = option("settings").split(",").map(Number).map(result);
         console.log(JSON.stringify({
           version: "1", device: "d", arithmetic: "float64", note: "n", results, peakRssBytes: 2 ** 20,
         }));`,
      );
    return path;
  }

  it("are compared at equal steps and at the same error, each at its quickest setting", async () => {
    // The error of a tolerance is a tenth of it, that of N steps N^-4; a solve takes the longer the finer it is.
    const path = odeFolder("ode", {
      "ode_deeplimit.mjs": ["(kind === 'fixed' ? setting ** -4 : setting / 10)", "kind === 'fixed' ? setting : 4"],
      "ode_handwritten.mjs": [
        "(kind === 'fixed' ? setting ** -4 : setting)",
        "kind === 'fixed' ? 2 * setting : 1 / setting",
      ],
      "ode_odex.mjs": ["1e-3", "1"],
      "ode_dopri.mjs": ["(setting > 1e-5 ? NaN : 0)", "1"],
    });
    const peers = ["deeplimit", "handwritten", "odex", "dopri", "scipy", "diffrax@2"];
    const result = await odePeersSuite({ folder: path, peers, trajectories: [5], solves: 3, rounds: 2 });
    expectWellFormed(result);
    const rows = rowsOf(result, "ode-peers");
    const of = (contest: string, peer: string, method: string) =>
      rows.find((row) => row.contest === contest && row.peer === peer && row.method === method)!;
    for (const method of ["rk4", "tsit5"])
      expect(of("equal steps", "deeplimit", `${method}, equal steps`)).toMatchObject({
        status: "measured",
        setting: 1000,
        median: 1000,
        solves: 6,
      });
    // Every component is off by the same, which counts less in trajectories larger than 1.
    expect(of("same error", "deeplimit", "tsit5, adaptive")).toMatchObject({ status: "measured", setting: 1e-6 });
    const mark = of("same error", "deeplimit", "tsit5, adaptive").error as number;
    expect(mark).toBeGreaterThan(1e-9);
    expect(mark).toBeLessThanOrEqual(1e-7);
    // A tenth of deeplimit's tolerance has its error; coarser ones are quicker and off by more.
    expect(of("same error", "handwritten", "dopri5, adaptive")).toMatchObject({ setting: 1e-7, status: "measured" });
    // 64⁻⁴ = 6e-8 is the first below 1e-7.
    expect(of("same error", "handwritten", "rk4, equal steps")).toMatchObject({ setting: 64, median: 128 });
    expect(of("same error", "deeplimit", "rk4, equal steps")).toMatchObject({ setting: 64, median: 64 });
    expect(of("same error", "odex", "gbs, adaptive")).toMatchObject({ status: "not reached", median: null });
    expect(of("same error", "odex", "gbs, adaptive").reason).toMatch(
      /^no setting tried has an error of at most .*, the best has /,
    );
    expect(of("same error", "dopri", "dopri5, adaptive")).toMatchObject({
      status: "measured",
      setting: 1e-5,
      error: 0,
    });
    expect(of("same error", "scipy", "dop853, adaptive").status).toBe("missing");
    expect(of("equal steps", "diffrax", "tsit5, equal steps")).toMatchObject({
      status: "skipped",
      reason: "left out beyond n = 2, as asked",
    });
    const ratios = rowsOf(result, "ode-peer-ratios").map(({ contest, peer, method, base, ratio, verdict }) => [
      ...[contest, peer, method, base, ratio, verdict],
    ]);
    expect(ratios).toEqual([
      ["equal steps", "handwritten", "rk4, equal steps", "deeplimit (rk4, equal steps)", 2, "deeplimit faster"],
      ["same error", "handwritten", "dopri5, adaptive", "deeplimit (dopri5, adaptive)", 1e7 / 4, "deeplimit faster"],
      ["same error", "handwritten", "rk4, equal steps", "deeplimit (rk4, equal steps)", 2, "deeplimit faster"],
      ["same error", "dopri", "dopri5, adaptive", "deeplimit (dopri5, adaptive)", 0.25, "peer faster"],
    ]);
    expect(result.notes[0]).toBe(
      "dopri (dopri5, adaptive) is faster: 0.25 of the time of deeplimit (dopri5, adaptive) (same error, 5 trajectories).",
    );
    // Of a series only settings that reach a smaller error than those before are drawn.
    const drawn = rowsOf(result, "ode-precision-curves").filter(({ series }) => series === "odex, gbs");
    expect(drawn.map(({ drawn }) => drawn)).toEqual([true, ...Array(drawn.length - 1).fill(false)]);
    expect(result.figures.map(({ name }) => name)).toEqual(["ode-precision-5"]);
  });

  it("wrong answers have no times; without deeplimit there is no mark", async () => {
    const path = odeFolder("ode-wrong", { "ode_handwritten.mjs": ["(kind === 'fixed' ? 1e-3 : 0)", "1"] });
    const result = await odePeersSuite({
      folder: path,
      peers: ["handwritten"],
      trajectories: [5],
      rounds: 1,
      solves: 1,
    });
    expectWellFormed(result);
    const [equal, adaptive, fixed] = rowsOf(result, "ode-peers");
    expect(equal).toMatchObject({ status: "different result", median: null });
    expect(equal!.reason).toMatch(/^answers are off by 0\.000\d+, 0\.00010 are allowed$/);
    for (const row of [adaptive, fixed])
      expect(row).toMatchObject({ status: "not reached", reason: expect.stringMatching(/the mark, has not run$/) });
    for (const options of [
      { peers: ["keras"] },
      { trajectories: [1] },
      { rounds: 0 },
      { solves: 0 },
      { adapter: "gpu" },
    ])
      await expect(odePeersSuite({ folder: path, ...options })).rejects.toThrow(ConfigError);
  });
});

describe("experiments", () => {
  const program = fileURLToPath(new URL("../support/tiny_door.mjs", import.meta.url));
  it("are timed as processes, with their claims and memory", async () => {
    const lines: string[] = [];
    const result = await experimentsSuite({
      runs: ["tiny:smoke", "absent:smoke"],
      software: true,
      adapter: process.env.DEEPLIMIT_ADAPTER ?? "swiftshader",
      program,
      onProgress: (line) => lines.push(line),
    });
    expectWellFormed(result);
    const [tiny, absent] = rowsOf(result, "time-to-claim");
    expect(tiny).toMatchObject({ experiment: "tiny", status: "measured", holds: 1, fails: 0, "not decided": 0 });
    expect(tiny!.wall).toBeGreaterThan(tiny!.run as number);
    expect(tiny!["host memory"]).toBeGreaterThan(20);
    expect(tiny!["device memory"]).toBeGreaterThan(0);
    expect(absent).toMatchObject({ status: "failed", wall: null });
    expect(absent!.reason).toMatch(/^exit 2: error: .*"absent"$/);
    expect(lines).toHaveLength(2);
  });
});
