// TensorFlow.js: a loop over layers, automatic differentiation and its own SGD.
import { createRequire } from "node:module";
import path from "node:path";
import { cpuName, INSTALL_HINT, importInstalled, measure, readOptions, reportMissing } from "./protocol.mjs";
import { installWebgpu } from "./webgpu_env.mjs";

const options = readOptions(["webgpu", "wasm", "cpu"]);
const { backend } = options;
const peer = `tfjs-${backend}`;

function stopAsMissing(reason) {
  reportMissing(peer, reason);
  process.exit(0);
}

async function need(name) {
  return (await importInstalled(name)) ?? stopAsMissing(`${name} is not installed: ${INSTALL_HINT}`);
}

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

const { n, d, m, depth, eta, X, Y, W0 } = options.data;
const x = tf.tensor2d(X, [n, d]);
const y = tf.tensor2d(Y, [n, d]);
const weights = [];
for (let k = 0; k < depth; k++) {
  // Stored transposed, so that a layer is gelu(h W) V without a transpose.
  const w = tf.tidy(() => tf.variable(tf.tensor2d(W0, [m, d]).transpose()));
  weights.push({ w, v: tf.variable(tf.zeros([m, d])) });
}
const optimizer = tf.train.sgd(depth * eta);

function gelu(z) {
  return z.mul(0.5).mul(z.mul(Math.SQRT1_2).erf().add(1));
}

function loss() {
  let h = x;
  for (const { w, v } of weights)
    h = h.add(
      gelu(h.matMul(w))
        .matMul(v)
        .mul(1 / depth),
    );
  return h.sub(y).square().mean();
}

async function read(scalar) {
  const [value] = await scalar.data();
  scalar.dispose();
  return value;
}

function wasmFeatures() {
  const has = (flag) => (tf.env().getBool(flag) ? "with" : "without");
  return `, wasm ${has("WASM_HAS_SIMD_SUPPORT")} SIMD, ${has("WASM_HAS_MULTITHREAD_SUPPORT")} threads`;
}

await measure({
  options,
  peer,
  version: tf.version["tfjs-core"],
  device,
  note: `exact GELU built from tf.erf, tf.train.sgd${backend === "wasm" ? wasmFeatures() : ""}`,
  // Reading the loss after the update was submitted waits for the whole step: a WebGPU queue is in order.
  step: () => read(optimizer.minimize(loss, true)),
  evaluate: () => read(tf.tidy(loss)),
});
process.exit(0); // a live WebGPU device would keep Node running
