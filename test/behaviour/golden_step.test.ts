import { describe, expect, test } from "vitest";
import { flowSchema } from "../../src/config/flow.ts";
import { GradientFlow } from "../../src/flow/gradient_flow.ts";
import { DensePass } from "../../src/model/dense_pass.ts";
import { DenseStack } from "../../src/model/dense_stack.ts";
import type { DenseLayout } from "../../src/plan/dense.ts";
import { relativeError } from "../support/compare.ts";
import { openTestDevice } from "../support/device.ts";
import { denseFixture, type FlowFixture, f32, fixture } from "../support/fixtures.ts";

const gpu = await openTestDevice();
const EPSILON = 2 ** -24;

const NAMES = [
  "dense_paper_gelu",
  "dense_code_gelu",
  "dense_paper_tanh_ce",
  "dense_sqrt_relu",
  "dense_odd_sizes_softplus",
] as const;
const LAYOUTS: DenseLayout[] = ["rows", "tile", "matmul"];

describe("forward, loss and gradients equal PyTorch's in float64", () => {
  for (const name of NAMES)
    for (const layout of LAYOUTS)
      test(`${name}, ${layout}`, async () => {
        const { file, shape, loss, rows } = denseFixture(name);
        const stack = DenseStack.create(gpu, shape, {
          A: f32(file.A),
          V: f32(file.V),
          W: f32(file.W),
          B: f32(file.B),
          tied: false,
        });
        const targets = loss === "cross-entropy" ? Uint32Array.from(file.labels) : f32(file.Y);
        const data = { inputs: f32(file.X), targets, rows };
        const pass = await DensePass.create(stack, data, loss, { training: true, layout });
        // One Euler step of rate 1 moves every group by minus its gradient times its factor.
        const config = flowSchema.parse({ rate: 1, stop: { steps: 1 } });
        const flow = await GradientFlow.create(stack, pass, config);
        const state = await flow.advance();
        const change = await stack.readChange();
        const L = shape.depth;
        // Sums of q·m products a layer, carried over L layers: each rounding enters at most once a layer.
        const bound = EPSILON * (shape.width + shape.hidden) * 8;
        expect(relativeError([state.loss], [file.loss])).toBeLessThan(bound);
        expect(relativeError(await gpu.read(pass.output, 0, 4 * rows * shape.outputs), file.output.data)).toBeLessThan(
          bound,
        );
        expect(relativeError(await pass.readStates(), file.states.data)).toBeLessThan(bound);
        for (const [key, gradient, factor] of [
          ["A", file.dA, 1],
          ["V", file.dV, L],
          ["W", file.dW, L],
          ["B", file.dB, 1],
        ] as const)
          expect
            .soft(
              relativeError(
                change[key].map((x) => -x / factor),
                gradient.data,
              ),
              key,
            )
            .toBeLessThan(bound);
        flow.destroy();
        pass.destroy();
        stack.destroy();
      });
});

describe("gradient flow equals PyTorch's in float64", () => {
  for (const name of ["flow_L8", "flow_L128"])
    test(name, async () => {
      const file = fixture<FlowFixture>(name);
      const { n, d, m, L, steps, lr } = file.config;
      const identity = new Float32Array(d * d);
      for (let i = 0; i < d; i++) identity[i * d + i] = 1;
      const shape = {
        inputs: d,
        width: d,
        hidden: m,
        outputs: d,
        depth: L,
        activation: "gelu",
        widthFactors: "code",
        beta: 1,
      } as const;
      const stack = DenseStack.create(gpu, shape, {
        A: identity,
        B: identity,
        V: new Float32Array(d * m),
        W: f32(file.W0),
        tied: true,
      });
      const pass = await DensePass.create(
        stack,
        { inputs: f32(file.X), targets: f32(file.Y), rows: n },
        "mean-square",
        {
          training: true,
        },
      );
      const flow = await GradientFlow.create(
        stack,
        pass,
        flowSchema.parse({ rate: lr, stop: { steps }, trained: { A: false, Z: true, B: false } }),
      );
      const losses: number[] = [];
      for (let step = 0; step < steps; step++) losses.push((await flow.advance({ steps: 1 })).loss);
      expect(relativeError(losses, file.losses)).toBeLessThan(2e-6);
      const change = await stack.readChange();
      const norm = (x: Float32Array) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
      expect(relativeError([norm(change.W)], [file.W_change_norm])).toBeLessThan(1e-5);
      expect(relativeError([norm(change.V)], [file.V_norm])).toBeLessThan(1e-5);
      flow.destroy();
      pass.destroy();
      stack.destroy();
    });
});
