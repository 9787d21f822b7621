import { describe, expect, test } from "vitest";
import type { FlowInput } from "../../src/config/flow.ts";
import type { FlowState } from "../../src/flow/gradient_flow.ts";
import { Measurements } from "../../src/flow/measurements.ts";
import { checkpointTraining, restoreTraining } from "../../src/flow/training_checkpoint.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { DensePass } from "../../src/model/dense_pass.ts";
import { type CanonicalWeights, DenseStack } from "../../src/model/dense_stack.ts";
import type { DenseChoice } from "../../src/plan/tuning.ts";
import { relativeError } from "../support/compare.ts";
import { type DenseProblem, denseProblem, gradientBound, referenceFlow } from "../support/dense_problem.ts";
import { openTestDevice } from "../support/device.ts";
import { replicaFlow } from "../support/replicas.ts";

const gpu = await openTestDevice();
const KEYS = ["A", "V", "W", "B"] as const;
const REPLICAS = 3;
/** Tiles of fewer rows than there are, so that a replica has several workgroups and the last one is padded. */
const CHOICES: readonly DenseChoice[] = [
  { layout: "rows", rows: 1 },
  { layout: "tile", rows: 2, gradientRows: 2, gradientUnits: 3 },
];
const ODD = { width: 3, hidden: 7, depth: 6 };

function problemsOf(tied = true, loss: DenseProblem["loss"] = "squared-norm"): DenseProblem[] {
  return Array.from({ length: REPLICAS }, (_, r) => denseProblem(ODD, { rows: 5, tied, loss, seed: 5 + r }));
}
const bits = (weights: CanonicalWeights) =>
  KEYS.map((key) => [...new Uint32Array(weights[key].buffer, weights[key].byteOffset, weights[key].length)]);

interface Settings {
  readonly betas?: readonly number[];
  readonly rates?: readonly number[];
  readonly choice?: DenseChoice;
  /** Three layers a dispatch. */
  readonly segmented?: boolean;
}

/** Changes, states and measurements of problems that run side by side. */
async function run(problems: readonly DenseProblem[], input: FlowInput, settings: Settings) {
  const { betas, rates, choice, segmented } = settings;
  const plan = {
    ...(choice && { choice }),
    ...(segmented && { timeBudgetMs: 3, nanosecondsPerLayer: 1e6 }),
  };
  const { stack, pass, flow, destroy } = await replicaFlow(gpu, problems, input, {
    ...(betas && { betas }),
    ...(rates && { rates }),
    plan,
  });
  const losses: number[][] = [];
  let state: FlowState = flow.state;
  for (let step = 0; step < input.stop.steps && state.status === "running"; step++) {
    state = await flow.advance({ steps: 1 });
    losses.push(state.replicas.map(({ loss }) => loss));
  }
  const measure = await Measurements.create(stack);
  const depths = await measure.depths(flow.recorder);
  const gradients = await measure.gradients(flow.recorder, pass, { A: true, Z: true, B: true });
  const evaluated = await measure.losses(flow.recorder, pass);
  const changes = [];
  for (let r = 0; r < stack.replicas; r++) changes.push(await stack.readChange(r));
  const weights = await stack.readWeights(stack.replicas - 1);
  const segments = pass.plan.segments.length;
  measure.destroy();
  destroy();
  return { state, losses, depths, gradients, evaluated, changes, weights, segments };
}

/** Each replica has the bits of its own run: the rows of a replica are summed in the order of a single stack's. */
async function expectAlone(problems: readonly DenseProblem[], input: FlowInput, settings: Settings = {}) {
  const { betas, rates, ...rest } = { choice: CHOICES[0], ...settings };
  const together = await run(problems, input, { ...rest, ...(betas && { betas }), ...(rates && { rates }) });
  for (const [r, problem] of problems.entries()) {
    const own = { ...problem, shape: { ...problem.shape, beta: betas?.[r] ?? problem.shape.beta } };
    const alone = await run([own], { ...input, rate: rates?.[r] ?? input.rate }, rest);
    expect(bits(together.changes[r])).toEqual(bits(alone.changes[0]));
    expect(together.losses.map((losses) => losses[r])).toEqual(alone.losses.map(([loss]) => loss));
    for (const what of ["depths", "gradients", "evaluated"] as const) expect(together[what][r]).toEqual(alone[what][0]);
  }
  return together;
}

const betas = [1, 0.5, 0.75];
const rates = [0.1, 0.05, 0.2];

describe.each(CHOICES)("$layout", (choice) => {
  test.each([true, false])("replicas with data, β and rates of their own equal float64, tied %s", async (tied) => {
    const problems = problemsOf(tied);
    const input: FlowInput = { rate: 0.1, stop: { steps: 3 } };
    const actual = await run(problems, input, { betas, rates, choice, segmented: true });
    expect(actual.segments).toBeGreaterThan(1);
    for (const [r, problem] of problems.entries()) {
      const own = { ...problem, shape: { ...problem.shape, beta: betas[r] } };
      const expected = referenceFlow(own, { ...input, rate: rates[r] }, 3);
      // Three steps: the error of each gradient enters the next ones (as in flow.test.ts).
      const bound = 4 * gradientBound(problem);
      expect(
        relativeError(
          actual.losses.map((losses) => losses[r]),
          expected.losses,
        ),
      ).toBeLessThan(bound);
      for (const key of KEYS)
        expect.soft(relativeError(actual.changes[r][key], expected.change[key]), key).toBeLessThan(bound);
      if (r === REPLICAS - 1)
        for (const key of KEYS) expect(relativeError(actual.weights[key], expected.weights[key])).toBeLessThan(bound);
    }
  });

  test("a replica has the bits of its own run", async () => {
    await expectAlone(problemsOf(), { rate: 0.1, stop: { steps: 3 } }, { betas, rates, choice, segmented: true });
  });
});

describe("whatever moves the weights, a replica has the bits of its own run", () => {
  test.each([
    ["adam, cosine schedule", { optimiser: "adam", schedule: { kind: "cosine", total: 7 } }, true],
    ["momentum, factors of groups and of V, W", momentum(), true],
    ["coordinate clip", { clip: { kind: "coordinate", bound: 0.1 } }, true],
    ["norm clip", { clip: { kind: "norm", bound: 0.2 } }, true],
    ["heun, norm clip", { method: "heun", clip: { kind: "norm", bound: 0.2 } }, false],
    ["rk4, only Z trained", { method: "rk4", trained: { A: false, Z: true, B: false } }, false],
  ] satisfies [string, Partial<FlowInput>, boolean][])("%s", async (_, partial, own) => {
    const problems = problemsOf(false, "cross-entropy");
    await expectAlone(problems, { rate: 0.1, stop: { steps: 3 }, ...partial }, own ? { betas, rates } : { betas });
  });

  function momentum(): Partial<FlowInput> {
    return {
      optimiser: "momentum",
      weightDecay: 0.01,
      groupRates: { A: 0.3, Z: 1, B: 2 },
      layerFactors: { V: 0.7, W: 1.3 },
    };
  }
});

test("one set of rows for all is that set for each", async () => {
  const problems = problemsOf().map((problem, _, [first]) => ({ ...problem, data: first.data }));
  const { shape, loss, data } = problems[0];
  const stack = DenseStack.create(
    gpu,
    shape,
    problems.map(({ initial }) => initial),
  );
  const outputs = [];
  for (const rows of [data, problems.map((problem) => problem.data)]) {
    const pass = await DensePass.create(stack, rows, loss, { training: true });
    const measure = await Measurements.create(stack);
    const recorder = new Recorder(gpu);
    await measure.losses(recorder, pass);
    outputs.push(await gpu.read(pass.output, 0, 4 * REPLICAS * data.rows * shape.outputs));
    recorder.destroy();
    measure.destroy();
    pass.destroy();
  }
  expect(outputs[1]).toEqual(outputs[0]);
  stack.destroy();
});

describe("divergence", () => {
  const problems = problemsOf();
  const input: FlowInput = { rate: 0.1, stop: { steps: 12 } };

  test("of one replica leaves the others as they are, and its history says where", async () => {
    const wild = await run(problems, input, { rates: [0.1, 1e12, 0.1] });
    const calm = await run(problems, input, {});
    expect(wild.state.status).toBe("done");
    expect(wild.state.replicas.map(({ status }) => status)).toEqual(["done", "diverged", "done"]);
    const { step, loss } = wild.state.replicas[1].divergedAt!;
    expect(step).toBeGreaterThan(0);
    expect(step).toBeLessThan(12);
    expect(Number.isFinite(loss)).toBe(false);
    expect(Number.isFinite(wild.state.replicas[1].loss)).toBe(true);
    expect(Number.isFinite(wild.state.loss)).toBe(true);
    for (const r of [0, 2]) {
      expect(bits(wild.changes[r])).toEqual(bits(calm.changes[r]));
      expect(wild.depths[r]).toEqual(calm.depths[r]);
      expect(wild.gradients[r]).toEqual(calm.gradients[r]);
    }
  });

  test("of all replicas is the run's, at the last one's step whatever the batch", async () => {
    const wildRates = { rates: [1e12, 1e6, 1e12] };
    const steps = await run(problems, { ...input, stop: { steps: 40 } }, wildRates);
    const { flow, destroy } = await replicaFlow(gpu, problems, { ...input, stop: { steps: 40 } }, wildRates);
    const state = await flow.advance();
    expect(state.status).toBe("diverged");
    expect(state).toEqual(steps.state);
    expect(state.step).toBe(Math.max(...state.replicas.map(({ divergedAt }) => divergedAt!.step)));
    expect(state.divergedAt!.step).toBe(state.step);
    expect((await flow.advance()).step).toBe(state.step);
    destroy();
  });
});

test("a checkpoint of all replicas continues bit by bit, one of them diverged", async () => {
  const problems = problemsOf(false);
  const input: FlowInput = {
    optimiser: "momentum",
    rate: 0.05,
    trained: { A: false, Z: true, B: true },
    stop: { steps: 9 },
  };
  const own = { rates: [0.05, 1e12, 0.02] };
  const whole = await run(problems, input, own);
  const first = await replicaFlow(gpu, problems, input, own);
  await first.flow.advance({ steps: 6 });
  const checkpoint = await checkpointTraining(first.stack, first.flow);
  expect(checkpoint.tensors["change.V"].shape).toEqual([REPLICAS, 6, 3, 7]);
  first.destroy();
  const second = await replicaFlow(gpu, problems, input, own);
  restoreTraining(second.stack, second.flow, checkpoint, "test");
  const state = await second.flow.advance();
  expect(state).toEqual(whole.state);
  expect(state.replicas[1].status).toBe("diverged");
  for (const r of [0, 2]) expect(bits(await second.stack.readChange(r))).toEqual(bits(whole.changes[r]));
  second.destroy();
});

test("what replicas cannot do is said", async () => {
  const problems = problemsOf();
  const stop = { steps: 1 };
  const start = (input: FlowInput, options = {}) => replicaFlow(gpu, problems, input, options);
  await expect(start({ method: "adaptive", rate: 1, stop })).rejects.toThrow(/method must have fixed steps/);
  await expect(start({ rate: 1, stop: { ...stop, lossBelow: 1 } })).rejects.toThrow(/stop.lossBelow must be absent/);
  await expect(start({ method: "heun", rate: 1, stop }, { rates: [1, 2, 3] })).rejects.toThrow(/rates: must agree/);
  await expect(start({ rate: 1, stop }, { rates: [1] })).rejects.toThrow(/rates must be 3/);
  await expect(start({ rate: 1, stop }, { betas: [1] })).rejects.toThrow(/betas must be 3/);
  await expect(start({ rate: 1, stop }, { plan: { layout: "matmul" } })).rejects.toThrow(/replicas must be 1/);
  const mixed = [problems[0], problemsOf(false)[1]];
  await expect(replicaFlow(gpu, mixed, { rate: 1, stop })).rejects.toThrow(/all tied or none/);
  const { stack, destroy } = await start({ rate: 1, stop });
  const data = [problems[0].data];
  await expect(DensePass.create(stack, data, "squared-norm", { training: true })).rejects.toThrow(/must be 3 sets/);
  destroy();
});
