import { convSizes } from "../config/conv.ts";
import { ACTIVATIONS, LOSSES } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import type { Tensor } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { Params, Range, Recorder } from "../gpu/recorder.ts";
import { type ConvLayout, type ConvPlan, epsilonOf, normConstants, planConv } from "../plan/conv.ts";
import type { DeviceProfile } from "../plan/device_profile.ts";
import { lossGrid, vectorGrid } from "../plan/grids.ts";
import type { KernelName } from "../plan/kernel_name.ts";
import type { ConvStack } from "./conv_stack.ts";

export interface SgdStep {
  readonly rate: number;
  readonly momentum: number;
  readonly weightDecay: number;
}

const NO_CLIP = 3.4e38;
const INVOCATIONS = 32;

/** `training`: batch normalisations take the moments of the batch; `evaluation`: the running ones. */
export type ConvMode = "training" | "evaluation";

/**
 * Forward, loss, backward and update of a convolutional residual stack on batches of at most `images` images. What a batch reads lies in
 * `pixels` [images, channelsIn, height, width] and `targets` [images].
 */
export class ConvPass {
  readonly stack: ConvStack;
  readonly plan: ConvPlan;
  readonly #kernels: Readonly<Record<string, Kernel>>;
  readonly #tensors: Record<string, Tensor> = {};
  #count: number;

  private constructor(stack: ConvStack, plan: ConvPlan, kernels: Record<string, Kernel>) {
    this.stack = stack;
    this.plan = plan;
    this.#kernels = kernels;
    this.#count = plan.images;
    for (const [name, bytes] of Object.entries(plan.tensors))
      this.#tensors[name] = stack.gpu.tensor(`${name} of ${plan.images} images`, bytes);
    for (const name of ["unused", "unusedOutput"]) this.#tensors[name] = stack.gpu.tensor(name, 16);
  }

  /**
   * Plans (for the device, unless another `profile` is given), compiles and allocates. Without `training` no state is kept for a backward
   * pass. `layout` and `segmentLayers` take the place of the plan's own choices.
   */
  static async create(
    stack: ConvStack,
    options: {
      readonly images: number;
      readonly training: boolean;
      readonly profile?: DeviceProfile;
      readonly layout?: ConvLayout;
      readonly segmentLayers?: number;
    },
  ): Promise<ConvPass> {
    const { gpu, shape } = stack;
    const plan = planConv(shape, options.profile ?? gpu.profile, options);
    const layer = normConstants(shape.normalisation, shape.channels);
    const stem = normConstants(shape.stem.normalisation, shape.channels);
    const sigma = ACTIVATIONS.indexOf(shape.activation);
    const relu = ACTIVATIONS.indexOf("relu");
    const { layerConstants, stemConstants } = plan;
    const { CHANNELS, HEIGHT, WIDTH, TILE_X, OUT, LINES } = layerConstants as Record<string, number>;
    const map = { CHANNELS: CHANNELS!, HEIGHT: HEIGHT!, WIDTH: WIDTH! };
    const normIn = (of: typeof layer) => ({ NORM_IN: of.kind, MEMBERS_IN: of.members });
    const normOut = (of: typeof layer) => ({ NORM_OUT: of.kind, MEMBERS_OUT: of.members });
    const norm = (of: typeof layer) => ({ NORM: of.kind, MEMBERS: of.members });
    const ahead = { ...layerConstants, NORM_OUT: layer.kind };
    const inside = { RESIDUAL: false, KEEP_STATE: false, ACTIVATION: sigma };
    const wanted: Record<string, [KernelName, Record<string, number | boolean>]> = {
      stem: ["conv/stem", { ...layerConstants, ...stemConstants, NORM_OUT: stem.kind }],
      enter: ["conv/forward", { ...ahead, ...normIn(stem), RESIDUAL: false, KEEP_STATE: true, ACTIVATION: relu }],
      second: ["conv/forward", { ...ahead, ...normIn(layer), ...inside }],
      pool: ["conv/pool", { ...map, ...norm(layer), POOL: shape.pool }],
      head: ["conv/head", {}],
      loss: ["loss/loss", { LOSS: LOSSES.indexOf("cross-entropy") }],
      sum: ["metric/sum", {}],
    };
    const deeper = shape.depth > 1 && !plan.fused;
    if (plan.fused)
      wanted.fused = [
        "conv/fused_forward",
        { ...plan.fused.constants, ...norm(layer), KEEP: options.training, ACTIVATION: sigma },
      ];
    if (deeper) wanted.first = ["conv/forward", { ...ahead, ...normIn(layer), RESIDUAL: true, KEEP_STATE: true }];
    if (options.training) {
      const back = { ...layerConstants, ...normIn(layer) };
      const gradient = { ...map, TILE_X: TILE_X!, OUT: OUT!, LINES: LINES!, ...norm(layer) };
      Object.assign(wanted, {
        unpool: ["conv/unpool", { ...map, ...norm(layer), POOL: shape.pool }],
        headGradient: ["conv/head_gradient", {}],
        secondBack: [
          "conv/backward",
          { ...back, ...normOut(layer), RESIDUAL: false, ACTIVATED: true, ACTIVATION: sigma },
        ],
        enterBack: ["conv/backward", { ...back, ...normOut(stem), RESIDUAL: true, ACTIVATED: true, ACTIVATION: relu }],
        firstWeights: ["conv/weight_gradient", { ...gradient, ACTIVATED: false, NORM: 0, MEMBERS: 1 }],
        secondWeights: ["conv/weight_gradient", { ...gradient, ACTIVATED: true, ACTIVATION: sigma }],
        stemWeights: ["conv/stem_gradient", { ...map, ...stemConstants, ...norm(stem) }],
        update: ["flow/update", { OPTIMISER: 1, TIED: false, LAYER4: 1, HALF4: 1 }],
      });
      if (plan.fused)
        wanted.fusedBack = ["conv/fused_backward", { ...plan.fused.constants, ...norm(layer), ACTIVATION: sigma }];
      if (deeper)
        wanted.firstBack = ["conv/backward", { ...back, ...normOut(layer), RESIDUAL: true, ACTIVATED: false }];
      if (layer.kind !== 0 || stem.kind !== 0) wanted.norms = ["conv/norm_gradient", { CHANNELS: CHANNELS! }];
      if (layer.kind === 1 || stem.kind === 1) wanted.running = ["conv/running", { CHANNELS: CHANNELS! }];
    }
    const kernels = await Promise.all(
      Object.entries(wanted).map(
        async ([role, [name, constants]]) => [role, await gpu.kernel(name, constants)] as const,
      ),
    );
    return new ConvPass(stack, plan, Object.fromEntries(kernels));
  }

  /** Normalised images of the batch [images, channelsIn, height, width], and their labels; whoever fills them calls `setCount`. */
  get pixels(): Tensor {
    return this.#tensor("pixels");
  }
  get targets(): Tensor {
    return this.#tensor("targets");
  }
  /** [images, classes] of the last forward pass. */
  get logits(): Tensor {
    return this.#tensor("logits");
  }
  /** ∂loss/∂ all parameters of the last backward pass, in the order of `convOffsets`. */
  get gradients(): Tensor {
    return this.#tensor("gradients");
  }

  /** Bytes of this pass on the device. */
  get bytes(): number {
    return Object.values(this.#tensors).reduce((sum, tensor) => sum + tensor.bytes, 0);
  }

  /** How many of the images in `pixels` the next passes take. */
  setCount(count: number): void {
    if (!(count >= 1 && count <= this.plan.images))
      throw new ConfigError("count", `must be in 1..${this.plan.images}, the largest batch`, count);
    this.#count = count;
  }

  /**
   * Uploads a batch.
   * @throws ConfigError when lengths do not fit or a label is not below `classes`
   */
  setBatch(pixels: Float32Array<ArrayBuffer>, labels: Uint32Array<ArrayBuffer>): void {
    const { channelsIn, height, width, classes } = this.plan.shape;
    this.setCount(labels.length);
    if (pixels.length !== labels.length * channelsIn * height * width)
      throw new ConfigError("pixels", `must be ${labels.length * channelsIn * height * width} numbers`, pixels.length);
    const wrong = labels.find((label) => label >= classes);
    if (wrong !== undefined) throw new ConfigError("labels", `must be below ${classes}`, wrong);
    this.stack.gpu.write(this.pixels, pixels);
    this.stack.gpu.write(this.targets, labels);
  }

  /** Records the forward pass of the batch, up to the logits. */
  forward(recorder: Recorder, mode: ConvMode): void {
    const { plan, stack } = this;
    const { shape, offsets } = plan;
    const { channels, depth } = shape;
    const { theta } = stack;
    const moments = this.#tensor("moments");
    const outer = depth ** -shape.beta;
    if (mode === "evaluation") recorder.copy({ tensor: stack.running }, { tensor: moments }, stack.running.bytes);
    this.#dispatch(
      recorder,
      "stem",
      { theta, moments, pixels: this.pixels, output: this.#tensor("stem") },
      { images: this.#count, bands: plan.bands, weight_at: offsets.stem, parts_to: this.#partsOf(0) },
      this.#tileGrid,
    );
    for (let k = 0; k < (plan.fused ? 1 : depth); k++) {
      this.#dispatch(
        recorder,
        k === 0 ? "enter" : "first",
        {
          theta,
          moments,
          input: k === 0 ? this.#tensor("stem") : this.#layer("second", k - 1),
          states: this.#statesAround(k),
          output: this.#layer("first", k),
        },
        {
          ...this.#norm(2 * k, mode),
          images: this.#count,
          outer,
          weight_at: offsets.conv1 + k * channels * channels * 9,
          bias_at: offsets.bias1 + k * channels,
          parts_to: this.#partsOf(2 * k + 1),
          ...this.#stateSlots(k),
        },
        this.#tileGrid,
      );
      this.#dispatch(
        recorder,
        "second",
        {
          theta,
          moments,
          input: this.#layer("first", k),
          states: this.#tensor("unusedOutput"),
          output: this.#layer("second", k),
        },
        {
          ...this.#norm(2 * k + 1, mode),
          images: this.#count,
          outer,
          weight_at: offsets.conv2 + k * channels * channels * 9,
          bias_at: offsets.bias2 + k * channels,
          parts_to: this.#partsOf(2 * k + 2),
          before_at: 0,
          state_at: 0,
        },
        this.#tileGrid,
      );
    }
    if (plan.fused) {
      const { forwardLayers } = plan.fused;
      for (let first = 1; first < depth; first += forwardLayers)
        this.#fusedForward(recorder, first, Math.min(depth, first + forwardLayers));
    }
    this.#dispatch(
      recorder,
      "pool",
      {
        theta,
        moments,
        before: this.#layer("states", depth - 1),
        input: this.#layer("second", depth - 1),
        pooled: this.#tensor("pooled"),
      },
      { ...this.#norm(2 * depth, mode), images: this.#count, outer },
      Math.ceil((this.#count * channels) / INVOCATIONS),
    );
    this.#dispatch(
      recorder,
      "head",
      { theta, pooled: this.#tensor("pooled"), logits: this.logits },
      {
        images: this.#count,
        classes: shape.classes,
        features: convSizes(shape).features,
        weight_at: offsets.head,
        bias_at: offsets.headBias,
      },
      Math.ceil((this.#count * shape.classes) / INVOCATIONS),
    );
  }

  /** Records the mean cross-entropy of the last forward pass and its gradient; `into`[`at`] (vec2f) becomes (loss, images classified rightly). */
  encodeLoss(recorder: Recorder, into: Tensor, at: number): void {
    const rows = this.#count;
    recorder.dispatch(
      this.#kernels.loss!,
      {
        output: this.logits,
        target_bits: this.targets,
        grad: this.#tensor("gradLogits"),
        row_loss: this.#tensor("rowLoss"),
      },
      { rows, outputs: this.plan.shape.classes, scale: 1 / rows },
      lossGrid(rows),
    );
    recorder.dispatch(this.#kernels.sum!, { x: this.#tensor("rowLoss"), y: into }, { count: rows, at }, [1]);
  }

  /** Records ∂loss/∂ all parameters of the last forward pass in training mode and its loss. */
  backward(recorder: Recorder): void {
    const { plan, stack } = this;
    const { shape, offsets, bands } = plan;
    const { channels, depth, classes } = shape;
    const { theta } = stack;
    const images = this.#count;
    const outer = depth ** -shape.beta;
    const moments = this.#tensor("moments");
    const sums = this.#tensor("sums");
    const adjoint = this.#tensor("adjoint");
    const partials = this.gradients;
    const { features } = convSizes(shape);
    this.#dispatch(
      recorder,
      "headGradient",
      { grad: this.#tensor("gradLogits"), pooled: this.#tensor("pooled"), partials },
      { images, classes, features, weight_to: offsets.head, bias_to: offsets.headBias },
      Math.ceil((classes * (features + 1)) / INVOCATIONS),
    );
    this.#dispatch(
      recorder,
      "unpool",
      { theta, moments, sums, grad: this.#tensor("gradLogits"), input: this.#layer("second", depth - 1), adjoint },
      { ...this.#norm(2 * depth, "training"), images, classes, head_at: offsets.head, outer },
      [Math.ceil(images / 4), channels],
    );
    for (let k = depth - 1; k >= 0; k--) {
      const slot = k % plan.segmentLayers;
      if (plan.fused && k > 0) {
        // A segment down to the first of its layers, or to the layer behind the first of all.
        const first = Math.max(1, k - slot);
        this.#fusedBackward(recorder, first, k + 1);
        k = first;
        if (first % plan.segmentLayers === 0) this.#weightGradients(recorder, first);
        continue;
      }
      const tail = { images, next_factor: 1 };
      this.#dispatch(
        recorder,
        "secondBack",
        {
          theta,
          moments,
          sums,
          gradient: adjoint,
          input: this.#layer("second", k),
          next: this.#layer("first", k),
          kept: this.#layer("gradSecond", slot),
          output: this.#tensor("inner"),
        },
        {
          ...this.#norm(2 * k + 2, "training"),
          ...this.#next(2 * k + 1),
          ...tail,
          factor: outer,
          weight_at: offsets.conv2 + k * channels * channels * 9,
        },
        this.#tileGrid,
      );
      this.#dispatch(
        recorder,
        k === 0 ? "enterBack" : "firstBack",
        {
          theta,
          moments,
          sums,
          gradient: this.#tensor("inner"),
          input: this.#layer("first", k),
          next: k === 0 ? this.#tensor("stem") : this.#layer("second", k - 1),
          kept: this.#layer("gradFirst", slot),
          output: adjoint,
        },
        {
          ...this.#norm(2 * k + 1, "training"),
          ...this.#next(2 * k),
          ...tail,
          factor: 1,
          next_factor: k === 0 ? 1 : outer,
          weight_at: offsets.conv1 + k * channels * channels * 9,
        },
        this.#tileGrid,
      );
      if (slot === 0) this.#weightGradients(recorder, k);
    }
    const { epsilon: _, ...stemNorm } = this.#norm(0, "training");
    this.#dispatch(
      recorder,
      "stemWeights",
      { theta, moments, sums, pixels: this.pixels, gradient: adjoint, stem: this.#tensor("stem"), partials },
      {
        ...stemNorm,
        epsilon: epsilonOf(shape.stem.normalisation),
        images,
        weight_to: offsets.stem,
        partial_step: 0,
      },
      [shape.channelsIn * shape.stem.kernel],
    );
    this.#normGradients(recorder, bands);
  }

  /** Records one step of SGD with momentum on every parameter, and of the running moments, from the last forward and backward pass. */
  update(recorder: Recorder, { rate, momentum, weightDecay }: SgdStep): void {
    const { plan, stack } = this;
    const { shape } = plan;
    recorder.dispatch(
      this.#kernels.update!,
      {
        partials: this.gradients,
        initial: stack.initial,
        norm_scale: this.#tensor("unused"),
        replicas: this.#tensor("unused"),
        change: stack.change,
        weights: stack.theta,
        moment1: stack.momentum,
        moment2: this.#tensor("unusedOutput"),
      },
      {
        count4: Math.ceil(plan.numbers / 4),
        groups: 1,
        first_replica: 0,
        scale_w: 1,
        scale_v: 1,
        factor: 1,
        clip: NO_CLIP,
        rate,
        decay: weightDecay,
        momentum,
        beta1: 0,
        beta2: 0,
        epsilon: 1,
        correction1: 1,
        correction2: 1,
      },
      vectorGrid(plan.numbers, stack.gpu.profile),
    );
    for (const { normalisation, first, places } of this.#normGroups()) {
      if (normalisation.kind !== "batch") continue;
      this.#dispatch(
        recorder,
        "running",
        { moments: this.#tensor("moments"), running: stack.running },
        {
          places,
          parts: this.#parts,
          parts_at: this.#partsOf(first),
          parts_step: plan.placeParts,
          running_at: first,
          running_step: 1,
          momentum: normalisation.momentum,
        },
        Math.ceil((places * shape.channels) / INVOCATIONS),
      );
    }
  }

  /** A tensor of the last pass by name, [count, …]; for tests and `--check`. */
  async read(name: string): Promise<Float32Array<ArrayBuffer>> {
    return this.stack.gpu.read(this.#tensor(name));
  }

  destroy(): void {
    this.stack.gpu.release(...Object.values(this.#tensors));
  }

  /** What the fused kernels ask of layers first … end − 1. */
  #fusedParams(first: number, end: number) {
    const { plan } = this;
    const { offsets, shape } = plan;
    return {
      first_layer: first,
      end_layer: end,
      layer_step: plan.stateFloats,
      bands: plan.bands,
      weight1_at: offsets.conv1,
      scale1_at: offsets.scale1,
      shift1_at: offsets.shift1,
      weight2_at: offsets.conv2,
      scale2_at: offsets.scale2,
      shift2_at: offsets.shift2,
      parts_at: this.#partsOf(1),
      parts_step: plan.placeParts,
      outer: shape.depth ** -shape.beta,
      epsilon: epsilonOf(shape.normalisation),
    };
  }

  #fusedForward(recorder: Recorder, first: number, end: number): void {
    const { plan, stack } = this;
    const { offsets } = plan;
    const layers = end - first;
    // Two layers in turn, unless all are kept.
    const kept = this.#tensor("first").bytes > 4 * plan.stateFloats;
    const around = (name: string) => (kept ? this.#layer(name, first - 1, layers + 1) : this.#tensor(name));
    this.#dispatch(
      recorder,
      "fused",
      {
        theta: stack.theta,
        moments: this.#tensor("moments"),
        first: kept ? this.#layer("first", first, layers) : this.#tensor("first"),
        second: around("second"),
        states: around("states"),
      },
      { ...this.#fusedParams(first, end), bias1_at: offsets.bias1, bias2_at: offsets.bias2 },
      this.#count,
    );
  }

  #fusedBackward(recorder: Recorder, first: number, end: number): void {
    const { plan, stack } = this;
    const layers = end - first;
    this.#dispatch(
      recorder,
      "fusedBack",
      {
        theta: stack.theta,
        moments: this.#tensor("moments"),
        sums: this.#tensor("sums"),
        first: this.#layer("first", first, layers),
        second: this.#layer("second", first - 1, layers + 1),
        grad_first: this.#layer("gradFirst", first % plan.segmentLayers, layers),
        grad_second: this.#layer("gradSecond", first % plan.segmentLayers, layers),
        adjoint: this.#tensor("adjoint"),
      },
      this.#fusedParams(first, end),
      this.#count,
    );
  }

  /** Gradients of the convolutions of layers `first` … that `gradFirst` and `gradSecond` hold. */
  #weightGradients(recorder: Recorder, first: number): void {
    const { plan, stack } = this;
    const { shape, offsets, stateFloats } = plan;
    const { channels } = shape;
    const layers = Math.min(plan.segmentLayers, shape.depth - first);
    const { OUT, LINES } = plan.layerConstants as { OUT: number; LINES: number };
    const lines = Math.ceil(channels / 4) * Math.ceil(channels / (4 * OUT));
    const weights = channels * channels * 9;
    for (const [role, input, g, weight, bias] of [
      ["firstWeights", "states", "gradFirst", "conv1", "bias1"],
      ["secondWeights", "first", "gradSecond", "conv2", "bias2"],
    ] as const)
      this.#dispatch(
        recorder,
        role,
        {
          theta: stack.theta,
          moments: this.#tensor("moments"),
          input: this.#layer(input, first, layers),
          g: this.#layer(g, 0, layers),
          partials: this.gradients,
        },
        {
          ...this.#norm(2 * first + 1, "training"),
          parts_step: 2 * plan.placeParts,
          images: this.#count,
          input_step: stateFloats,
          g_step: stateFloats,
          weight_to: offsets[weight] + first * weights,
          bias_to: offsets[bias] + first * channels,
          partial_step: 0,
        },
        [Math.ceil(lines / LINES), layers],
      );
  }

  #normGradients(recorder: Recorder, bands: number): void {
    const { plan } = this;
    const { shape, offsets, placeParts } = plan;
    const layers = { places: shape.depth, step: 2 * placeParts, normalisation: shape.normalisation };
    for (const { place, places, step, normalisation, scale, shift } of [
      { place: 0, places: 1, step: 0, normalisation: shape.stem.normalisation, scale: "stemScale", shift: "stemShift" },
      { place: 1, ...layers, scale: "scale1", shift: "shift1" },
      { place: 2, ...layers, scale: "scale2", shift: "shift2" },
    ] as const) {
      if (normalisation.kind === "none") continue;
      this.#dispatch(
        recorder,
        "norms",
        { sums: this.#tensor("sums"), partials: this.gradients },
        {
          places,
          parts: normalisation.kind === "batch" ? this.#parts : this.#count * bands,
          parts_at: this.#partsOf(place),
          parts_step: step,
          scale_to: offsets[scale],
          shift_to: offsets[shift],
        },
        Math.ceil((places * shape.channels) / INVOCATIONS),
      );
    }
  }

  #normGroups() {
    const { shape } = this.plan;
    return [
      { normalisation: shape.stem.normalisation, first: 0, places: 1 },
      { normalisation: shape.normalisation, first: 1, places: 2 * shape.depth },
    ];
  }

  /** Parts of a batch normalisation's moments: a band of four images each. */
  get #parts(): number {
    return Math.ceil(this.#count / 4) * this.plan.bands;
  }

  get #tileGrid(): [number, number] {
    return [Math.ceil(this.#count / 4), this.plan.lineGroups];
  }

  #partsOf(place: number): number {
    return this.plan.runningParts + place * this.plan.placeParts;
  }

  #normalisationAt(place: number) {
    const { shape } = this.plan;
    return place === 0 ? shape.stem.normalisation : shape.normalisation;
  }

  /** Where the normalisation of a place finds its moments, scales and shifts. */
  #norm(place: number, mode: ConvMode) {
    const { plan } = this;
    const normalisation = this.#normalisationAt(place);
    const running = mode === "evaluation" && normalisation.kind === "batch";
    return {
      bands: plan.bands,
      epsilon: epsilonOf(normalisation),
      ...this.#scaleAndShift(place),
      parts_at: running ? place : this.#partsOf(place),
      parts: running ? 1 : this.#parts,
    };
  }

  /** The same of the normalisation whose adjoint comes after. */
  #next(place: number) {
    const { scale_at, shift_at } = this.#scaleAndShift(place);
    return {
      next_epsilon: epsilonOf(this.#normalisationAt(place)),
      next_scale_at: scale_at,
      next_shift_at: shift_at,
      next_parts_at: this.#partsOf(place),
    };
  }

  #scaleAndShift(place: number): { scale_at: number; shift_at: number } {
    const { offsets, shape } = this.plan;
    if (place === 0) return { scale_at: offsets.stemScale, shift_at: offsets.stemShift };
    const layer = Math.floor((place - 1) / 2) * shape.channels;
    return place % 2 === 1
      ? { scale_at: offsets.scale1 + layer, shift_at: offsets.shift1 + layer }
      : { scale_at: offsets.scale2 + layer, shift_at: offsets.shift2 + layer };
  }

  /** The maps of some layers in a tensor that holds those of all, or fewer in turn. */
  #layer(name: string, first: number, layers = 1): Range {
    const bytes = 4 * this.plan.stateFloats;
    const tensor = this.#tensor(name);
    return { tensor, offset: (first % (tensor.bytes / bytes)) * bytes, bytes: layers * bytes };
  }

  /** The states before and after layer k - 1, next to each other where all are kept. */
  #statesAround(k: number): Range {
    const bytes = 4 * this.plan.stateFloats;
    const tensor = this.#tensor("states");
    const slots = tensor.bytes / bytes;
    if (slots === 1 || k === 0) return { tensor, bytes };
    return slots === 2 ? { tensor } : { tensor, offset: (k - 1) * bytes, bytes: 2 * bytes };
  }

  #stateSlots(k: number): { before_at: number; state_at: number } {
    const { stateFloats } = this.plan;
    const kept = this.#tensor("states").bytes / (4 * stateFloats) > 2;
    if (k === 0) return { before_at: 0, state_at: 0 };
    const before = kept ? 0 : (k - 1) % 2;
    return { before_at: before * stateFloats, state_at: (1 - before) * stateFloats };
  }

  #dispatch(
    recorder: Recorder,
    role: string,
    bindings: Readonly<Record<string, Tensor | Range>>,
    params: Params,
    grid: number | readonly [number, number?],
  ): void {
    recorder.dispatch(this.#kernels[role]!, bindings, params, typeof grid === "number" ? [grid] : grid);
  }

  #tensor(name: string): Tensor {
    const tensor = this.#tensors[name];
    if (!tensor) throw new Error(`this pass has no tensor ${name}: it was planned without training`);
    return tensor;
  }
}
