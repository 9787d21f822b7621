import { afterEach, describe, expect, test } from "vitest";
import { tune } from "../../src/benchmark/tune.ts";
import { lossTolerance } from "../../src/benchmark/tune_decisions.ts";
import type { FlowInput } from "../../src/config/flow.ts";
import { dispatchesPerStep } from "../../src/plan/dense.ts";
import { type DenseChoice, shapeClass } from "../../src/plan/tuning.ts";
import { relativeError } from "../support/compare.ts";
import {
  denseProblem,
  deviceFlow,
  gradientBound,
  referenceGradients,
  referenceWeights,
} from "../support/dense_problem.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
afterEach(() => gpu.useTuning([]));

/** One Euler step of rate 1 moves every group by minus its gradient times its factor: compared with float64. */
async function expectRightStep(problem: ReturnType<typeof denseProblem>, choice?: DenseChoice) {
  const input: FlowInput = { rate: 1, stop: { steps: 1 } };
  const { stack, pass, flow, destroy } = await deviceFlow(gpu, problem, input, choice ? { choice } : {});
  const before = flow.recorder.dispatches;
  const { loss } = await flow.advance();
  expect(flow.recorder.dispatches - before).toBe(dispatchesPerStep(pass.plan, flow.config.trained));
  const change = await stack.readChange();
  const { plan } = pass;
  destroy();
  const expected = referenceGradients(problem, referenceWeights(problem));
  const bound = gradientBound(problem);
  expect(relativeError([loss], [expected.loss])).toBeLessThan(bound);
  for (const [key, gradient, factor] of [
    ["A", expected.dA, 1],
    ["V", expected.dV, problem.shape.depth],
    ["W", expected.dW, problem.shape.depth],
    ["B", expected.dB, 1],
  ] as const)
    expect
      .soft(
        relativeError(
          Float64Array.from(change[key], (x) => -x / factor),
          gradient,
        ),
        key,
      )
      .toBeLessThan(bound);
  return { plan, change };
}

test("a step by tiled products equals float64, over more layers than share a dispatch of gradients", async () => {
  const problem = denseProblem({ width: 18, hidden: 35, depth: 18, inputs: 3, outputs: 2 }, { rows: 37 });
  const choice = { layout: "matmul", product: "small" } as const;
  const { plan, change } = await expectRightStep(problem, choice);
  expect(plan.products!.hidden.kernel.name).toBe("dense/matmul_tiled");
  expect(plan.products!.layers).toBeGreaterThan(1);
  expect(plan.products!.layers).toBeLessThan(18);
  expect((await expectRightStep(problem, choice)).change).toEqual(change);
});

describe("under a tuning", () => {
  test("a pass takes the measured choice and gives the right step", async () => {
    const problem = denseProblem({ width: 5, hidden: 6, depth: 4 }, { rows: 9 });
    const choice = { layout: "tile", rows: 2, workgroup: 32, gradientRows: 4, gradientUnits: 4 } as const;
    expect((await expectRightStep(problem)).plan.layout).toBe("rows");
    const measured = { milliseconds: 1, plannedMilliseconds: 2, depth: 8, date: "2026-11-24" };
    gpu.useTuning([{ ...shapeClass(16, 6, 9, true), choice, ...measured }]);
    const { plan } = await expectRightStep(problem);
    expect(plan.choice).toEqual(choice);
    expect(plan.notes.join()).toContain("tuned choice");
  });
});

describe("tune", () => {
  const shape = { width: 4, hidden: 3, rows: 5 };
  const own = { layout: "rows", rows: 1 } as const;

  test("measures every candidate in every round, and takes the fastest if it always is", async () => {
    const lines: string[] = [];
    const choices: DenseChoice[] = [{ layout: "tile" }, own];
    const result = await tune(gpu, shape, {
      depth: 8,
      rounds: 2,
      sampleMs: 1,
      choices,
      onProgress: (line) => lines.push(line),
    });
    expect(result).toMatchObject({ shape, depth: 8, of: shapeClass(16, 3, 5, true) });
    const [tile, rows] = result.candidates;
    expect(Math.abs(tile.loss! - rows.loss!)).toBeLessThanOrEqual(lossTolerance(shape) * rows.loss!);
    for (const { time } of result.candidates) expect(time).toMatchObject({ samples: 2 });
    expect(tile.ratio).toEqual({ median: 1, min: 1, max: 1 });
    // Which is faster is the machine's affair; what follows from it is not.
    if (rows.ratio!.max < 1)
      expect(result.tuned).toMatchObject({ choice: own, depth: 8, milliseconds: expect.any(Number) });
    else expect(result.tuned).toBeUndefined();
    expect(lines.filter((line) => line.startsWith("round"))).toHaveLength(2);
  });

  test("leaves no buffer behind", async () => {
    const before = gpu.bytesInUse;
    await tune(gpu, shape, { depth: 4, rounds: 1, sampleMs: 1, choices: [own] });
    expect(gpu.bytesInUse).toBe(before);
  });
});
