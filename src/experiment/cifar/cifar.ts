/**
 * The convolutional experiment of Marion, Wu, Sander and Biau (ICLR 2024, section 5.2, figures 3 and 4, table 1): do the trained
 * weights of a deep residual network on images stay a function of depth?
 */
import { CONV_PARAMETERS, type ConvParameter } from "../../config/conv.ts";
import { DeviceError } from "../../gpu/errors.ts";
import { Recorder } from "../../gpu/recorder.ts";
import { initialConvWeights } from "../../model/conv_initialisation.ts";
import { ConvPass } from "../../model/conv_pass.ts";
import { ConvStack } from "../../model/conv_stack.ts";
import { convOffsets, imagesPerBuffer, planConv } from "../../plan/conv.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import { ceilTo } from "../../plan/rounding.ts";
import { type ConvWeights, convTrainingState, convTrainingStep } from "../../reference/conv.ts";
import type { Experiment, ExperimentPlan, ExperimentResult } from "../experiment.ts";
import type { Claim } from "../record.ts";
import { judge } from "../statistics.ts";
import { claimsOf } from "./claims.ts";
import {
  allCases,
  type CifarConfig,
  type Context,
  cifarSchema,
  combinationsOf,
  labelOf,
  layerStepsOf,
  nameOf,
  PRESETS,
  shapeOf,
  stepsPerEpoch,
  trainingFlops,
} from "./config.ts";
import { type DeviceImages, loadImages, uploadImages } from "./images.ts";
import { figuresOf, notesOf, tablesOf } from "./report.ts";
import { type Collected, collect, trainCase } from "./training.ts";

export { type CifarConfig, cifarSchema } from "./config.ts";

export const cifar: Experiment<CifarConfig> = {
  name: "cifar",
  title: "Images: are the trained convolutions a function of depth?",
  summary:
    "A convolutional residual network h_{k+1} = h_k + norm2(conv2_k ∗ σ(norm1(conv1_k ∗ h_k))) / L classifies images (CIFAR-10 in the paper), " +
    "trained by stochastic gradient descent with momentum from residual layers that all start from one draw (tied) or from a draw each (iid), with the " +
    "identity, GELU or ReLU for σ. Marion, Wu, Sander and Biau (ICLR 2024) find by eye that the trained convolutions are a smooth function of depth " +
    "only for a tied start and a smooth activation, and that accuracy is higher without that structure. Measured: the mean of ‖conv_{k+1} − conv_k‖_F " +
    "over depth, absolute, relative to the norms and as a roughness that tells a function of depth from independent layers; accuracies beside the paper's.",
  schema: cifarSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan,
  run,
};

function plan(config: CifarConfig, profile: DeviceProfile): ExperimentPlan {
  const { batch, testBatch, trainImages, testImages, epochs, seeds } = config;
  let peakBytes = 0;
  const trainings = combinationsOf(config).map((combination) => {
    const shape = shapeOf(config, combination.activation);
    const pass = planConv(shape, profile, { images: Math.min(batch, trainImages), training: true });
    const evaluation = planConv(shape, profile, { images: Math.min(testBatch, testImages), training: false });
    const total = (tensors: Readonly<Record<string, number>>) =>
      Object.values(tensors).reduce((sum, each) => sum + each, 0);
    const parameters = 4 * ceilTo(pass.numbers, 4);
    const pixels = shape.channelsIn * shape.height * shape.width;
    const buffers = Math.ceil(trainImages / imagesPerBuffer(profile, pixels));
    const running = [shape.stem, shape].filter(({ normalisation }) => normalisation.kind === "batch").length;
    const tensors = {
      ...pass.tensors,
      initial: parameters,
      change: parameters,
      weights: parameters,
      momentum: parameters,
      running: 4 * 3 * shape.channels * pass.places,
      testPass: total(evaluation.tensors),
      imageSets: (trainImages + testImages) * (pixels + 8),
    };
    peakBytes = Math.max(peakBytes, total(tensors));
    const { TILE_X, TILE_Y } = pass.layerConstants;
    return {
      label: `${nameOf(combination)} L=${shape.depth}`,
      count: seeds.length,
      steps: epochs * stepsPerEpoch(config),
      layout: pass.fused ? "fused: a workgroup an image" : `${TILE_Y} × ${TILE_X} pixels`,
      segments: Math.ceil(shape.depth / pass.segmentLayers),
      states: "stored",
      // With the batch's images, the loss and its sum, the update of the parameters and those of running moments.
      dispatchesPerStep: buffers + pass.dispatches.forward + 2 + pass.dispatches.backward + 1 + running,
      tensors,
      notes: [`${trainingFlops(config).toExponential(1)} floating-point operations each, evaluations included`],
    };
  });
  return { trainings, peakBytes, layerSteps: layerStepsOf(config) };
}

async function run(context: Context): Promise<ExperimentResult> {
  const { config, gpu, signal } = context;
  const collected: Collected = { epochs: [], entries: [], finished: new Set(), status: "done" };
  const checks: Claim[] = [];
  const loaded = await loadImages(config);
  const total = layerStepsOf(config);
  let done = 0;
  let images: DeviceImages | undefined;
  try {
    images = await uploadImages(gpu, loaded);
    if (context.check) checks.push(...(await checkAgainstReference(context, images, loaded.train.labels)));
    for (const one of allCases(config)) {
      if (signal.aborted) {
        collected.status = "cancelled";
        collected.detail = `stopped before ${labelOf(one, config)}`;
        break;
      }
      const record = await trainCase(context, one, images, (steps, { epoch, loss }) => {
        done += steps * config.depth;
        const label = `${labelOf(one, config)}, epoch ${epoch} of ${config.epochs}`;
        context.progress({ done, total, label, ...(Number.isFinite(loss) && { loss }) });
      });
      collect(collected, config, one, record);
      if (record.status === "cancelled") break;
    }
  } catch (error) {
    if (!(error instanceof DeviceError && (error.kind === "device_lost" || error.kind === "out_of_memory")))
      throw error;
    collected.status = error.kind;
    collected.detail = error.message;
  } finally {
    images?.destroy();
  }
  return {
    status: collected.status,
    ...(collected.detail !== undefined && { statusDetail: collected.detail }),
    tables: tablesOf(config, collected),
    figures: figuresOf(config),
    claims: [...claimsOf(config, collected), ...checks],
    notes: notesOf(config, collected),
  };
}

/** Small batches: the reference takes seconds for each at L = 256. */
const CHECK = { images: 2, steps: 2 };
/** Before a batch normalisation the gradient of a bias is 0: what is computed for it are roundings of the size of its convolution's. */
const BESIDE: Partial<Record<ConvParameter, ConvParameter>> = { bias1: "conv1", bias2: "conv2" };

/**
 * The first steps of every case on two images against float64. Every convolution adds 9 · C terms, a normalisation and σ some 20 more; a number of
 * the first step passes through 2 L + 3 of them, hence 2⁻²⁴ (2 L + 3)(9 C + 20) for each step.
 */
async function checkAgainstReference(context: Context, { train }: DeviceImages, labels: Uint8Array): Promise<Claim[]> {
  const { gpu, config } = context;
  const { momentum, weightDecay, rate, depth, channels } = config;
  const seed = config.seeds[0]!;
  const n = Math.min(CHECK.images, train.count);
  const worst = { loss: 0, change: 0 };
  const recorder = new Recorder(gpu);
  const losses = gpu.tensor("loss of a batch", 16);
  try {
    for (const { activation, initialisation } of combinationsOf(config)) {
      const shape = shapeOf(config, activation);
      const start = initialConvWeights({ shape, seed, initialisation });
      const stack = ConvStack.create(gpu, shape, start);
      const pass = await ConvPass.create(stack, { images: n, training: true });
      try {
        train.encodeBatch(recorder, pass, 0, n);
        recorder.submit();
        const { channelsIn, height, width } = shape;
        const images = await gpu.read(pass.pixels, 0, 4 * n * channelsIn * height * width);
        const parts = CONV_PARAMETERS.map((name) => [name, Float64Array.from(stack.part(start, name))] as const);
        const exact = convTrainingState(shape, Object.fromEntries(parts) as ConvWeights);
        for (let step = 0; step < CHECK.steps; step++) {
          pass.forward(recorder, "training");
          pass.encodeLoss(recorder, losses, 0);
          pass.backward(recorder);
          pass.update(recorder, { rate, momentum, weightDecay });
          recorder.submit();
          const [loss] = await gpu.read(losses);
          const data = { n, images, labels: labels.subarray(0, n) };
          const expected = convTrainingStep(shape, exact, data, { momentum, weightDecay }, rate).loss;
          worst.loss = Math.max(worst.loss, Math.abs(loss! - expected) / expected);
        }
        const change = await gpu.read(stack.change);
        const { offsets } = convOffsets(shape);
        const exactChange = (name: ConvParameter) =>
          exact.weights[name].map((weight, i) => weight - start[offsets[name] + i]!);
        for (const name of CONV_PARAMETERS) {
          const error = exactChange(name).map((value, i) => value - change[offsets[name] + i]!);
          const size = Math.max(maxAbs(exactChange(name)), maxAbs(exactChange(BESIDE[name] ?? name)));
          worst.change = Math.max(worst.change, maxAbs(error) / size);
        }
      } finally {
        pass.destroy();
        stack.destroy();
      }
    }
  } finally {
    recorder.destroy();
    gpu.release(losses);
  }
  const passes = { max: CHECK.steps * 2 ** -24 * (2 * depth + 3) * (9 * channels + 20) };
  const claim = (id: string, what: string, measured: number): Claim => ({
    id,
    statement: `First ${CHECK.steps} steps on ${n} images, all cases: ${what} agrees with a float64 computation (largest relative error)`,
    source: "float64 reference of this project",
    measured,
    passes,
    verdict: judge(measured, passes),
  });
  return [
    claim("check-loss", "the loss", worst.loss),
    claim("check-change", "the change of every parameter", worst.change),
  ];
}

function maxAbs(values: Float64Array): number {
  return values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
}
