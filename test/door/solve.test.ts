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

it("--cotangents writes the gradient of a loss", async () => {
  const text = `fn vector_field(t: f32, y: State, p: Params) -> State { return State(-p[0] * y[0]); }
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(State(-p[0] * w[0]), Params(-y[0] * w[0]), 0.0);
}
`;
  const field = file("decay.wgsl", `// components: y\n// parameters: k = 0.5\n${text}`);
  const y0 = file("decay_y0.csv", "y\n1\n2\nnan\n");
  const args = [field, "--y0", y0, "--t1", "2", "--steps", "50", "--method", "rk4"];
  const one = file("one.csv", "1\n");
  const [shared, arrays, back, wrong, without] = await Promise.all([
    solve(...args, "--cotangents", one, "--out", "gradient"),
    solve(...args, "--cotangents", one, "--out", "gradient-npy", "--format", "npy"),
    solve(...args, "--cotangents", one, "--out", "gradient-back", "--adjoint", "backsolve"),
    solve(...args, "--cotangents", file("two.csv", "1\n1\n")),
    solve(
      file("plain.wgsl", text.split("\n")[0]),
      "--y0",
      y0,
      "--params",
      file("k.csv", "1\n"),
      "--t1",
      "1",
      "--cotangents",
      one,
    ),
  ]);
  expect(shared.err).toMatch(/^decay\.wgsl/);
  expect(shared.out).toMatch(/gradient +[\d.]+ m?s, without the 1 that did not end \(/);
  const numbers = (name: string) => table("gradient", name).map((line) => line.split(","));
  const initial = numbers("gradient_initial.csv");
  expect(initial[0]).toEqual(["trajectory", "y"]);
  for (const j of [0, 1]) expect(Number(initial[1 + j][1])).toBeCloseTo(Math.exp(-1), 5);
  expect(initial[3]).toEqual(["2", "nan"]);
  // Of both: −t (1 + 2) e^{−k t}.
  const [header, row] = numbers("gradient_parameters.csv");
  expect(header).toEqual(["k"]);
  expect(Number(row[0])).toBeCloseTo(-6 * Math.exp(-1), 4);
  expect(numbers("gradient_times.csv")[0]).toEqual(["trajectory", "t0", "t1"]);
  expect(Number(numbers("gradient_times.csv")[2][2])).toBeCloseTo(-0.5 * 2 * Math.exp(-1), 5);
  const summary = JSON.parse(readFileSync(join(dir, "gradient/summary.json"), "utf8"));
  expect(summary.gradient).toMatchObject({ missing: 1 });
  expect(summary.files).toContain("gradient_times.csv");
  expect(arrays.code).toBe(0);
  const { shape, data } = decodeNpy(
    readFileSync(join(dir, "gradient-npy/gradient_initial.npy")),
    "gradient_initial.npy",
  );
  expect(shape).toEqual([3, 1]);
  expect(data[1]).toBe(Math.fround(Number(initial[2][1])));
  expect(back.out).toMatch(/gradient +[\d.]+ m?s, without the 1 that did not end \(.*, states found again\s+to /);
  const solvedBack = table("gradient-back", "gradient_initial.csv").map((line) => Number(line.split(",")[1]));
  for (const j of [0, 1]) expect(solvedBack[1 + j]).toBeCloseTo(Math.exp(-1), 5);
  expect(wrong.err).toContain("two.csv: must have 1 row, or 3, a row a trajectory, got 2");
  expect(without.err).toContain("--adjoint needs a field that declares fn vector_field_vjp");
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
