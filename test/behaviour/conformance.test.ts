import { expect, test } from "vitest";
import { type ConformanceConfig, groupsOf, suits } from "../../src/experiment/conformance/config.ts";
import { conformance } from "../../src/experiment/conformance/conformance.ts";
import { PROBLEMS } from "../../src/experiment/conformance/problems.ts";
import type { CellStore, Experiment } from "../../src/experiment/experiment.ts";
import type { Cell, Claim } from "../../src/experiment/record.ts";
import type { WorkPrecisionConfig } from "../../src/experiment/work_precision/config.ts";
import { workPrecision } from "../../src/experiment/work_precision/work_precision.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();

function memoryStore(): CellStore & { readonly finished: Map<string, string> } {
  const finished = new Map<string, string>();
  return {
    finished,
    checkpointSeconds: 3600,
    load: async (id) => (finished.has(id) ? JSON.parse(finished.get(id)!) : undefined),
    save: async (id, result) => {
      finished.set(id, JSON.stringify(result));
    },
    loadCheckpoint: async () => undefined,
    saveCheckpoint: async () => {},
  };
}

/** Runs, aborting after that many calls of progress. */
async function run<C>(experiment: Experiment<C>, config: C, cells: CellStore = memoryStore(), abortAfter?: number) {
  const controller = new AbortController();
  let calls = 0;
  const result = await experiment.run({
    gpu,
    config,
    preset: "smoke",
    signal: controller.signal,
    cells,
    check: false,
    progress: ({ done, total }) => {
      expect(done).toBeLessThanOrEqual(total);
      if (++calls === abortAfter) controller.abort();
    },
  });
  const rows = (table: string): readonly Record<string, Cell>[] =>
    result.tables.find(({ name }) => name === table)!.rows;
  const claim = (id: string): Claim => result.claims.find((candidate) => candidate.id === id)!;
  return { ...result, rows, claim };
}

const tiny: ConformanceConfig = {
  problems: ["A1", "N1", "lorenz-t-1", "pendulum", "robertson-t-1"],
  methods: ["tsit5", "rk4", "leapfrog", "rodas5p"],
  tolerances: [1e-3, 1e-5],
  steps: [200],
  largestDimension: 10,
};

test("conformance: every claim holds on a few problems of every kind, and its rows are those asked for", async () => {
  const { status, rows, claims, figures, tables, claim } = await run(conformance, tiny);
  expect(status).toBe("done");
  for (const { id, verdict } of claims)
    expect([id, verdict]).toEqual([id, id === "detest-order-3" ? "not decided" : "holds"]);
  expect(claims.map(({ id }) => id)).toEqual([
    ...["finished", "error-tsit5", "error-rodas5p", "detest-order-4", "detest-order-3", "float32-fixed"],
    ...["step-counts", "invariants", "neighbours", "order-conditions", "convergence"],
  ]);
  const solved = rows("solves").map(({ problem, method, tolerance }) => `${problem} ${method} ${tolerance}`);
  expect(solved.length).toBe(2 * 4 + 4 + 1 + 2 * 5);
  expect(solved).toContain("robertson-t-1 rodas5p 0.00001");
  expect(solved.some((row) => /robertson.*(tsit5|rk4)/.test(row))).toBe(false);
  // The emulation on the CPU takes the very steps of the device.
  for (const { problem, method, emulated, accepted, tolerance } of rows("solves"))
    if (method === "tsit5" && tolerance === 1e-3 && emulated !== null)
      expect([problem, accepted]).toEqual([problem, emulated]);
  expect(claim("neighbours").note).toBe("of 18");
  expect(rows("orders").map(({ method }) => method)).toEqual(tiny.methods);
  for (const { name, table } of figures) expect([name, tables.some((one) => one.name === table)]).toEqual([name, true]);
});

test("conformance: errors that are too large fail", async () => {
  const cells = memoryStore();
  const config: ConformanceConfig = { ...tiny, problems: ["A1"], methods: ["tsit5"] };
  await run(conformance, config, cells);
  const spoiled = JSON.parse(cells.finished.get("tsit5_exponential")!);
  Object.assign(spoiled[0], { error: 2 * spoiled[0].bound, accepted: 999, status: "dt_min", sameBits: false });
  cells.finished.set("tsit5_exponential", JSON.stringify(spoiled));
  const { claims } = await run(conformance, config, cells);
  expect(claims.filter(({ verdict }) => verdict === "fails").map(({ id }) => id)).toEqual([
    ...["finished", "error-tsit5", "step-counts", "neighbours"],
  ]);
});

test("conformance: a stopped run says so, and the next one goes on from its cells", async () => {
  const cells = memoryStore();
  const config: ConformanceConfig = { ...tiny, problems: ["A1", "N1"], methods: ["tsit5"] };
  const stopped = await run(conformance, config, cells, 1);
  expect([stopped.status, cells.finished.size]).toEqual(["cancelled", 1]);
  const resumed = await run(conformance, config, cells);
  expect([resumed.status, cells.finished.size]).toEqual(["done", 3]);
  expect(resumed.rows("solves")).toEqual((await run(conformance, config)).rows("solves"));
});

test("every problem has a method of every preset that solves it, but for those too large", () => {
  const { paper, reduced } = conformance.presets;
  for (const { id } of PROBLEMS) {
    const solves = (config: ConformanceConfig) => groupsOf(config).filter((g) => g.problems.some((p) => p.id === id));
    expect([id, solves(paper).length > 0]).toEqual([id, true]);
    expect([id, solves(reduced).length > 0]).toEqual([id, id !== "C4"]);
  }
  const problem = (id: string) => PROBLEMS.find((candidate) => candidate.id === id)!;
  expect(suits(problem("robertson-t-1"), "tsit5")).toBe(false);
  expect(suits(problem("B2"), "leapfrog")).toBe(false);
  expect(suits(problem("C4"), "rodas5p")).toBe(false);
});

test("work-precision: errors fall with the tolerance, and high order takes fewer evaluations", async () => {
  const config: WorkPrecisionConfig = {
    ...workPrecision.presets.smoke,
    trajectories: 70,
    problems: ["lorenz", "robertson"],
    methods: ["bosh3", "tsit5", "rosenbrock23"],
  };
  const { status, rows, claim, claims } = await run(workPrecision, config);
  expect(status).toBe("done");
  for (const id of ["finished", "error-falls", "evaluations-tsit5"])
    expect([id, claim(id).verdict]).toEqual([id, "holds"]);
  expect(claims.length).toBe(3);
  const measured = rows("points").filter(({ kind }) => kind === "measured");
  expect(measured.length).toBe(3 * config.tolerances.length);
  for (const { time, lower, upper } of measured) {
    expect(time as number).toBeGreaterThan(0);
    expect((lower as number) <= (time as number) && (time as number) <= (upper as number)).toBe(true);
  }
  const floor = rows("points").find(({ kind, problem }) => kind !== "measured" && problem === "lorenz")!
    .error as number;
  // Fixed steps of tsit5 emulated in float32 have a floor of 0.1e-6 to 2e-6.
  expect(floor).toBeGreaterThan(1e-7);
  expect(floor).toBeLessThan(2e-6);
});
