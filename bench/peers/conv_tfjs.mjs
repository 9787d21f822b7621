// TensorFlow.js: the convolutional network by its own operations and automatic differentiation, SGD with momentum.
import { createRequire } from "node:module";
import path from "node:path";
import { cpuName, INSTALL_HINT, importInstalled, measure, readOptions, reportMissing } from "./protocol.mjs";
import { installWebgpu } from "./webgpu_env.mjs";

const options = readOptions(["webgpu", "wasm"]);
const { backend } = options;
const peer = `tfjs-${backend}`;

function stopAsMissing(reason) {
  reportMissing(peer, reason);
  process.exit(0);
}

async function need(name) {
  return (await importInstalled(name)) ?? stopAsMissing(`${name} is not installed: ${INSTALL_HINT}`);
}

if (backend === "wasm" && options.task === "training step")
  stopAsMissing("TensorFlow.js has no gradient of a convolution by its filter (Conv2DBackpropFilter) in WebAssembly");
let device = `${cpuName()}, 1 thread`;
if (backend === "webgpu") {
  const found = await installWebgpu(options.adapter);
  if (found.missing !== undefined) stopAsMissing(found.missing);
  device = found.device;
}
const tf = await need("@tensorflow/tfjs");
if (backend === "webgpu") await need("@tensorflow/tfjs-backend-webgpu");
if (backend === "wasm") {
  const { setWasmPaths } = await need("@tensorflow/tfjs-backend-wasm");
  const entry = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
  setWasmPaths(`${path.join(path.dirname(entry), "dist")}${path.sep}`);
}
if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js could not start its ${backend} backend`);
await tf.ready();

const { depth, shape, images, rate, momentum, weightDecay, pixels, labels, parameters } = options.data;
const { channelsIn, height, width, channels, classes, stem, pool } = shape;
const { epsilon } = shape.normalisation;

/** [out, in, k, k] as TensorFlow.js stores it, [k, k, in, out]. */
function filter(name, inputs, kernel) {
  return tf.tidy(() =>
    tf.variable(tf.transpose(tf.tensor4d(parameters[name], [channels, inputs, kernel, kernel]), [2, 3, 1, 0])),
  );
}
const vector = (name) => tf.variable(tf.tensor1d(parameters[name]));

const ends = { stem: filter("stem", channelsIn, stem.kernel), scale: vector("stemScale"), shift: vector("stemShift") };
const layers = Array.from({ length: depth }, () =>
  ["1", "2"].map((i) => ({
    conv: filter(`conv${i}`, channels, 3),
    bias: vector(`bias${i}`),
    scale: vector(`scale${i}`),
    shift: vector(`shift${i}`),
  })),
);
const side = Math.floor((height + 2 * stem.padding - stem.kernel) / stem.stride) + 1;
const pooled = Math.floor(side / pool);
// Features in the order [channels, height, width]; here channels come last.
const head = tf.tidy(() =>
  tf.variable(
    tf.tensor4d(parameters.head, [classes, channels, pooled, pooled]).transpose([2, 3, 1, 0]).reshape([-1, classes]),
  ),
);
const headBias = vector("headBias");
const x = tf.tidy(() => tf.tensor4d(pixels, [images, channelsIn, height, width]).transpose([0, 2, 3, 1]));
const y = tf.tidy(() => tf.oneHot(tf.tensor1d(labels, "int32"), classes));
const variables = [
  ends.stem,
  ends.scale,
  ends.shift,
  head,
  headBias,
  ...layers.flat().flatMap((part) => Object.values(part)),
];
const velocities = variables.map((variable) => tf.variable(tf.zerosLike(variable), false));

function norm(z, { scale, shift }) {
  const { mean, variance } = tf.moments(z, [0, 1, 2]);
  return z.sub(mean).mul(variance.add(epsilon).rsqrt().mul(scale)).add(shift);
}

function gelu(z) {
  return z.mul(0.5).mul(z.mul(Math.SQRT1_2).erf().add(1));
}

function lossOf() {
  const { padding } = stem;
  const padded = x.pad([
    [0, 0],
    [padding, padding],
    [padding, padding],
    [0, 0],
  ]);
  let h = norm(tf.conv2d(padded, ends.stem, stem.stride, "valid"), ends).relu();
  for (const [first, second] of layers) {
    const inner = gelu(norm(tf.conv2d(h, first.conv, 1, "same").add(first.bias), first));
    h = h.add(norm(tf.conv2d(inner, second.conv, 1, "same").add(second.bias), second).mul(1 / depth));
  }
  const features = tf.avgPool(h, pool, pool, "valid").reshape([images, -1]);
  return tf.losses.softmaxCrossEntropy(y, features.matMul(head).add(headBias));
}

async function read(scalar) {
  const [value] = await scalar.data();
  scalar.dispose();
  return value;
}

async function step() {
  const before = tf.tidy(() => {
    const { value, grads } = tf.variableGrads(lossOf, variables);
    for (const [i, variable] of variables.entries()) {
      const direction = grads[variable.name].add(variable.mul(weightDecay));
      velocities[i].assign(velocities[i].mul(momentum).add(direction));
      variable.assign(variable.sub(velocities[i].mul(rate)));
    }
    return value;
  });
  const loss = await read(before);
  // The loss is there before the update; what is read last waits for the whole step, as a WebGPU queue is in order.
  await layers.at(-1)[1].shift.data();
  return loss;
}

const evaluate = () => read(tf.tidy(lossOf));
await measure({
  options,
  peer,
  version: tf.version["tfjs-core"],
  device,
  note: "exact GELU built from tf.erf, batch normalisation from tf.moments",
  step: options.task === "training step" ? step : evaluate,
  evaluate,
});
process.exit(0); // a live WebGPU device would keep Node running
