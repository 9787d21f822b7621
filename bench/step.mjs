// The training step of the paper's figure 1: its time over depth, and the accuracy of the weight differences.
import {
  DensePass,
  DenseStack,
  flowSchema,
  GradientFlow,
  initialWeights,
  Measurements,
  RandomStream,
} from "../dist/index.js";
import { gradientFlowStep, stepNorms } from "../dist/reference/dense.js";

const ROWS = 100;

async function build(gpu, depth) {
  const shape = {
    inputs: 16,
    width: 16,
    hidden: 32,
    outputs: 16,
    depth,
    activation: "gelu",
    widthFactors: "code",
    beta: 1,
  };
  const initial = initialWeights({ shape, seed: 0, initialisation: "tied" });
  const inputs = new Float32Array(ROWS * 16);
  const targets = new Float32Array(ROWS * 16);
  new RandomStream(0, "inputs").fillNormal(inputs);
  new RandomStream(0, "targets").fillNormal(targets);
  const stack = DenseStack.create(gpu, shape, initial);
  const pass = await DensePass.create(stack, { inputs, targets, rows: ROWS }, "mean-square", { training: true });
  const trained = { A: false, Z: true, B: false };
  const flow = await GradientFlow.create(stack, pass, flowSchema.parse({ rate: 0.01, stop: { steps: 1e9 }, trained }));
  const destroy = () => {
    flow.destroy();
    pass.destroy();
    stack.destroy();
  };
  return { shape, stack, pass, flow, inputs, targets, trained, destroy };
}

/** Wall time of single steps, waited for one by one, after two that warm up; GPU time of two more by timestamps. */
export async function measureStep(gpu, depth, steps) {
  gpu.peakBytes = gpu.bytesInUse;
  const { pass, flow, destroy } = await build(gpu, depth);
  await flow.advance({ steps: 2 });
  const times = [];
  const before = { dispatches: flow.recorder.dispatches, submits: flow.recorder.submits };
  for (let i = 0; i < steps; i++) {
    const start = performance.now();
    await flow.advance({ steps: 1 });
    times.push(performance.now() - start);
  }
  const dispatches = (flow.recorder.dispatches - before.dispatches) / steps;
  const submits = (flow.recorder.submits - before.submits) / steps;
  flow.recorder.startProfile();
  await flow.advance({ steps: 2 });
  const profile = await flow.recorder.endProfile();
  const gpuMs = (part) =>
    [...profile]
      .filter(([label]) => label.includes(part))
      .reduce((sum, [, time]) => sum + time.nanoseconds / 2e6, 0)
      .toFixed(1);
  times.sort((a, b) => a - b);
  const row = {
    depth,
    layout: pass.plan.layout,
    median: times[times.length >> 1],
    min: times[0],
    max: times.at(-1),
    dispatches,
    submits,
    deviceBytes: gpu.peakBytes,
    hostBytes: process.resourceUsage().maxRSS * 1024,
    gpu: { forward: gpuMs("_forward"), adjoint: gpuMs("_adjoint"), update: gpuMs("update") },
  };
  destroy();
  return row;
}

/** max_k of the layer-to-layer differences after the given steps, against plain loops in float64. */
export async function measureAccuracy(gpu, depth, at) {
  const { shape, stack, flow, inputs, targets, destroy } = await build(gpu, depth);
  const measure = await Measurements.create(stack);
  const { A, V, W, B } = stack.initial;
  const weights = { A: new Float64Array(A), V: new Float64Array(V), W: new Float64Array(W), B: new Float64Array(B) };
  const rows = [];
  for (let step = 1; step <= Math.max(...at); step++) {
    await flow.advance({ steps: 1 });
    gradientFlowStep(shape, weights, { n: ROWS, inputs, targets }, "mean-square", 0.01, {
      A: false,
      V: true,
      W: true,
      B: false,
    });
    if (!at.includes(step)) continue;
    const reference = stepNorms(weights.V, weights.W, shape);
    const measured = await measure.depth(flow.recorder);
    const family = (name) => ({
      reference: reference[name].max,
      measured: measured[name].maxStep,
      error: Math.abs(measured[name].maxStep / reference[name].max - 1),
    });
    rows.push({ step, W: family("W"), V: family("V") });
  }
  measure.destroy();
  destroy();
  return rows;
}
