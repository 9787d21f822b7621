// jax-js: value and gradient of the unrolled stack (the library has no scan), traced once by jit with the update inside.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import {
  cpuName,
  INSTALL_HINT,
  importInstalled,
  LARGE_STACK,
  measure,
  readOptions,
  reportMissing,
} from "./protocol.mjs";
import { installWebgpu } from "./webgpu_env.mjs";

const options = readOptions(["webgpu", "wasm"]);
const { backend } = options;
const peer = `jax-${backend}`;

// Run by hand, this starts itself again with the stack it needs; `deeplimit bench` passes the flag.
if (!process.execArgv.some((flag) => flag.startsWith("--stack-size"))) {
  const child = spawnSync(process.execPath, [LARGE_STACK, ...process.argv.slice(1)], { stdio: "inherit" });
  process.exit(child.status ?? 1);
}

const jax = await importInstalled("@jax-js/jax");
if (jax === undefined) {
  reportMissing(peer, `@jax-js/jax is not installed: ${INSTALL_HINT}`);
  process.exit(0);
}
let device = `${cpuName()}, 1 thread`;
if (backend === "webgpu") {
  const found = await installWebgpu(options.adapter);
  if (found.missing !== undefined) {
    reportMissing(peer, found.missing);
    process.exit(0);
  }
  device = found.device;
}
const ready = await jax.init(backend);
if (!ready.includes(backend))
  throw new Error(`jax-js could not start its ${backend} backend, it has ${ready.join(", ")}`);
jax.defaultDevice(backend);

const { blockUntilReady, jit, nn, numpy: np, valueAndGrad } = jax;
const { n, d, m, depth, eta, X, Y, W0 } = options.data;
const x = np.array(X, { shape: [n, d] });
const y = np.array(Y, { shape: [n, d] });
const w0 = np.array(W0, { shape: [m, d] });
// Per-layer arrays: the gradient of a slice of one [L, m, d] array would be padded to the whole array in each layer.
let weights = { w: [], v: [] };
for (let k = 0; k < depth; k++) {
  weights.w.push(np.transpose(w0.ref).mul(1));
  weights.v.push(np.zeros([m, d]));
}
await blockUntilReady(weights);

// jax-js consumes its arguments: `.ref` where one is used again.
function loss({ w, v }) {
  let h = x.ref;
  for (let k = 0; k < depth; k++) {
    const active = nn.gelu(np.matmul(h.ref, w[k]), { approximate: false });
    h = h.add(np.matmul(active, v[k]).mul(1 / depth));
  }
  return np.mean(np.square(h.sub(y.ref)));
}

const train = jit(function train(current) {
  const [value, gradient] = valueAndGrad(loss)(jaxRef(current));
  const updated = (name) => current[name].map((z, k) => z.sub(gradient[name][k].mul(depth * eta)));
  return [value, { w: updated("w"), v: updated("v") }];
});
function jaxRef(tree) {
  return { w: tree.w.map((z) => z.ref), v: tree.v.map((z) => z.ref) };
}
const lossOnly = jit(loss);

async function read(scalar) {
  const [value] = await scalar.data();
  return value;
}

await measure({
  options,
  peer,
  version: JSON.parse(readFileSync(new URL("../package.json", import.meta.resolve("@jax-js/jax")), "utf8")).version,
  device,
  note: "exact GELU (nn.gelu, approximate: false), whole step under jit",
  step: async () => {
    const [value, next] = train(weights);
    weights = next;
    // Every output of a jitted call waits for all of its kernels, so reading the loss waits for the update as well.
    // blockUntilReady on each of the 2 L weights does the same at a cost quadratic in L (0.1.25, wasm, L = 256: 8 s a step instead of 0.4 s).
    return read(value);
  },
  evaluate: () => read(lossOnly(jaxRef(weights))),
});
process.exit(0); // a live WebGPU device would keep Node running
