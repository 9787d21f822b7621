// deeplimit's convolutional stack, in the same protocol as its peers: one step of SGD or one forward pass, waited for.
import { createRequire } from "node:module";
import { ConvPass, ConvStack, Recorder } from "../../dist/index.js";
import { openNode } from "../../dist/node.js";
import { measure, readOptions, reportMissing } from "./protocol.mjs";
import { adapterName } from "./webgpu_env.mjs";

const options = readOptions(["webgpu"]);
const { depth, shape, images, rate, momentum, weightDecay, pixels, labels, parameters } = options.data;
const gpu = await openNode({ adapter: options.adapter }).then(
  (opened) => opened.gpu,
  (error) => {
    reportMissing("deeplimit", error.message);
    process.exit(0);
  },
);
const layered = /^(conv|bias|scale|shift)[12]$/;
const start = Object.entries(parameters).flatMap(([name, numbers]) =>
  layered.test(name) ? Array.from({ length: depth }, () => numbers).flat() : numbers,
);
const stack = ConvStack.create(gpu, shape, Float32Array.from(start));
const training = options.task === "training step";
const pass = await ConvPass.create(stack, { images, training: true });
pass.setBatch(Float32Array.from(pixels), Uint32Array.from(labels));
const losses = gpu.tensor("losses", 16);
const recorder = new Recorder(gpu);

async function run(update) {
  pass.forward(recorder, "training");
  pass.encodeLoss(recorder, losses, 0);
  if (update) {
    pass.backward(recorder);
    pass.update(recorder, { rate, momentum, weightDecay });
  }
  const read = recorder.read(losses, 0, 8);
  recorder.submit();
  const loss = new Float32Array(await read)[0];
  // The loss is there before the update.
  if (update) await gpu.settle();
  return loss;
}

const { version } = createRequire(import.meta.url)("../../package.json");
const { forward, backward } = pass.plan.dispatches;
await measure({
  options,
  peer: "deeplimit",
  version,
  device: adapterName(gpu.facts),
  note: `${forward} dispatches forward, ${backward} backward`,
  step: () => run(training),
  evaluate: () => run(false),
});
gpu.close();
process.exit(0);
