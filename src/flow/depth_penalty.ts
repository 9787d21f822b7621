import type { FlowConfig } from "../config/flow.ts";
import type { Tensor } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { DenseStack } from "../model/dense_stack.ts";
import { layerGrid, layerSums, vectorGrid } from "../plan/grids.ts";

/** The gradient's place in its buffer, in bytes. */
interface Range {
  readonly tensor: Tensor;
  readonly offset: number;
  readonly bytes: number;
}

/** What `config.depthPenalty` does to the gradient of the layers, replica by replica. */
export class DepthPenalty {
  readonly #stack: DenseStack;
  readonly #config: FlowConfig;
  readonly #kernels: Readonly<Record<string, Kernel>>;
  /** Squared norms of every layer's difference, and their sums; of the penalty that is a norm alone. */
  readonly #layers: Tensor | undefined;
  readonly #norms: Tensor;

  private constructor(stack: DenseStack, config: FlowConfig, kernels: Readonly<Record<string, Kernel>>) {
    const { gpu, replicas, shape } = stack;
    this.#stack = stack;
    this.#config = config;
    this.#kernels = kernels;
    if (config.depthPenalty.kind === "norm")
      this.#layers = gpu.tensor("layer norms of the penalty", 16 * shape.depth * replicas);
    this.#norms = gpu.tensor("norms of the penalty", 16 * 3 * replicas);
  }

  /** Undefined without a penalty, and where the layers do not move. */
  static async create(stack: DenseStack, config: FlowConfig): Promise<DepthPenalty | undefined> {
    const { kind } = config.depthPenalty;
    if (kind === "none" || !config.trained.Z) return undefined;
    const { gpu, replicas, shape } = stack;
    const { floats, initialFloats } = stack.groups.Z;
    const layer4 = floats / replicas / shape.depth / 4;
    const variant = { TIED: initialFloats < floats, HALF4: stack.widthPadded / 4, REPLICAS: replicas };
    const kernels: Record<string, Kernel> = {};
    if (kind === "tied") kernels.mean = await gpu.kernel("flow/depth_mean");
    else
      kernels.penalty = await gpu.kernel("flow/depth_penalty", {
        SQUARED: kind === "squared",
        LAYER4: layer4,
        ...variant,
      });
    if (kind === "norm") {
      const { lanes } = layerSums(shape.depth, layer4, gpu.profile);
      kernels.difference = await gpu.kernel("metric/depth_difference", { LANES: lanes, ...variant });
      kernels.summary = await gpu.kernel("metric/summary");
    }
    return new DepthPenalty(stack, config, kernels);
  }

  /** Adds the penalty's gradient at the current weights to the gradient of the layers (before the factor L). */
  encode(recorder: Recorder, grad: Range): void {
    const { gpu, replicas, shape, groups } = this.#stack;
    const { depth } = shape;
    const { initial, change, floats } = groups.Z;
    const layer4 = floats / replicas / depth / 4;
    const { depthPenalty: penalty, layerFactors } = this.#config;
    const { mean, difference, summary } = this.#kernels;
    if (mean) {
      recorder.dispatch(mean, { grad }, { depth, stride4: replicas * layer4 }, vectorGrid(floats / depth, gpu.profile));
      return;
    }
    if (difference && summary && this.#layers) {
      const { lanes } = layerSums(depth, layer4, gpu.profile);
      const grid = layerGrid(depth * replicas, lanes);
      recorder.dispatch(difference, { initial, change, y: this.#layers }, { depth, layer4 }, grid);
      recorder.dispatch(summary, { x: this.#layers, y: this.#norms }, { count: depth, at: 0 }, [replicas]);
    }
    const weight = "weight" in penalty ? penalty.weight : 0;
    recorder.dispatch(
      this.#kernels.penalty!,
      { initial, change, norms: this.#norms, grad },
      { count4: floats / 4, weight_w: weight * layerFactors.W, weight_v: weight * layerFactors.V },
      vectorGrid(floats, gpu.profile),
    );
  }

  destroy(): void {
    this.#stack.gpu.release(this.#layers, this.#norms);
  }
}
