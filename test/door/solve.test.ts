import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseCsv } from "../../src/data/csv.ts";
import { decodeNpy } from "../../src/data/npy.ts";

// `deeplimit solve` as a process; `npm test` builds first.
const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const examples = fileURLToPath(new URL("../../examples/", import.meta.url));

let dir: string;
beforeAll(() => {
  if (!existsSync(cli)) throw new Error("dist/ is absent: npm run build");
  dir = mkdtempSync(join(tmpdir(), "deeplimit-solve-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(...args: string[]): [child: ReturnType<typeof spawn>, ended: Promise<Outcome>] {
  const child = spawn(process.execPath, [cli, "solve", ...args], { cwd: dir });
  let out = "";
  let err = "";
  child.stdout.on("data", (data: Buffer) => {
    out += data.toString();
  });
  child.stderr.on("data", (data: Buffer) => {
    err += data.toString();
  });
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
  return [child, ended];
}
const solve = (...args: string[]) => start(...args, "--adapter", "swiftshader")[1];
const table = (...path: string[]) =>
  readFileSync(join(dir, ...path), "utf8")
    .trimEnd()
    .split("\n");
const file = (name: string, content: string) => {
  writeFileSync(join(dir, name), content);
  return name;
};

it("help and list fit 80 columns", async () => {
  const [help, list] = await Promise.all([start("--help")[1], start("--list")[1]]);
  for (const { code, out } of [help, list]) {
    expect(code).toBe(0);
    for (const line of out.split("\n")) expect([...line].length).toBeLessThanOrEqual(80);
  }
  expect(list.out).toContain("lorenz\n  x' = σ (y − x)");
  expect(list.out).toContain("parameters σ = 10, ρ = 28, β = 2.667");
});

describe("a solve", () => {
  it("writes trajectories and saved points, says what came out, and goes to the next free directory", async () => {
    const y0 = file("y0.csv", "x,y,z\n1,0,0\n1,0,0\nnan,0,0\n");
    const params = file("rho.csv", "rho\n28\n10.5\n28\n");
    const first = await solve("lorenz", "--y0", y0, "--params", params, "--rtol", "1e-6", "--save", "grid:0:1:3");
    expect(first.err).toMatch(/^lorenz, 3 trajectories, on SwiftShader .* → runs\/solve-lorenz\n$/);
    expect(first.code).toBe(0);
    expect(first.out).toMatch(/trajectories +3\n +done +2\n +non_finite +1\n +that is +2 non_finite at t = 0\n/);
    expect(first.out).toMatch(/steps accepted +\d+ /);
    expect(first.out).toMatch(/adapter +SwiftShader/);
    expect(first.out).toContain("runs/solve-lorenz: summary.json, trajectories.csv, saved.csv");

    const rows = table("runs/solve-lorenz/trajectories.csv").map((line) => line.split(","));
    expect(rows[0]).toEqual(["trajectory", "status", "t", "x", "y", "z", "accepted", "rejected", "evaluations"]);
    expect(rows.slice(1).map((row) => row.slice(0, 3))).toEqual([
      ["0", "done", "1"],
      ["1", "done", "1"],
      ["2", "non_finite", "0"],
    ]);
    // High-precision values at t = 1 for ρ = 28 and 10.5, which rtol 1e-6 keeps to 1e-4.
    const ends = [
      [-9.40845056705604, -9.09619907118648, 28.5816276243923],
      [2.83229083909966, 1.28394561878203, 11.1070868519342],
    ];
    ends.forEach((end, j) => {
      end.forEach((value, i) => {
        expect(Math.abs(Number(rows[j + 1][3 + i]) - value)).toBeLessThan(1e-4 * Math.abs(value));
      });
    });
    const saved = parseCsv(table("runs/solve-lorenz/saved.csv").join("\n"), "saved.csv");
    expect(saved.header).toEqual(["trajectory", "t", "x", "y", "z"]);
    expect([...saved.values.slice(0, 5)]).toEqual([0, 0, 1, 0, 0]);
    const summary = JSON.parse(readFileSync(join(dir, "runs/solve-lorenz/summary.json"), "utf8"));
    expect(summary).toMatchObject({
      field: "lorenz",
      status: "done",
      trajectories: 3,
      counts: { done: 2, non_finite: 1 },
      method: "tsit5",
      steps: { kind: "adaptive", rtol: 1e-6, atol: 1e-6 },
      files: ["trajectories.csv", "saved.csv"],
      environment: { adapter: { software: true } },
    });
    expect(summary.environment.command).toBe(
      "deeplimit solve lorenz --y0 y0.csv --params rho.csv --rtol 1e-6 --save grid:0:1:3 --adapter swiftshader",
    );

    const second = await solve("lorenz", "--quiet");
    expect(second).toEqual({ code: 0, out: "runs/solve-lorenz-2\n", err: "" });
  });

  it("arrays of NumPy, JSON, statistics, and a second one over the first", async () => {
    const args = ["harmonic-oscillator", "--t1", "6.2831855", "--out", "arrays", "--format", "npy"];
    const { code, out } = await solve(...args, "--save", "statistics", "--json");
    expect(code).toBe(0);
    const summary = JSON.parse(out);
    expect(summary).toMatchObject({
      directory: "arrays",
      trajectories: 1,
      counts: { done: 1 },
      statusCodes: { done: 0 },
    });
    expect(summary.files).toEqual(
      readdirSync(join(dir, "arrays")).sort((a, b) => summary.files.indexOf(a) - summary.files.indexOf(b)),
    );
    const array = (name: string) => decodeNpy(readFileSync(join(dir, "arrays", `${name}.npy`)), name);
    expect(array("states").shape).toEqual([1, 2]);
    expect(Math.abs(array("states").data[0] - 1)).toBeLessThan(1e-2);
    expect([...array("status").data]).toEqual([0]);
    expect([...array("steps").data]).toEqual([summary.accepted, summary.rejected, summary.evaluations]);
    expect(Math.abs(array("minimum").data[0] + 1)).toBeLessThan(2e-2);

    const held = await solve(...args);
    expect(held).toMatchObject({ code: 1, out: "" });
    expect(held.err).toMatch(/^error: arrays: holds an earlier solve; use --force/);
    expect((await solve(...args, "--force", "--dt", "0.1", "--method", "rk4")).code).toBe(0);
    expect(existsSync(join(dir, "arrays/minimum.npy"))).toBe(false);
    expect(array("steps").data[0]).toBe(63);
  });

  it("the examples: a field in a file, its own event", async () => {
    const [lorenz, prey] = await Promise.all([
      solve(join(examples, "lorenz.wgsl"), "--y0", join(examples, "lorenz_y0.csv"), "--t1", "1", "--out", "lorenz"),
      solve(
        ...[join(examples, "predator_prey.wgsl"), "--y0", join(examples, "predator_prey_y0.csv")],
        ...["--params", join(examples, "predator_prey_params.csv"), "--t1", "200"],
        ...["--event", "event_value,down,record,max=50", "--out", "prey"],
      ),
    ]);
    expect([lorenz.code, prey.code]).toEqual([0, 0]);
    expect(table("lorenz/trajectories.csv")).toHaveLength(4);
    // Below the capacity 0.75 the predators come to rest, above they have a peak every cycle.
    const rows = table("prey/trajectories.csv")
      .slice(1)
      .map((line) => line.split(",").map(Number));
    for (const row of rows.slice(0, 2)) expect(Math.abs(row[3] - 0.125)).toBeLessThan(1e-3);
    const events = table("prey/events.csv")
      .slice(1)
      .map((line) => line.split(",").map(Number));
    expect(events.filter(([j]) => j === 3).length).toBeGreaterThanOrEqual(3);
    // At a peak dy/dt = 0: prey at mortality/(attack (gain − handling mortality)).
    for (const [j, , , x] of events) if (j >= 2) expect(Math.abs(x - 0.125)).toBeLessThan(1e-3);
  });

  it("ends where a component has a value", async () => {
    const { code } = await solve("falling-body", "--event", "x=0,down", "--out", "fall", "--rtol", "1e-6");
    expect(code).toBe(0);
    const [, status, t] = table("fall/trajectories.csv")[1].split(",");
    expect(status).toBe("event");
    // From 10 at g = 8: √(2 · 10/8).
    expect(Math.abs(Number(t) - Math.sqrt(2.5))).toBeLessThan(1e-4);
  });

  it("none of which gets to its end exits with 1", async () => {
    const { code, out } = await solve("lorenz", "--max-steps", "2", "--out", "short");
    expect(code).toBe(1);
    expect(out).toMatch(/max_steps +1/);
  });
});

describe("refusals", () => {
  it("an error in a field's text shows its place", async () => {
    const source = readFileSync(join(examples, "lorenz.wgsl"), "utf8").replace(
      "y[0] * y[1] - p[2]",
      "y[0] * y[3] - p[2]",
    );
    const { code, out, err } = await solve(
      file("broken.wgsl", source),
      "--y0",
      join(examples, "lorenz_y0.csv"),
      "--t1",
      "1",
    );
    expect({ code, out }).toEqual({ code: 2, out: "" });
    const [first, text, caret] = err.trimEnd().split("\n");
    expect(first).toMatch(/^error: broken\.wgsl:11:76: .*out of bounds/);
    expect(text).toMatch(/^ {3}11 \| {3}return State/);
    expect(text[caret.indexOf("^")]).toBe("3");
    expect(readdirSync(dir)).not.toContain("runs/solve-broken");
  });

  it("wrong use is one line", async () => {
    const refused = await Promise.all([
      solve("lorentz"),
      solve("lorenz", "--rtol", "1", "--dt", "1"),
      solve(),
      solve("lorenz", "--save", "grid:0:2:3"),
    ]);
    expect(refused.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    expect(refused.map(({ err }) => err.trimEnd().split("\n").length)).toEqual([1, 1, 1, 1]);
    expect(refused[0].err).toContain("did you mean lorenz?");
    expect(refused[1].err).toContain("cannot be used with");
    expect(refused[2].err).toContain("field: must be given");
    expect(refused[3].err).toContain("times of --save must run from t0 = 0 to t1 = 1, got 2");
  });
});

it("Ctrl-C writes what is finished, and the others as cancelled", async () => {
  const spans = file("spans.csv", `t1\n${"1\n".repeat(200)}${"1e9\n".repeat(200)}`);
  const [child, ended] = start(
    "lorenz",
    "--y0",
    spans,
    "--max-steps",
    "2000000000",
    "--out",
    "stopped",
    "--adapter",
    "swiftshader",
  );
  // It says when it begins; then time for the short ones.
  child.stderr?.once("data", () => setTimeout(() => child.kill("SIGINT"), 1500));
  const { code, out, err } = await ended;
  expect(code).toBe(130);
  expect(err).toContain("Stopped");
  expect(out).toMatch(/done +200\n +cancelled +200\n/);
  const statuses = table("stopped/trajectories.csv")
    .slice(1)
    .map((line) => line.split(",")[1]);
  expect(statuses).toEqual([...new Array(200).fill("done"), ...new Array(200).fill("cancelled")]);
});
