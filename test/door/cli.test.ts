import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Outcome, startProgram } from "../support/program.ts";

// The built program as a process; `npm test` builds first. `door` is the same program with one tiny experiment of its own.
const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const door = fileURLToPath(new URL("../support/tiny_door.mjs", import.meta.url));

let dir: string;
beforeAll(() => {
  if (!existsSync(cli)) throw new Error("dist/ is absent: npm run build");
  dir = mkdtempSync(join(tmpdir(), "deeplimit-cli-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const start = (program: string, args: readonly string[], env: Record<string, string> = {}) =>
  startProgram(program, args, { cwd: dir, env });
const real = (...args: string[]) => start(cli, args)[1];
const tiny = (...args: string[]) => start(door, args)[1];
const run = (...args: string[]) => tiny("run", "tiny", "--adapter", "swiftshader", ...args);
const json = (...path: string[]) => JSON.parse(readFileSync(join(dir, ...path), "utf8"));
const lines = (text: string) => text.trimEnd().split("\n");

/** A refusal is one line, without a stack. */
function expectError({ code, out, err }: Outcome, expected: number, ...texts: (string | RegExp)[]): void {
  expect(lines(err)).toHaveLength(1);
  expect(err).toMatch(/^error: /);
  for (const text of texts) expect(err).toMatch(text);
  expect(out).toBe("");
  expect(code).toBe(expected);
}

describe("help and lists", () => {
  it("--help names every command and gives examples within 80 columns", async () => {
    const { code, out, err } = await real("--help");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    for (const word of [
      "list",
      "plan",
      "run",
      "init",
      "report",
      "compare",
      "bench",
      "doctor",
      "Examples:",
      "Exit codes:",
    ])
      expect(out).toContain(word);
    for (const command of ["plan", "run", "init", "schema", "report", "compare", "bench", "doctor"]) {
      const help = await real(command, "--help");
      expect(help.code).toBe(0);
      for (const line of lines(help.out)) expect(line.length).toBeLessThanOrEqual(80);
    }
  });

  it("--version prints that of the package", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    expect(await real("--version")).toEqual({ code: 0, out: `${version}\n`, err: "" });
  });

  it("without a command prints help and is wrong usage", async () => {
    const { code, err } = await real();
    expect(code).toBe(2);
    expect(err).toContain("Usage: deeplimit");
  });

  it("list has name, title and presets", async () => {
    const { code, out } = await tiny("list");
    expect(code).toBe(0);
    expect(out).toMatch(/^tiny {2}Counts steps, to try the door\n {6}presets: paper, reduced, smoke \(default\)/);
    const { EXPERIMENTS } = await import("../../src/experiment/index.ts");
    const listed = await real("list");
    for (const { name, title } of EXPERIMENTS) expect(listed.out.replace(/\s+/g, " ")).toContain(`${name} ${title}`);
  });

  it("every experiment can be planned on every preset, within 80 columns", async () => {
    const { EXPERIMENTS } = await import("../../src/experiment/index.ts");
    for (const { name, presets } of EXPERIMENTS)
      for (const preset of Object.keys(presets)) {
        const { code, out, err } = await real("plan", name, "--preset", preset);
        expect({ code, err }).toEqual({ code: 0, err: "" });
        for (const line of lines(out)) expect([...line].length).toBeLessThanOrEqual(80);
      }
  });
});

describe("plan", () => {
  it("prints configuration, trainings and bytes without a device", async () => {
    const { code, out } = await start(door, ["plan", "tiny", "--preset", "reduced"], {
      VK_DRIVER_FILES: "/nowhere",
    })[1];
    expect(code).toBe(0);
    expect(out).toMatch(/flow\.rate +0\.1/);
    expect(out).toMatch(/gelu L=16 +1 +3 +rows +1 +stored +4 +80\.0 KiB/);
    expect(out).toMatch(/weights +64\.0 KiB/);
    expect(out).toContain("- states are recomputed (gelu L=16)");
    expect(out).toContain("3 trainings, 84 layer-steps, at most 80.0 KiB on the device at a time");
  });

  it("--json has the configuration with every setting", async () => {
    const { code, out } = await tiny(
      ...["plan", "tiny", "--json", "--set", "depths=16,64", "--set", "flow.stop.time=3", "--set", "name=12"],
      ...["--set", "flow.clip.kind=norm", "--set", "flow.clip.bound=2"],
    );
    expect(code).toBe(0);
    const { config, plan } = JSON.parse(out);
    expect(config).toMatchObject({
      depths: [16, 64],
      name: "12",
      flow: { clip: { kind: "norm", bound: 2 }, stop: { time: 3 } },
    });
    expect(plan.trainings).toHaveLength(2);
    const whole = await tiny(
      "plan",
      "tiny",
      "--json",
      "--set",
      'flow.clip={"kind":"norm","bound":3}',
      "--set",
      "depths=[5]",
    );
    expect(JSON.parse(whole.out).config).toMatchObject({ depths: [5], flow: { clip: { bound: 3 } } });
    const single = await tiny("plan", "tiny", "--json", "--set", "depths=5");
    expect(JSON.parse(single.out).config.depths).toEqual([5]);
  });
});

describe("wrong usage is one line and exit code 2", () => {
  it.each<[string[], ...(string | RegExp)[]]>([
    [["rnu", "tiny"], "unknown command 'rnu'", "(Did you mean run?)"],
    [["run", "tiny", "--prest", "smoke"], "unknown option '--prest'", "Did you mean --preset?"],
    [["run"], "missing required argument 'experiment' (see deeplimit list)"],
    [["run", "tinny"], 'experiment must be tiny (did you mean tiny?), got "tinny"'],
    [["run", "tiny", "--preset", "smok"], "--preset must be one of paper, reduced, smoke (did you mean smoke?)"],
    [
      ["run", "tiny", "--adapter", "sofware"],
      "must be one of auto, hardware, software, lavapipe, swiftshader; did you mean software?",
    ],
    [["run", "tiny", "--resume", "--force"], "cannot be used with"],
    [["plan", "tiny", "--set", "flow.rat=1"], "flow.rat: is no key, did you mean flow.rate?", "keys: depths, steps"],
    [["plan", "tiny", "--set", "rate=1"], "did you mean flow.rate?"],
    [["plan", "tiny", "--set", "__proto__.x=1"], "__proto__.x: is no key"],
    [["plan", "tiny", "--set", "steps.x=1"], "steps.x: is no key"],
    [["plan", "tiny", "--set", "steps"], '--set must be key=value, got "steps"'],
    [["plan", "tiny", "--set", "flow.rate=-1"], /^error: flow\.rate must be > 0, got -1$/m],
    [["plan", "tiny", "--set", "flow.rate=fast"], 'flow.rate must be a number, got "fast"'],
    [["plan", "tiny", "--set", "steps=1.5"], "steps must be an integer, got 1.5"],
    [["plan", "tiny", "--set", "steps=0"], "steps must be >= 1, got 0"],
    [["plan", "tiny", "--set", "depths=[]"], "depths must have at least 1 entry, got []"],
    [["plan", "tiny", "--set", "depths=4,x"], 'depths.1 must be a number, got "x"'],
    [["plan", "tiny", "--set", "activation=relux"], "activation must be one of gelu, relu, tanh (did you mean relu?)"],
    [["plan", "tiny", "--set", "flow.clip.kind=nrm"], 'flow.clip.kind must be one of none, norm, got "nrm"'],
    [["plan", "tiny", "--set", "flow.clip.kind=norm"], "flow.clip.bound: must be a number, but is not given"],
    [["plan", "tiny", "--set", "flow.clip.bound=1"], 'flow.clip.bound: is no field here with kind "none"'],
  ])("%j", async (args, ...texts) => {
    expectError(await tiny(...args), 2, ...texts);
  });
});

describe("doctor", () => {
  it("--json on the software adapter parses, and the self-test passes", async () => {
    const { code, out, err } = await real("doctor", "--json", "--adapter", "swiftshader");
    expect(err).toBe("");
    const diagnosis = JSON.parse(out);
    expect(diagnosis).toMatchObject({ healthy: true, device: { adapter: { software: true } } });
    expect(diagnosis.attempts.at(-1)).toMatchObject({ found: true });
    const results = Object.fromEntries(
      diagnosis.selfTest.map(({ name, result }: { name: string; result: string }) => [name, result]),
    );
    expect(results).toMatchObject({
      "random numbers": "passed",
      "matrix product": "passed",
      "compensated sums": "kept",
    });
    expect(diagnosis.device.limits.maxStorageBufferBindingSize).toBeGreaterThanOrEqual(134_217_728);
    expect(diagnosis.host.webgpu).toMatch(/^\d+\.\d+/);
    expect(code).toBe(0);
  });

  it("text fits 80 columns", async () => {
    const { code, out } = await real("doctor", "--adapter", "swiftshader");
    expect(code).toBe(0);
    for (const line of lines(out)) expect([...line].length).toBeLessThanOrEqual(80);
    expect(out).toContain("The device is fit for use.");
  });

  it("hardware: passes where there is some, otherwise says why not", async () => {
    const { code, out, err } = await real("doctor", "--json", "--adapter", "hardware");
    const diagnosis = JSON.parse(out);
    if (code === 0) {
      expect(diagnosis).toMatchObject({ healthy: true, device: { adapter: { software: false } } });
      return;
    }
    expect(code).toBe(1);
    expect(diagnosis).toMatchObject({
      healthy: false,
      error: expect.stringContaining("no hardware adapter. system: "),
    });
    expect(lines(err)).toHaveLength(1);
    expectError(await tiny("run", "tiny", "--adapter", "hardware", "--out", "no-hardware"), 1, "no hardware adapter");
    // A run that could not begin leaves nothing behind.
    expect(existsSync(join(dir, "no-hardware"))).toBe(false);
  });
});

describe("run", () => {
  it("writes the whole directory, says where, and a second one goes beside it", async () => {
    const first = await run();
    expect(first.code).toBe(0);
    expect(first.out).toMatch(/holds +2 +passes at least 2/);
    expect(first.out).toMatch(/report +runs\/tiny-smoke\/report\.html/);
    expect(first.out).toMatch(/wall time +\d/);
    expect(first.out).toMatch(/peak device memory +4\.00 KiB/);
    const names = readdirSync(join(dir, "runs/tiny-smoke"), { recursive: true }).map(String).sort();
    expect(names.filter((name) => /\./.test(name))).toEqual(
      [
        ...[
          "cells/L4.json",
          "cells/L8.json",
          "claims.json",
          "config.json",
          "environment.json",
          "figures/counts.png",
          "figures/counts.svg",
        ],
        ...["record.json", "report.html", "run.json", "tables/counts.csv", "tables/counts.jsonl", "tables/tables.json"],
      ].sort(),
    );
    const record = json("runs/tiny-smoke/record.json");
    expect(record).toMatchObject({
      status: "done",
      command: "deeplimit run tiny --preset smoke --adapter swiftshader",
    });
    expect(record.environment).toMatchObject({
      adapter: { software: true },
      node: process.versions.node,
      cores: expect.any(Number),
    });
    expect(Date.parse(record.environment.date)).toBeGreaterThan(0);
    expect(json("runs/tiny-smoke/run.json")).toMatchObject({
      experiment: "tiny",
      preset: "smoke",
      status: "done",
      sessions: 1,
    });

    const second = await run();
    expect(second.code).toBe(0);
    expect(second.err).toContain("this one goes to runs/tiny-smoke-2");
    const resumed = await run("--resume", "--quiet");
    expect(resumed).toEqual({ code: 0, out: "runs/tiny-smoke-2/report.html\n", err: "" });
    expect(json("runs/tiny-smoke-2/run.json").sessions).toBe(2);
  });

  it("refuses a directory that holds a run, and resumes it only with the same configuration", async () => {
    expect((await run("--out", "held")).code).toBe(0);
    expectError(
      await run("--out", "held"),
      1,
      /held: holds a finished run of tiny started \d{4}-\S+; use --resume to continue it or --force to replace it/,
    );
    expectError(
      await run("--out", "held", "--resume", "--set", "flow.rate=2"),
      2,
      "flow.rate: must be 0.1 as in the run in held to resume it, got 2",
    );
    expectError(await run("--out", "nothing", "--resume"), 1, "nothing: holds no run to resume");
  });

  it("--force replaces the run and leaves other files alone", async () => {
    expect((await run("--out", "forced", "--set", "depths=1,2,3")).code).toBe(0);
    const mine = ["notes.txt", "figures/mine.png", "tables/mine.csv", "cells/.keep"];
    for (const name of mine) writeFileSync(join(dir, "forced", name), "mine");
    expect((await run("--out", "forced", "--force")).code).toBe(0);
    for (const name of mine) expect(readFileSync(join(dir, "forced", name), "utf8")).toBe("mine");
    expect(readdirSync(join(dir, "forced/cells")).sort()).toEqual([".keep", "L4.json", "L8.json"]);
    expect(json("forced/config.json").depths).toEqual([4, 8]);
  });

  it("refuses files of someone else; --force writes beside them but over none", async () => {
    mkdirSync(join(dir, "foreign"));
    writeFileSync(join(dir, "foreign/thesis.tex"), "x");
    expectError(await run("--out", "foreign"), 1, "foreign: holds files that no run wrote (thesis.tex)");
    expect((await run("--out", "foreign", "--force")).code).toBe(0);
    mkdirSync(join(dir, "project"));
    writeFileSync(join(dir, "project/config.json"), "theirs");
    expectError(await run("--out", "project", "--force"), 1, "holds files that no run wrote (config.json)");
    expect(readFileSync(join(dir, "project/config.json"), "utf8")).toBe("theirs");
  });

  it("a directory that cannot be made is one line", async () => {
    writeFileSync(join(dir, "plain-file"), "");
    expectError(
      await run("--out", "plain-file/run"),
      1,
      /plain-file\/run: .*a part of its path is a file, not a directory/,
    );
    expectError(await run("--out", "plain-file"), 1, "plain-file: is a file, not a directory");
  });

  it("a damaged checkpoint or cell names the file to delete", async () => {
    expect((await run("--out", "damaged")).code).toBe(0);
    rmSync(join(dir, "damaged/cells/L8.json"));
    mkdirSync(join(dir, "damaged/checkpoints"), { recursive: true });
    writeFileSync(join(dir, "damaged/checkpoints/L8.safetensors"), "short");
    const checkpoint = await run("--out", "damaged", "--resume", "--quiet");
    expectError(
      checkpoint,
      1,
      /damaged\/checkpoints\/L8\.safetensors: .*only 5 bytes; delete this file to start its cell afresh/,
    );
    rmSync(join(dir, "damaged/checkpoints/L8.safetensors"));
    writeFileSync(join(dir, "damaged/cells/L4.json"), '{"steps": ');
    expectError(
      await run("--out", "damaged", "--resume", "--quiet"),
      1,
      "damaged/cells/L4.json: is not JSON; delete this file",
    );
    rmSync(join(dir, "damaged/cells/L4.json"));
    expect((await run("--out", "damaged", "--resume")).code).toBe(0);
  });

  it("a lost device keeps the finished cells, and --resume goes on from them", async () => {
    const lost = await run("--out", "lost", "--quiet", "--set", "end=device_lost");
    expect(lost.code).toBe(1);
    expect(lines(lost.err)).toHaveLength(1);
    expect(lost.err).toContain(
      "error: the device was lost: tiny: the cable was pulled; continue with: deeplimit run tiny",
    );
    expect(json("lost/record.json")).toMatchObject({
      status: "device_lost",
      statusDetail: "tiny: the cable was pulled",
    });
    expect(readdirSync(join(dir, "lost/cells"))).toEqual(["L4.json"]);
    const memory = await run("--out", "memory", "--quiet", "--set", "end=out_of_memory", "--set", "depths=4");
    expectError(memory, 1, "tiny: the cable was pulled");
    expect(json("memory/run.json").status).toBe("out_of_memory");
    expect(existsSync(join(dir, "memory/record.json"))).toBe(false);
  });

  it("an error of ours is one line, and a stack only when asked for", async () => {
    const quiet = await run("--out", "bug", "--quiet", "--set", "end=bug");
    expectError(quiet, 1, "internal error: a bug (DEEPLIMIT_DEBUG=1 shows where)");
    expect(json("bug/run.json").status).toBe("failed");
    const args = ["run", "tiny", "--adapter", "swiftshader", "--out", "bug", "--resume", "--quiet", "--set", "end=bug"];
    const loud = await start(door, args, { DEEPLIMIT_DEBUG: "1" })[1];
    expect(loud.err).toMatch(/tiny_door\.mjs:\d+/);
  });

  it("divergence is written in full and exits with 1", async () => {
    const { code, err } = await run("--out", "diverged", "--quiet", "--set", "end=diverged");
    expect({ code, err }).toEqual({ code: 1, err: "error: the run diverged: at step 3\n" });
    expect(json("diverged/record.json")).toMatchObject({ status: "diverged", tables: [{ name: "counts" }] });
  });

  const slow = ["--set", "steps=120", "--set", "pauseMs=5", "--set", "depths=4,8"];

  it("Ctrl-C writes what there is, says how to go on, and --resume does from the checkpoint", async () => {
    const args = ["run", "tiny", "--adapter", "swiftshader", "--out", "stopped"];
    const [child, ended] = start(door, [...args, ...slow]);
    await waitFor(() => existsSync(join(dir, "stopped/checkpoints/L4.safetensors")));
    child.kill("SIGINT");
    const { code, err } = await ended;
    expect(code).toBe(130);
    expect(err).toContain("Press Ctrl-C again to quit at once");
    expect(err).toMatch(/Continue with: deeplimit run tiny --out stopped --resume/);
    expect(json("stopped/record.json")).toMatchObject({
      status: "cancelled",
      statusDetail: "in cell L4",
      tables: [{ rows: [] }],
    });
    expect(existsSync(join(dir, "stopped/report.html"))).toBe(true);

    const resumed = await start(door, [...args, ...slow, "--resume"])[1];
    expect(resumed.code).toBe(0);
    const record = json("stopped/record.json");
    expect(record.notes).toContain("cells taken up in the middle: 1");
    expect(record.tables[0].rows).toEqual([
      { depth: 4, steps: 120 },
      { depth: 8, steps: 120 },
    ]);
    expect(readdirSync(join(dir, "stopped/checkpoints"))).toEqual([]);
  });

  it("a run killed in the middle of a write goes on from the last whole checkpoint", async () => {
    const args = ["run", "tiny", "--adapter", "swiftshader", "--out", "killed"];
    const [child, ended] = start(door, [...args, ...slow]);
    await waitFor(() => existsSync(join(dir, "killed/checkpoints/L4.safetensors")));
    child.kill("SIGKILL");
    await ended;
    const half = join(dir, "killed/checkpoints/.L4.safetensors.1.tmp");
    writeFileSync(half, readFileSync(join(dir, "killed/checkpoints/L4.safetensors")).subarray(0, 40));
    // Neither preset nor settings are typed again.
    const resumed = await start(door, [...args, "--resume"])[1];
    expect(resumed.code).toBe(0);
    expect(json("killed/record.json").tables[0].rows).toEqual([
      { depth: 4, steps: 120 },
      { depth: 8, steps: 120 },
    ]);
    expect(readdirSync(join(dir, "killed/checkpoints"))).toEqual([]);
  });

  it("a second Ctrl-C ends the process at once", async () => {
    // One step of ten seconds: the first signal alone would wait for it.
    const args = ["run", "tiny", "--adapter", "swiftshader", "--out", "twice", "--set", "pauseMs=10000"];
    const [child, ended] = start(door, args);
    await waitFor(() => existsSync(join(dir, "twice/run.json")));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const asked = performance.now();
    child.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 300));
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
    expect(performance.now() - asked).toBeLessThan(5000);
  });
});

async function waitFor(condition: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error("waited for 30 s in vain");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
