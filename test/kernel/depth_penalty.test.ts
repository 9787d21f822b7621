import { describe, expect, test } from "vitest";
import { RandomStream } from "../../src/model/random.ts";
import { depthMean, neighbourDifference } from "../../src/reference/depth_penalty.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();

interface Case {
  readonly depth: number;
  /** vec4 of half a unit, units a layer. */
  readonly half4: number;
  readonly units: number;
  readonly replicas: number;
  readonly tied: boolean;
  readonly squared: boolean;
}
const CASES: readonly Case[] = [
  { depth: 1, half4: 1, units: 1, replicas: 1, tied: true, squared: false },
  { depth: 7, half4: 1, units: 5, replicas: 1, tied: true, squared: false },
  { depth: 2, half4: 2, units: 3, replicas: 1, tied: false, squared: true },
  { depth: 5, half4: 3, units: 3, replicas: 3, tied: false, squared: false },
  { depth: 5, half4: 1, units: 7, replicas: 2, tied: true, squared: true },
];

describe("flow/depth_penalty", () => {
  test.each(CASES)("%o", async ({ depth, half4, units, replicas, tied, squared }) => {
    const layer = 8 * half4 * units;
    const stride = replicas * layer;
    const count = depth * stride;
    const stream = new RandomStream(count, "penalty");
    const change = stream.fillNormal(new Float32Array(count));
    const initial = stream.fillNormal(new Float32Array(tied ? stride : count), count);
    const grad = stream.fillNormal(new Float32Array(count), 2 * count);
    // The last stack's W has layers that are all equal as far as the norms say: no gradient is added to it.
    const squares = Array.from({ length: replicas }, (_, r) => [r === replicas - 1 ? 0 : r + 2, r + 0.5]);
    const norms = Float32Array.from(squares.flatMap(([w, v]) => [...Array<number>(8).fill(99), w!, v!, 99, 99]));
    const weights = { w: 0.3, v: 0.7 };
    const run = () =>
      runKernel(
        gpu,
        "flow/depth_penalty",
        { SQUARED: squared, TIED: tied, LAYER4: layer / 4, HALF4: half4, REPLICAS: replicas },
        { initial, change, norms, grad },
        ["grad"],
        { count4: count / 4, weight_w: weights.w, weight_v: weights.v },
        // Fewer invocations than numbers: the loop turns.
        [1],
      );
    const { grad: sum } = await run();
    const whole = Float64Array.from(change, (value, i) => value + initial[i % initial.length]!);
    for (let i = 0; i < count; i++) {
      const isW = i % (8 * half4) < 4 * half4;
      const [w, v] = squares[Math.floor(i / layer) % replicas]!;
      const square = isW ? w! : v!;
      const weight = isW ? weights.w : weights.v;
      const c = squared ? 2 * weight : square > 0 ? weight / Math.sqrt(square) : 0;
      const exact = neighbourDifference(whole, depth, c, i);
      // Each of the up to four terms is rounded in its difference, in the sum and in the product; then the sum with the gradient.
      const tolerance = 8 * EPSILON * (exact.size + Math.abs(grad[i]!));
      expect(Math.abs(sum![i]! - (grad[i]! + exact.value))).toBeLessThanOrEqual(tolerance);
    }
    expect((await run()).grad).toEqual(sum);
  });

  test("what tied layers share is lost to no rounding: a difference of 2⁻³⁰ is felt beside an initial value of 1", async () => {
    const layer = 8;
    const change = new Float32Array(2 * layer).fill(2 ** -30, layer);
    const { grad } = await runKernel(
      gpu,
      "flow/depth_penalty",
      { SQUARED: true, TIED: true, LAYER4: layer / 4, HALF4: 1, REPLICAS: 1 },
      {
        initial: new Float32Array(layer).fill(1),
        change,
        norms: new Float32Array(12),
        grad: new Float32Array(2 * layer),
      },
      ["grad"],
      { count4: (2 * layer) / 4, weight_w: 1, weight_v: 1 },
      [1],
    );
    expect([...grad!]).toEqual([...Array<number>(layer).fill(-(2 ** -29)), ...Array<number>(layer).fill(2 ** -29)]);
  });
});

describe("flow/depth_mean", () => {
  test.each([
    { depth: 1, stride: 4 },
    { depth: 7, stride: 4 * 67 },
  ])("%o", async ({ depth, stride }) => {
    const grad = new RandomStream(depth, "mean").fillNormal(new Float32Array(depth * stride));
    const run = () => runKernel(gpu, "flow/depth_mean", {}, { grad }, ["grad"], { depth, stride4: stride / 4 }, [1]);
    const { grad: mean } = await run();
    for (let i = 0; i < grad.length; i++) {
      const exact = depthMean(grad, depth, i);
      expect(Math.abs(mean![i]! - exact.value)).toBeLessThanOrEqual((depth + 1) * EPSILON * exact.size);
      expect(mean![i]).toBe(mean![i % stride]);
    }
    expect((await run()).grad).toEqual(mean);
  });
});
