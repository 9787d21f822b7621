// Plain loops over Float32Array on one thread: what one writes first without a library.
// Forward keeps the states, the activations and gelu'; backward walks the layers once and updates in place.
import { cpuName, measure, readOptions } from "./protocol.mjs";

const options = readOptions(["cpu"]);
const { n, d, m, depth, eta, X, Y, W0 } = options.data;
const rate = depth * eta; // gradient flow of each layer: dZ_k/dt = -L dl/dZ_k

const W = new Float32Array(depth * m * d);
for (let k = 0; k < depth; k++) W.set(W0, k * m * d);
const V = new Float32Array(depth * d * m);
const states = new Float32Array((depth + 1) * n * d);
const active = new Float32Array(depth * n * m);
const slopes = new Float32Array(depth * n * m);
const adjoint = new Float32Array(n * d);
const gradV = new Float64Array(d * m);
const gradW = new Float64Array(m * d);
const gradZ = new Float64Array(m);
states.set(X);

// Abramowitz & Stegun 7.1.26, |error| <= 1.5e-7; exp(-x²) is shared with gelu'.
function forward() {
  for (let k = 0; k < depth; k++) {
    for (let i = 0; i < n; i++) {
      const h = (k * n + i) * d;
      const a = (k * n + i) * m;
      for (let j = 0; j < m; j++) {
        const w = (k * m + j) * d;
        let z = 0;
        for (let c = 0; c < d; c++) z += W[w + c] * states[h + c];
        const x = Math.abs(z) * Math.SQRT1_2;
        const t = 1 / (1 + 0.3275911 * x);
        const gauss = Math.exp(-x * x);
        const tail =
          t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * gauss;
        const cdf = z >= 0 ? 1 - 0.5 * tail : 0.5 * tail;
        active[a + j] = z * cdf;
        slopes[a + j] = cdf + z * gauss * 0.3989422804014327;
      }
      const next = h + n * d;
      for (let c = 0; c < d; c++) {
        const v = (k * d + c) * m;
        let sum = 0;
        for (let j = 0; j < m; j++) sum += V[v + j] * active[a + j];
        states[next + c] = states[h + c] + sum / depth;
      }
    }
  }
}

function loss() {
  const last = depth * n * d;
  let sum = 0;
  for (let e = 0; e < n * d; e++) {
    const difference = states[last + e] - Y[e];
    sum += difference * difference;
  }
  return sum / (n * d);
}

function backwardAndUpdate() {
  const last = depth * n * d;
  for (let e = 0; e < n * d; e++) adjoint[e] = (2 / (n * d)) * (states[last + e] - Y[e]);
  for (let k = depth - 1; k >= 0; k--) {
    gradV.fill(0);
    gradW.fill(0);
    const v = k * d * m;
    const w = k * m * d;
    for (let i = 0; i < n; i++) {
      const p = i * d;
      const h = (k * n + i) * d;
      const a = (k * n + i) * m;
      gradZ.fill(0);
      for (let c = 0; c < d; c++) {
        const pc = adjoint[p + c] / depth;
        for (let j = 0; j < m; j++) {
          gradV[c * m + j] += pc * active[a + j];
          gradZ[j] += pc * V[v + c * m + j];
        }
      }
      for (let j = 0; j < m; j++) {
        const g = gradZ[j] * slopes[a + j];
        for (let c = 0; c < d; c++) {
          gradW[j * d + c] += g * states[h + c];
          adjoint[p + c] += g * W[w + j * d + c];
        }
      }
    }
    for (let e = 0; e < d * m; e++) V[v + e] -= rate * gradV[e];
    for (let e = 0; e < m * d; e++) W[w + e] -= rate * gradW[e];
  }
}

await measure({
  options,
  peer: "handwritten",
  version: `node ${process.versions.node}`,
  device: `${cpuName()}, 1 thread`,
  note: "exact GELU (erf to 1.5e-7), float32 storage, float64 arithmetic",
  step: () => {
    forward();
    const value = loss();
    backwardAndUpdate();
    return value;
  },
  evaluate: () => {
    forward();
    return loss();
  },
});
