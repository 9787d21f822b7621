// deeplimit itself, in the same protocol as its peers: one GradientFlow step, waited for after each.
import { createRequire } from "node:module";
import { DensePass, DenseStack, flowSchema, GradientFlow } from "../../dist/index.js";
import { openNode } from "../../dist/node.js";
import { measure, readOptions, reportMissing } from "./protocol.mjs";
import { adapterName } from "./webgpu_env.mjs";

const options = readOptions(["webgpu"]);
const { n, d, m, depth, eta, X, Y, W0 } = options.data;
const gpu = await openNode({ adapter: options.adapter }).then(
  (opened) => opened.gpu,
  (error) => {
    reportMissing("deeplimit", error.message);
    process.exit(0);
  },
);
const identity = new Float32Array(d * d);
for (let i = 0; i < d; i++) identity[i * d + i] = 1;
const shape = {
  inputs: d,
  width: d,
  hidden: m,
  outputs: d,
  depth,
  activation: "gelu",
  widthFactors: "code",
  beta: 1,
};
const stack = DenseStack.create(gpu, shape, {
  A: identity,
  B: identity,
  V: new Float32Array(d * m),
  W: W0,
  tied: true,
});
const pass = await DensePass.create(stack, { inputs: X, targets: Y, rows: n }, "mean-square", { training: true });
const flow = await GradientFlow.create(
  stack,
  pass,
  flowSchema.parse({ rate: eta, stop: { steps: 1e9 }, trained: { A: false, Z: true, B: false } }),
);
const { version } = createRequire(import.meta.url)("../../package.json");

await measure({
  options,
  peer: "deeplimit",
  version,
  device: adapterName(gpu.facts),
  note: `layout ${pass.plan.layout}`,
  step: async () => (await flow.advance({ steps: 1 })).loss,
  evaluate: async () => (await flow.advance({ steps: 1 })).loss,
});
gpu.close();
process.exit(0);
