import { describe, expect, test } from "vitest";
import { type DigitsConfig, digits } from "../../src/experiment/digits/digits.ts";
import type { CellStore, ExperimentResult } from "../../src/experiment/experiment.ts";
import type { Checkpoint } from "../../src/flow/checkpoint.ts";
import { DEFAULT_PROFILE, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();

/** Cells in memory, through the text that a store on disk would keep. */
function memoryStore() {
  const results = new Map<string, string>();
  const checkpoints = new Map<string, Checkpoint>();
  const store: CellStore = {
    checkpointSeconds: 1e9,
    load: async (id) => {
      const text = results.get(id);
      return text === undefined ? undefined : (JSON.parse(text) as unknown);
    },
    save: async (id, result) => {
      results.set(id, JSON.stringify(result));
      checkpoints.delete(id);
    },
    loadCheckpoint: async (id) => checkpoints.get(id),
    saveCheckpoint: async (id, checkpoint) => {
      checkpoints.set(id, checkpoint);
    },
  };
  return { store, results, checkpoints };
}

interface RunOptions {
  readonly cells?: CellStore;
  readonly check?: boolean;
  /** Aborts once this many layer-steps are done. */
  readonly abortAt?: number;
}

async function run(config: DigitsConfig, { cells = memoryStore().store, check = false, abortAt }: RunOptions = {}) {
  const abort = new AbortController();
  const seen: { done: number; total: number; label: string }[] = [];
  const result = await digits.run({
    gpu,
    config,
    preset: "smoke",
    signal: abort.signal,
    cells,
    check,
    progress: (progress) => {
      seen.push(progress);
      if (abortAt !== undefined && progress.done >= abortAt) abort.abort();
    },
  });
  return { result, seen };
}

function rowsOf(result: ExperimentResult, name: string) {
  const table = result.tables.find((each) => each.name === name);
  if (!table) throw new Error(`no table ${name}`);
  return table.rows;
}

const smoke = digits.presets.smoke;
const cases = smoke.activations.length * smoke.initialisations.length * smoke.depths.length * smoke.seeds.length;
const complete = run(smoke, { check: true });

describe("the smoke preset", () => {
  test("finishes, with every row its tables promise", async () => {
    const { result, seen } = await complete;
    expect(result.status).toBe("done");
    const training = rowsOf(result, "training");
    const perCell = training.length / cases;
    expect(Number.isInteger(perCell)).toBe(true);
    expect(new Set(training.map((row) => row.step))).toContain(smoke.steps);
    expect(rowsOf(result, "smoothness")).toHaveLength(2 * cases);
    expect(rowsOf(result, "weights-by-depth")).toHaveLength(4 * 2 * smoke.depths.at(-1)!);
    expect(rowsOf(result, "slopes")).toHaveLength(2 * 4);
    expect(rowsOf(result, "smoothness-by-depth")).toHaveLength(2 * 4 * smoke.depths.length);
    for (const { columns, rows } of result.tables)
      for (const row of rows) expect(Object.keys(row).sort()).toEqual(columns.map(({ name }) => name).sort());
    expect(seen.at(-1)!.done).toBe(seen.at(-1)!.total);
    expect(seen.at(-1)!.total).toBe(digits.plan(smoke, SOFTWARE_PROFILE).layerSteps);
  });

  test("records what the theory fixes exactly: equal layers before training from a tied start, and after one step", async () => {
    const { result } = await complete;
    for (const row of rowsOf(result, "training").filter(
      ({ initialisation, step }) => initialisation === "tied" && (step as number) <= 1,
    )) {
      expect(row.max_step_W).toBe(0);
      expect(row.max_step_V).toBe(0);
    }
  });

  test("learns: the loss falls and accuracy rises above chance in every case", async () => {
    const { result } = await complete;
    const claims = new Map(result.claims.map((claim) => [claim.id, claim]));
    expect(claims.get("loss-falls")!.verdict).toBe("holds");
    for (const row of rowsOf(result, "training").filter(({ step }) => step === smoke.steps)) {
      expect(row.loss as number).toBeLessThan(Math.log(10) / 2);
      expect(row.test_accuracy as number).toBeGreaterThan(0.3);
    }
  });

  test("tells independent layers from a function of depth", async () => {
    const { result } = await complete;
    for (const row of rowsOf(result, "smoothness")) {
      const rough = row.roughness as number;
      // 1 is expected of independent layers; 512 entries over 4 layers scatter by about 0.03.
      if (row.initialisation === "iid" && row.family === "W") expect(Math.abs(rough - 1)).toBeLessThan(0.15);
      // A straight line has 6 / (L (L + 1)); a curve may have some times that.
      if (row.initialisation === "tied" && row.activation === "gelu") {
        const depth = row.depth as number;
        expect(rough).toBeLessThan((2 * 6) / (depth * (depth + 1)));
      }
    }
  });

  test("has a verdict, a number and a range in every claim, and agrees with float64", async () => {
    const { result } = await complete;
    const ids = result.claims.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ["gelu-tied-w-slope", "gelu-iid-w-slope", "relu-tied-w-slope", "gelu-tied-pl-uniform"])
      expect(ids).toContain(id);
    for (const { id, measured, passes } of result.claims) {
      expect(measured, id).not.toBeNull();
      expect(passes.min ?? passes.max, id).toBeDefined();
    }
    for (const claim of result.claims.filter(({ id }) => id.startsWith("check-"))) expect(claim.verdict).toBe("holds");
    expect(ids.filter((id) => id.startsWith("check-"))).toHaveLength(2);
  });

  test("draws only from columns that exist, and from rows that are there", async () => {
    const { result } = await complete;
    for (const figure of result.figures) {
      const rows = rowsOf(result, figure.table).filter((row) =>
        Object.entries(figure.where ?? {}).every(([key, value]) => row[key] === value),
      );
      expect(rows.length, figure.name).toBeGreaterThan(0);
      for (const axis of [figure.x, figure.y, figure.color, figure.columnFacet, figure.rowFacet])
        if (axis) expect(rows[0], figure.name).toHaveProperty(axis.field);
    }
  });
});

describe("repeated, stopped and resumed", () => {
  const config: DigitsConfig = { ...smoke, depths: [4, 8], seeds: [0] };
  const whole = run(config);

  test("a second run has the same bits", async () => {
    const again = await run(config);
    expect(again.result.tables).toEqual((await whole).result.tables);
    expect(again.result.claims).toEqual((await whole).result.claims);
  });

  test("a cancelled run says so, decides nothing it cannot, and continues to the same rows", async () => {
    const { store, results, checkpoints } = memoryStore();
    const total = digits.plan(config, SOFTWARE_PROFILE).layerSteps;
    const stopped = await run(config, { cells: store, abortAt: total / 2 });
    expect(stopped.result.status).toBe("cancelled");
    expect(stopped.result.statusDetail).toMatch(/L=/);
    expect(results.size).toBeGreaterThan(0);
    expect(results.size).toBeLessThan(8);
    expect(checkpoints.size).toBeLessThanOrEqual(1);
    const slope = stopped.result.claims.find(({ id }) => id === "relu-iid-w-slope")!;
    expect(slope.verdict).toBe("not decided");
    expect(slope.note).toMatch(/missing/);

    const resumed = await run(config, { cells: store });
    expect(resumed.result.status).toBe("done");
    expect(resumed.result.tables).toEqual((await whole).result.tables);
    expect(resumed.result.claims).toEqual((await whole).result.claims);
  });

  test("a run stopped in the middle of a training continues it from its checkpoint", async () => {
    const { store, checkpoints } = memoryStore();
    // The first training's own layer-steps are 4 · 20: after 40 it is half way.
    const stopped = await run(config, { cells: store, abortAt: 40 });
    expect(stopped.result.status).toBe("cancelled");
    expect([...checkpoints.keys()]).toEqual(["gelu-tied-L4-seed0"]);
    const resumed = await run(config, { cells: store });
    expect(resumed.result.tables).toEqual((await whole).result.tables);
  });

  test("a diverging training is a status, and the others still run", async () => {
    // η = 1e4 throws the weights far out; the squared states overflow within a few steps.
    const wild: DigitsConfig = { ...config, depths: [4], activations: ["gelu"], rate: 1e4, widthFactors: "code" };
    const { result } = await run(wild);
    expect(result.status).toBe("diverged");
    expect(result.statusDetail).toMatch(/step \d+/);
    expect(rowsOf(result, "training").some(({ initialisation }) => initialisation === "iid")).toBe(true);
    expect(result.claims.find(({ id }) => id === "gelu-tied-test-accuracy")!.verdict).toBe("not decided");
  });
});

describe("plan and schema", () => {
  test("every preset is valid and plans within the smallest device", () => {
    for (const preset of Object.values(digits.presets)) {
      expect(digits.schema.safeParse(preset).success).toBe(true);
      const plan = digits.plan(preset, DEFAULT_PROFILE);
      expect(plan.trainings).toHaveLength(4 * preset.depths.length);
      expect(plan.peakBytes).toBeGreaterThan(0);
      expect(plan.layerSteps).toBe(
        plan.trainings.reduce((sum, { count, steps, label }) => {
          const depth = Number(/L=(\d+)/.exec(label)![1]);
          return sum + count * steps * depth;
        }, 0),
      );
    }
  });

  test("more rows than images, decreasing depths and repeated seeds are refused", () => {
    for (const bad of [{ trainRows: 1400, testRows: 398 }, { depths: [16, 8] }, { seeds: [1, 1] }])
      expect(digits.schema.safeParse({ ...smoke, ...bad }).success).toBe(false);
  });
});
