import { ConfigError } from "../config/errors.ts";
import type { Tensor } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { DensePass } from "../model/dense_pass.ts";
import type { DenseStack, GroupName } from "../model/dense_stack.ts";
import { layerGrid, layerSums, REDUCE_GROUPS, vectorGrid } from "../plan/grids.ts";

/** Frobenius norms along depth of one of the two weight families. */
export interface DepthNorms {
  /** max_k ‖X_{k+1} − X_k‖_F over neighbouring layers (0 for a single layer). */
  readonly maxStep: number;
  /** mean_k ‖X_{k+1} − X_k‖_F. */
  readonly meanStep: number;
  /** Σ_k ‖X_{k+1} − X_k‖_F², the summand of the paper's published figure 1 (left). */
  readonly sumSquaredSteps: number;
  /** max_k ‖X_k‖_F. */
  readonly maxNorm: number;
  /** (Σ_k ‖X_k‖_F²)^{1/2}. */
  readonly norm: number;
}

/** Distance of a stack to a deeper one: root mean square and supremum over depth of the Frobenius distance. */
export interface DepthDistance {
  readonly l2: number;
  readonly sup: number;
}

/** How layers of two depths are matched: the paper's interpolation (eq. 8), or the index of its code, ⌊k L'/L⌋. */
export const INDEXINGS = ["interpolation", "code"] as const;
export type Indexing = (typeof INDEXINGS)[number];

export interface GradientNorms {
  readonly loss: number;
  /** Rows classified rightly (cross-entropy only, else 0). */
  readonly correct: number;
  /** −dℓ/dt of the unclipped flow: ‖∂ℓ/∂A‖² + L Σ_k ‖∂ℓ/∂Z_k‖² + ‖∂ℓ/∂B‖² over the trained groups. */
  readonly energyRate: number;
  /** Polyak–Łojasiewicz ratio: energyRate / loss. */
  readonly plRatio: number;
}

const GROUPS: readonly GroupName[] = ["A", "Z", "B"];

type MetricKernels = Record<"difference" | "summary" | "sum" | "squares" | "gradient", Kernel>;

/** Numbers of a stack at its current state, computed on the device; only scalars come back. Those of all replicas are made together. */
export class Measurements {
  readonly #stack: DenseStack;
  readonly #kernels: MetricKernels;
  /** [R] losses, [R] energy rates, and from `summaryAt` on [R] three vec4 of norms. */
  readonly #scalars: Tensor;
  readonly #partial: Tensor;
  #layers: Tensor;
  #gradient: Tensor | undefined;
  readonly #scales: Tensor;

  private constructor(stack: DenseStack, kernels: MetricKernels) {
    const { gpu, replicas, shape } = stack;
    this.#stack = stack;
    this.#kernels = kernels;
    this.#scalars = gpu.tensor("scalars", 16 * (summaryAt(replicas) + 3 * replicas));
    this.#partial = gpu.tensor("partial sums", 8 * 3 * REDUCE_GROUPS * replicas);
    this.#layers = gpu.tensor("layer norms", 16 * shape.depth * replicas);
    this.#scales = gpu.tensor("scales of the replicas", 16 * GROUPS.length * replicas);
  }

  static async create(stack: DenseStack): Promise<Measurements> {
    const { gpu, replicas, shape } = stack;
    const { floats, initialFloats } = stack.groups.Z;
    const { lanes } = layerSums(shape.depth, floats / replicas / shape.depth / 4, gpu.profile);
    return new Measurements(stack, {
      difference: await gpu.kernel("metric/depth_difference", {
        LANES: lanes,
        TIED: initialFloats < floats,
        HALF4: stack.widthPadded / 4,
        REPLICAS: replicas,
      }),
      summary: await gpu.kernel("metric/summary"),
      sum: await gpu.kernel("metric/sum"),
      squares: await gpu.kernel("metric/sum_squares", { REPLICAS: replicas }),
      gradient: await gpu.kernel("flow/gradient", { REPLICAS: replicas }),
    });
  }

  /** Differences between neighbouring layers and norms, of W and V (of the first replica). */
  async depth(recorder: Recorder): Promise<{ W: DepthNorms; V: DepthNorms }> {
    return (await this.depths(recorder))[0]!;
  }

  /** The same of every replica. */
  async depths(recorder: Recorder): Promise<{ W: DepthNorms; V: DepthNorms }[]> {
    const { shape, groups, gpu, replicas } = this.#stack;
    const { depth } = shape;
    const Z = groups.Z;
    const layer4 = Z.floats / replicas / depth / 4;
    const { lanes } = layerSums(depth, layer4, gpu.profile);
    recorder.dispatch(
      this.#kernels.difference,
      { initial: Z.initial, change: Z.change, y: this.#layers },
      { depth, layer4 },
      layerGrid(depth * replicas, lanes),
    );
    const summaries = await this.#summarise(recorder, depth, replicas);
    return summaries.map(([largest, sums, squares]) => {
      const family = (i: 0 | 1): DepthNorms => ({
        maxStep: largest[i]!,
        meanStep: depth > 1 ? sums[i]! / (depth - 1) : 0,
        sumSquaredSteps: squares[i]!,
        maxNorm: largest[2 + i]!,
        norm: Math.sqrt(squares[2 + i]!),
      });
      return { W: family(0), V: family(1) };
    });
  }

  /**
   * Distance to a reference stack of the same layer shape and any depth.
   * @throws ConfigError when either has several replicas.
   */
  async distance(
    recorder: Recorder,
    reference: DenseStack,
    indexing: Indexing,
  ): Promise<{ W: DepthDistance; V: DepthDistance }> {
    const { shape, groups, gpu } = this.#stack;
    const replicas = Math.max(this.#stack.replicas, reference.replicas);
    if (replicas > 1) throw new ConfigError("replicas", "must be 1 in both stacks of a distance", replicas);
    const count = indexing === "interpolation" ? reference.shape.depth : shape.depth;
    if (this.#layers.bytes < 16 * count) {
      gpu.release(this.#layers);
      this.#layers = gpu.tensor("layer norms", 16 * count);
    }
    const Z = groups.Z;
    const other = reference.groups.Z;
    const layer4 = Z.floats / shape.depth / 4;
    const { lanes, grid } = layerSums(count, layer4, gpu.profile);
    const kernel = await gpu.kernel("metric/depth_distance", {
      INDEXING: INDEXINGS.indexOf(indexing),
      LANES: lanes,
      HALF4: this.#stack.widthPadded / 4,
    });
    recorder.dispatch(
      kernel,
      {
        initial: Z.initial,
        change: Z.change,
        reference_initial: other.initial,
        reference_change: other.change,
        y: this.#layers,
      },
      {
        depth: shape.depth,
        reference_depth: reference.shape.depth,
        layer4,
        initial_layer4: Z.initialFloats < Z.floats ? 0 : layer4,
        reference_initial_layer4: other.initialFloats < other.floats ? 0 : layer4,
      },
      grid,
    );
    const [largest, , squares] = (await this.#summarise(recorder, count, 1))[0]!;
    const family = (i: 0 | 1): DepthDistance => ({ l2: Math.sqrt(squares[i]! / count), sup: largest[i]! });
    return { W: family(0), V: family(1) };
  }

  /** Loss and rows classified rightly of a pass at the current weights (of the first replica). */
  async loss(recorder: Recorder, pass: DensePass): Promise<{ loss: number; correct: number }> {
    return (await this.losses(recorder, pass))[0]!;
  }

  /** The same of every replica. */
  async losses(recorder: Recorder, pass: DensePass): Promise<{ loss: number; correct: number }[]> {
    const { replicas } = this.#stack;
    pass.forward(recorder);
    pass.encodeLoss(recorder, this.#scalars, 0);
    const read = recorder.read(this.#scalars, 0, 8 * replicas);
    recorder.submit();
    const values = new Float32Array(await read);
    return Array.from({ length: replicas }, (_, r) => ({ loss: values[2 * r]!, correct: values[2 * r + 1]! }));
  }

  /** Loss and gradient norms of a training pass at the current weights (of the first replica); nothing is updated. */
  async gradient(
    recorder: Recorder,
    pass: DensePass,
    trained: Readonly<Record<GroupName, boolean>>,
  ): Promise<GradientNorms> {
    return (await this.gradients(recorder, pass, trained))[0]!;
  }

  /** The same of every replica. */
  async gradients(
    recorder: Recorder,
    pass: DensePass,
    trained: Readonly<Record<GroupName, boolean>>,
  ): Promise<GradientNorms[]> {
    const { groups, gpu, replicas, shape } = this.#stack;
    const order = GROUPS.filter((name) => trained[name]);
    const offsets = new Map<GroupName, number>();
    let floats = 0;
    for (const name of order) {
      offsets.set(name, floats);
      floats += Math.ceil(groups[name].floats / 64) * 64;
    }
    this.#gradient ??= gpu.tensor("gradient", 4 * floats);
    const gradient = this.#gradient;
    const layer4 = (name: GroupName) => groups[name].floats / replicas / (name === "Z" ? shape.depth : 1) / 4;
    pass.forward(recorder);
    pass.encodeLoss(recorder, this.#scalars, 0);
    pass.adjoint(recorder, trained, (part) => {
      const first_replica = GROUPS.indexOf(part.group) * replicas;
      if (replicas > 1)
        gpu.write(this.#scales, Float32Array.from(part.scales.flatMap(({ w, v }) => [0, w, v, 0])), 16 * first_replica);
      recorder.dispatch(
        this.#kernels.gradient,
        {
          partials: part.partials,
          replicas: this.#scales,
          grad: { tensor: gradient, offset: 4 * (offsets.get(part.group)! + part.firstFloat), bytes: 4 * part.floats },
        },
        {
          count4: part.floats / 4,
          groups: part.partialGroups,
          layer4: layer4(part.group),
          unit4: part.unitFloats / 4,
          half4: part.unitFloats / 8,
          scale_w: part.scales[0]!.w,
          scale_v: part.scales[0]!.v,
          first_replica,
        },
        vectorGrid(part.floats, gpu.profile),
      );
    });
    for (const [i, name] of order.entries())
      recorder.dispatch(
        this.#kernels.squares,
        {
          x: { tensor: gradient, offset: 4 * offsets.get(name)!, bytes: 4 * groups[name].floats },
          partial: this.#partial,
        },
        {
          count4: groups[name].floats / replicas / 4,
          layer4: layer4(name),
          at: i * REDUCE_GROUPS,
          stride: order.length * REDUCE_GROUPS,
          factor: groups[name].factor,
        },
        [REDUCE_GROUPS, replicas],
      );
    recorder.dispatch(
      this.#kernels.sum,
      { x: this.#partial, y: this.#scalars },
      { count: order.length * REDUCE_GROUPS, at: replicas },
      [replicas],
    );
    const read = recorder.read(this.#scalars, 0, 16 * replicas);
    recorder.submit();
    const values = new Float32Array(await read);
    return Array.from({ length: replicas }, (_, r) => {
      const [loss, correct, energyRate] = [values[2 * r]!, values[2 * r + 1]!, values[2 * (replicas + r)]!];
      return { loss, correct, energyRate, plRatio: energyRate / loss };
    });
  }

  destroy(): void {
    this.#stack.gpu.release(this.#scalars, this.#partial, this.#layers, this.#gradient, this.#scales);
  }

  /** max √x, Σ √x and Σ x over the layer norms, by component, of each replica. */
  async #summarise(
    recorder: Recorder,
    count: number,
    replicas: number,
  ): Promise<(readonly [Float32Array, Float32Array, Float32Array])[]> {
    const at = summaryAt(this.#stack.replicas);
    recorder.dispatch(this.#kernels.summary, { x: this.#layers, y: this.#scalars }, { count, at }, [replicas]);
    const read = recorder.read(this.#scalars, 16 * at, 48 * replicas);
    recorder.submit();
    const values = new Float32Array(await read);
    const vector = (i: number) => values.subarray(4 * i, 4 * i + 4);
    return Array.from({ length: replicas }, (_, r) => [vector(3 * r), vector(3 * r + 1), vector(3 * r + 2)] as const);
  }
}

/** Vec4 of scalars before the summaries. */
function summaryAt(replicas: number): number {
  return Math.max(4, replicas);
}
