import { ConfigError } from "../config/errors.ts";
import type { FlowConfig } from "../config/flow.ts";
import { scheduleFactor } from "../config/flow.ts";
import type { Gpu, Tensor } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import { Recorder } from "../gpu/recorder.ts";
import type { DensePass, GradientPart } from "../model/dense_pass.ts";
import type { DenseStack, GroupName, ParameterGroup } from "../model/dense_stack.ts";
import { BOSH3, EULER, HEUN, RK4, type Tableau } from "../ode/tableaus.ts";
import { ceilTo } from "../plan/dense.ts";
import { layerGrid, layerSums, REDUCE_GROUPS, vectorGrid } from "../plan/grids.ts";
import { DepthPenalty } from "./depth_penalty.ts";

export type FlowStatus = "running" | "done" | "diverged" | "cancelled";

/** Where one of several replicas stands. */
export interface ReplicaState {
  readonly status: FlowStatus;
  /** Its last finite loss. */
  readonly loss: number;
  readonly divergedAt?: Divergence;
}

/** Step whose loss was not finite or above `stop.lossAbove`, and that loss. */
export interface Divergence {
  readonly step: number;
  readonly loss: number;
}

/**
 * Where a training run stands; after divergence, `step` and `time` are those of the last good state, which is restored.
 * Of several replicas those that diverge stay as they are, the others go on; the run has diverged when all have, and its step
 * is the last one's of them.
 */
export interface FlowState {
  readonly status: FlowStatus;
  /** Steps taken. */
  readonly step: number;
  /** Training time t, of the first replica where rates differ. */
  readonly time: number;
  /** Loss at the last state evaluated; of a finished run, before its last step; the mean of the replicas that have not diverged. */
  readonly loss: number;
  readonly divergedAt?: Divergence;
  /** One for each replica. */
  readonly replicas: readonly ReplicaState[];
  /** Accepted and rejected steps of the adaptive method. */
  readonly rejected: number;
}

export interface AdvanceOptions {
  /** Returns after this many further steps (stop rules still hold). */
  readonly steps?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called after every batch of steps. */
  readonly onProgress?: ((state: FlowState) => void) | undefined;
}

/** What a resumed run needs besides its stack's `change`: bit-identical continuation. */
export interface FlowSnapshot {
  readonly step: number;
  readonly time: number;
  /** Last finite loss of each replica, and where it diverged. */
  readonly replicas: readonly { readonly loss: number; readonly divergedAt?: Divergence }[];
  readonly dt: number;
  /** Error of the last accepted step, for the controller. */
  readonly lastError: number;
  readonly rejected: number;
  readonly moments: Readonly<Record<string, Float32Array<ArrayBuffer>>>;
}

const GROUPS: readonly GroupName[] = ["A", "Z", "B"];
const LOSS_RING = 256;
const BATCH_MS = 200;
const NO_CLIP = 3.4e38;

const TABLEAUS: Record<FlowConfig["method"], Tableau> = { euler: EULER, heun: HEUN, rk4: RK4, adaptive: BOSH3 };

export interface GradientFlowOptions {
  /** Rate of each replica, in place of `config.rate`. */
  readonly rates?: readonly number[];
}

/**
 * Trains a stack on one batch of data along its gradient flow; replicas of a stack side by side, each along its own.
 *
 * Explicit Euler and the discrete optimisers update each range of layers as soon as its gradient exists, with no gradient
 * buffer ("fused"); clipping by norm, a depth penalty and Runge–Kutta methods keep the gradients of their stages.
 */
export class GradientFlow {
  readonly stack: DenseStack;
  readonly pass: DensePass;
  readonly config: FlowConfig;
  readonly recorder: Recorder;
  readonly #gpu: Gpu;
  readonly #kernels: Record<string, Kernel>;
  readonly #penalty: DepthPenalty | undefined;
  readonly #tableau: Tableau;
  readonly #losses: Tensor;
  readonly #unused: Tensor;
  readonly #rates: readonly number[];
  /** For `flow/update` and `flow/gradient`: [steps of a batch and one more, A Z B, R] of (rate, scale_w, scale_v, 0). */
  readonly #table: Tensor | undefined;
  readonly #tabled: Float32Array<ArrayBuffer>;
  readonly #trained: ParameterGroup[];
  readonly #gradients = new Map<GroupName, Tensor>();
  readonly #bases = new Map<GroupName, Tensor>();
  readonly #moments = new Map<GroupName, readonly [Tensor, Tensor]>();
  readonly #normScales = new Map<GroupName, Tensor>();
  readonly #backups: { step: number; time: number; tensors: Map<GroupName, Tensor> }[] = [];
  #partial: Tensor | undefined;
  #step = 0;
  #time = 0;
  #dt: number;
  readonly #replicas: { loss: number; divergedAt?: Divergence }[];
  #rejected = 0;
  #batch = 1;
  #stepMs = 0;
  #warm = false;
  #status: FlowStatus = "running";

  private constructor(
    stack: DenseStack,
    pass: DensePass,
    config: FlowConfig,
    rates: readonly number[],
    kernels: Record<string, Kernel>,
    penalty: DepthPenalty | undefined,
  ) {
    this.stack = stack;
    this.pass = pass;
    this.config = config;
    this.#gpu = stack.gpu;
    this.#kernels = kernels;
    this.#penalty = penalty;
    this.recorder = new Recorder(stack.gpu);
    this.#tableau = TABLEAUS[config.method];
    this.#dt = rates[0]!;
    const { replicas } = stack;
    this.#rates = rates;
    this.#replicas = rates.map(() => ({ loss: Number.NaN }));
    this.#losses = stack.gpu.tensor("losses", 8 * LOSS_RING * replicas);
    const tabled = replicas > 1 ? 4 * (LOSS_RING + 1) * GROUPS.length * replicas : 0;
    this.#tabled = new Float32Array(tabled);
    if (replicas > 1) this.#table = stack.gpu.tensor("rates and scales of the replicas", 4 * tabled);
    this.#unused = stack.gpu.tensor("unused", 16);
    this.#trained = GROUPS.filter((name) => config.trained[name]).map((name) => stack.groups[name]);
    const stages = this.#tableau.b.length;
    for (const group of this.#trained) {
      const { name, floats } = group;
      const bytes = 4 * floats;
      if (!this.#fused)
        this.#gradients.set(name, stack.gpu.tensor(`gradients of ${name}`, 4 * stages * stageFloats(group)));
      if (stages > 1) this.#bases.set(name, stack.gpu.tensor(`base of ${name}`, bytes));
      if (config.optimiser !== "descent")
        this.#moments.set(name, [
          stack.gpu.tensor(`first moment of ${name}`, bytes),
          config.optimiser === "momentum" ? this.#unused : stack.gpu.tensor(`second moment of ${name}`, bytes),
        ]);
      if (config.clip.kind === "norm")
        this.#normScales.set(name, stack.gpu.tensor(`norm scales of ${name}`, 4 * stages * this.#layers(group)));
    }
    // Replicas that diverge are left as they are.
    for (let i = 0; i < (replicas === 1 ? 2 : 0); i++) {
      const tensors = new Map(
        this.#trained.map(({ name, floats }) => [name, stack.gpu.tensor(`last good ${name}`, 4 * floats)] as const),
      );
      this.#backups.push({ step: -1, time: 0, tensors });
    }
    if (config.method === "adaptive") this.#partial = stack.gpu.tensor("stage error", 8 * (3 * REDUCE_GROUPS + 1));
  }

  /** @throws ConfigError when replicas are asked for what only a single stack can do. */
  static async create(
    stack: DenseStack,
    pass: DensePass,
    config: FlowConfig,
    { rates }: GradientFlowOptions = {},
  ): Promise<GradientFlow> {
    const { gpu, replicas } = stack;
    const each = rates ?? Array.from({ length: replicas }, () => config.rate);
    if (each.length !== replicas)
      throw new ConfigError("rates", `must be ${replicas}, one for each replica`, each.length);
    if (replicas > 1) checkReplicas(config, each);
    const clipNorm = { CLIP_NORM: config.clip.kind === "norm" };
    const optimiser = ["descent", "momentum", "adam", "adamw"].indexOf(config.optimiser);
    const wanted: Record<string, Promise<Kernel>> = {};
    if (TABLEAUS[config.method].b.length === 1) {
      for (const { name, floats, initialFloats } of Object.values(stack.groups)) {
        const layerFloats = floats / replicas / (name === "Z" ? stack.shape.depth : 1);
        const shape =
          name === "Z"
            ? { TIED: initialFloats < floats, LAYER4: layerFloats / 4, HALF4: stack.widthPadded / 4 }
            : // One variant serves A and B, unless clipping needs their size.
              { TIED: false, LAYER4: clipNorm.CLIP_NORM || replicas > 1 ? layerFloats / 4 : 1, HALF4: 1 };
        wanted[`update${name}`] = gpu.kernel("flow/update", {
          ...{ OPTIMISER: optimiser, REPLICAS: replicas },
          ...clipNorm,
          ...shape,
        });
      }
    } else wanted.combine = gpu.kernel("flow/combine", clipNorm);
    const penalty = await DepthPenalty.create(stack, config);
    if (TABLEAUS[config.method].b.length > 1 || clipNorm.CLIP_NORM || penalty)
      wanted.gradient = gpu.kernel("flow/gradient", { REPLICAS: replicas });
    if (clipNorm.CLIP_NORM)
      for (const { name, floats } of Object.values(stack.groups)) {
        const layers = name === "Z" ? stack.shape.depth : 1;
        const { lanes } = layerSums(layers, floats / replicas / layers / 4, gpu.profile);
        wanted[`normScale${name}`] = gpu.kernel("flow/norm_scale", { LANES: lanes });
      }
    if (config.method === "adaptive") {
      wanted.stageError = gpu.kernel("flow/stage_error", clipNorm);
      wanted.sum = gpu.kernel("metric/sum");
    }
    const kernels: Record<string, Kernel> = {};
    for (const [name, promise] of Object.entries(wanted)) kernels[name] = await promise;
    return new GradientFlow(stack, pass, config, each, kernels, penalty);
  }

  get state(): FlowState {
    const replicas = this.#replicas.map(
      ({ loss, divergedAt }): ReplicaState => ({
        status: divergedAt ? "diverged" : this.#status,
        loss,
        ...(divergedAt && { divergedAt }),
      }),
    );
    const going = replicas.filter(({ divergedAt }) => !divergedAt);
    const counted = going.length > 0 ? going : replicas;
    const last = replicas.reduce<Divergence | undefined>(
      (latest, { divergedAt }) => (divergedAt && !(latest && latest.step >= divergedAt.step) ? divergedAt : latest),
      undefined,
    );
    return {
      status: this.#status,
      step: this.#step,
      time: this.#time,
      loss: counted.reduce((sum, { loss }) => sum + loss, 0) / counted.length,
      rejected: this.#rejected,
      ...(this.#status === "diverged" && last && { divergedAt: last }),
      replicas,
    };
  }

  /**
   * Advances until `options.steps` more steps are taken, a stop rule holds, or the signal aborts.
   * Divergence is not an exception: the status says so and the last good state is restored.
   */
  async advance(options: AdvanceOptions = {}): Promise<FlowState> {
    const { stop } = this.config;
    const last = Math.min(stop.steps, options.steps === undefined ? stop.steps : this.#step + options.steps);
    if (this.#status === "cancelled") this.#status = "running";
    while (this.#status === "running") {
      if (this.#step >= stop.steps || (stop.time !== undefined && this.#time >= stop.time * (1 - 1e-12))) {
        this.#status = "done";
        break;
      }
      if (this.#step >= last) break;
      if (options.signal?.aborted) {
        this.#status = "cancelled";
        break;
      }
      if (this.config.method === "adaptive") await this.#adaptiveStep();
      else await this.#runBatch(last);
      options.onProgress?.(this.state);
    }
    return this.state;
  }

  /** Numbers that a checkpoint needs besides the stack's `change`. */
  async snapshot(): Promise<FlowSnapshot> {
    const moments: Record<string, Float32Array<ArrayBuffer>> = {};
    for (const [name, pair] of this.#moments)
      for (const [i, tensor] of pair.entries())
        if (tensor !== this.#unused) moments[`moment${i + 1}.${name}`] = await this.#gpu.read(tensor);
    return {
      step: this.#step,
      time: this.#time,
      replicas: this.#replicas.map((replica) => ({ ...replica })),
      dt: this.#dt,
      lastError: this.#lastError,
      rejected: this.#rejected,
      moments,
    };
  }

  /** Continues from a snapshot; the stack's `change` is restored by the caller (`DenseStack.writeState`). */
  restore(snapshot: FlowSnapshot): void {
    for (const [name, pair] of this.#moments)
      for (const [i, tensor] of pair.entries()) {
        if (tensor === this.#unused) continue;
        const data = snapshot.moments[`moment${i + 1}.${name}`];
        if (!data) throw new RangeError(`the snapshot lacks moment${i + 1}.${name}`);
        this.#gpu.write(tensor, data);
      }
    this.#step = snapshot.step;
    this.#time = snapshot.time;
    snapshot.replicas.forEach((replica, r) => {
      this.#replicas[r] = { ...replica };
    });
    this.#dt = snapshot.dt;
    this.#lastError = snapshot.lastError;
    this.#rejected = snapshot.rejected;
    this.#status = this.#replicas.every(({ divergedAt }) => divergedAt) ? "diverged" : "running";
    for (const backup of this.#backups) backup.step = -1;
  }

  destroy(): void {
    this.recorder.destroy();
    this.#penalty?.destroy();
    this.#gpu.release(
      this.#losses,
      this.#table,
      this.#unused,
      this.#partial,
      ...this.#gradients.values(),
      ...this.#bases.values(),
      ...[...this.#moments.values()].flat(),
      ...this.#normScales.values(),
      ...this.#spares.values(),
      ...this.#backups.flatMap(({ tensors }) => [...tensors.values()]),
    );
  }

  get #fused(): boolean {
    return this.#tableau.b.length === 1 && this.config.clip.kind !== "norm" && !this.#penalty;
  }

  /** Several steps in one submit; their losses come back in one read. */
  async #runBatch(last: number): Promise<void> {
    const { stop } = this.config;
    const first = this.#step;
    const startTime = this.#time;
    // A stop by loss is looked for after every step, so that where it ends does not depend on the clock.
    const most = stop.lossBelow === undefined ? this.#batch : 1;
    const steps = Math.min(most, last - first, LOSS_RING - 1);
    const started = performance.now();
    this.#backUp(first);
    let taken = 0;
    for (; taken < steps && this.recorder.fullness < 0.7; taken++) {
      if (
        taken > 0 &&
        stop.time !== undefined &&
        this.#timeAt(first + taken, startTime, first) >= stop.time * (1 - 1e-12)
      )
        break;
      this.#encodeStep(first + taken, taken);
    }
    const count = this.#replicas.length;
    const read = this.recorder.read(this.#losses, 0, 8 * taken * count);
    this.recorder.submit(taken * this.#stepMs);
    const losses = new Float32Array(await read);
    const elapsed = performance.now() - started;
    // The quickest step seen, forgotten slowly: what a wait may safely assume. The first one may have compiled kernels
    // (lavapipe does so at the first dispatch, 9 s where a step takes 3 ms), and a wait would be believed ever after.
    if (this.#warm)
      this.#stepMs = Math.min(elapsed / taken, this.#stepMs === 0 ? Number.POSITIVE_INFINITY : 1.05 * this.#stepMs);
    this.#warm = true;
    // Only the length of a batch depends on the clock; the numbers do not.
    if (taken === this.#batch)
      this.#batch = Math.max(1, Math.min(LOSS_RING - 1, Math.round((taken * BATCH_MS) / Math.max(elapsed, 1))));
    for (let i = 0; i < taken; i++)
      for (const [r, replica] of this.#replicas.entries()) {
        if (replica.divergedAt) continue;
        const loss = losses[2 * (i * count + r)]!;
        if (this.#isDivergence(loss)) {
          replica.divergedAt = { step: first + i, loss };
          if (count > 1) continue;
          await this.#returnToGood(i === 0);
          return;
        }
        if (stop.lossBelow !== undefined && loss < stop.lossBelow) this.#status = "done";
        replica.loss = loss;
      }
    const ended = this.#replicas.every(({ divergedAt }) => divergedAt);
    if (ended) this.#status = "diverged";
    this.#step = ended ? Math.max(...this.#replicas.map(({ divergedAt }) => divergedAt!.step)) : first + taken;
    this.#time = this.#timeAt(this.#step, startTime, first);
  }

  #rateAt(step: number, rate = this.#rates[0]!): number {
    return rate * scheduleFactor(this.config.schedule, step);
  }

  /** t = steps · η for a constant rate, never an accumulated sum; a schedule needs the sum. */
  #timeAt(step: number, fromTime: number, fromStep: number): number {
    if (this.config.schedule.kind === "constant") return step * this.#rates[0]!;
    let time = fromTime;
    for (let s = fromStep; s < step; s++) time += this.#rateAt(s);
    return time;
  }

  #isDivergence(loss: number): boolean {
    return !Number.isFinite(loss) || (this.config.stop.lossAbove !== undefined && loss > this.config.stop.lossAbove);
  }

  /** Records one step: evaluation at the current state, its loss into ring slot `at`, and the update. */
  #encodeStep(step: number, at: number): void {
    const { recorder } = this;
    const rate = this.#rateAt(step);
    if (this.#tableau.b.length === 1) {
      this.#evaluate(at, (part) => this.#takePart(part, 0, () => this.#update(part, step, at)));
      if (!this.#fused) this.#updateFromGradients(step, at);
      return;
    }
    for (const group of this.#trained)
      recorder.copy({ tensor: group.change }, { tensor: this.#bases.get(group.name)! }, 4 * group.floats);
    this.#stages(rate, at, 0);
    this.#combine(this.#tableau.b.map((b) => b * rate));
  }

  /** Gradients of stages `from` … at base + dt Σ a v; leaves the weights at the last stage's point. */
  #stages(dt: number, at: number, from: number): void {
    const { a } = this.#tableau;
    for (let s = from; s < a.length; s++) {
      if (s > 0) this.#combine(a[s]!.map((value) => value * dt));
      this.#evaluate(s === 0 ? at : LOSS_RING - 1, (part) => this.#takePart(part, s, undefined));
      this.#penalise(s);
      this.#scaleNorms(s);
    }
  }

  #evaluate(at: number, take: (part: GradientPart) => void): void {
    this.pass.forward(this.recorder, this.config.trained.A);
    this.pass.encodeLoss(this.recorder, this.#losses, at * this.#replicas.length);
    const { V, W } = this.config.layerFactors;
    this.pass.adjoint(this.recorder, this.config.trained, (part) =>
      take(part.group === "Z" ? { ...part, scales: part.scales.map(({ w, v }) => ({ w: W * w, v: V * v })) } : part),
    );
  }

  #takePart(part: GradientPart, stage: number, update: (() => void) | undefined): void {
    if (this.#fused && update) {
      update();
      return;
    }
    const group = this.stack.groups[part.group];
    const gradients = this.#gradients.get(part.group)!;
    this.recorder.dispatch(
      this.#kernels.gradient!,
      {
        partials: part.partials,
        replicas: this.#table ?? this.#unused,
        grad: { tensor: gradients, offset: 4 * (stage * stageFloats(group) + part.firstFloat), bytes: 4 * part.floats },
      },
      {
        count4: part.floats / 4,
        groups: part.partialGroups,
        layer4: this.#layerFloats(group) / 4,
        unit4: part.unitFloats / 4,
        half4: part.unitFloats / 8,
        scale_w: part.scales[0]!.w,
        scale_v: part.scales[0]!.v,
        first_replica: this.#tableEntry(LOSS_RING, part, () => 0),
      },
      vectorGrid(part.floats, this.#gpu.profile),
    );
  }

  #update(part: GradientPart, step: number, at: number): void {
    const { config } = this;
    const rateOf = (rate: number) => this.#rateAt(step, rate) * config.groupRates[part.group];
    const group = this.stack.groups[part.group];
    const range = { offset: 4 * part.firstFloat, bytes: 4 * part.floats };
    const [moment1, moment2] = this.#moments.get(part.group) ?? [this.#unused, this.#unused];
    const moment = (tensor: Tensor, other: string) =>
      tensor === this.#unused ? { tensor: this.#spare(other) } : { tensor, ...range };
    this.recorder.dispatch(
      this.#kernels[`update${part.group}`]!,
      {
        partials: part.partials,
        // Tied initial values repeat every layer, others lie beside the change.
        initial: group.initialFloats === group.floats ? { tensor: group.initial, ...range } : group.initial,
        norm_scale: this.#normScales.get(part.group) ?? this.#unused,
        replicas: this.#table ?? this.#unused,
        change: { tensor: group.change, ...range },
        weights: { tensor: group.weights, ...range },
        moment1: moment(moment1, "moment1"),
        moment2: moment(moment2, "moment2"),
      },
      {
        count4: part.floats / 4,
        groups: part.partialGroups,
        first_replica: this.#tableEntry(at, part, rateOf),
        scale_w: part.scales[0]!.w,
        scale_v: part.scales[0]!.v,
        factor: group.factor,
        clip: config.clip.kind === "coordinate" ? config.clip.bound : NO_CLIP,
        rate: rateOf(this.#rates[0]!),
        decay: config.optimiser === "descent" ? 0 : config.weightDecay,
        momentum: config.momentum,
        beta1: config.beta1,
        beta2: config.beta2,
        epsilon: config.epsilon,
        correction1: 1 / (1 - config.beta1 ** (step + 1)),
        correction2: 1 / (1 - config.beta2 ** (step + 1)),
      },
      vectorGrid(part.floats, this.#gpu.profile),
    );
  }

  /** Index in the table of what the replicas of a part have of their own at place `at` of a batch; written where it is new. */
  #tableEntry(at: number, { group, scales }: GradientPart, rateOf: (rate: number) => number): number {
    if (!this.#table) return 0;
    const first = (at * GROUPS.length + GROUPS.indexOf(group)) * scales.length;
    const entry = Float32Array.from(scales.flatMap(({ w, v }, r) => [rateOf(this.#rates[r]!), w, v, 0]));
    if (entry.some((value, i) => this.#tabled[4 * first + i] !== value)) {
      this.#tabled.set(entry, 4 * first);
      this.#gpu.write(this.#table, entry, 16 * first);
    }
    return first;
  }

  readonly #spares = new Map<string, Tensor>();
  /** Two writable bindings may not overlap, so each unused one has 16 bytes of its own. */
  #spare(name: string): Tensor {
    let tensor = this.#spares.get(name);
    if (!tensor) {
      tensor = this.#gpu.tensor(`unused ${name}`, 16);
      this.#spares.set(name, tensor);
    }
    return tensor;
  }

  /** The update of clipping by norm and of a depth penalty: whole gradients, what is added or measured of them, then one dispatch a group. */
  #updateFromGradients(step: number, at: number): void {
    this.#penalise(0);
    this.#scaleNorms(0);
    for (const group of this.#trained)
      this.#update(
        {
          group: group.name,
          firstFloat: 0,
          floats: group.floats,
          partials: { tensor: this.#gradients.get(group.name)!, bytes: 4 * group.floats },
          partialGroups: 1,
          unitFloats: 2 * group.floats,
          scales: this.#rates.map(() => ({ w: 1, v: 1 })),
        },
        step,
        at,
      );
  }

  /** Adds the gradient of the penalty on differences of layers to that of a stage. */
  #penalise(stage: number): void {
    const { Z } = this.stack.groups;
    this.#penalty?.encode(this.recorder, {
      tensor: this.#gradients.get("Z")!,
      offset: 4 * stage * stageFloats(Z),
      bytes: 4 * Z.floats,
    });
  }

  #scaleNorms(stage: number): void {
    const { clip } = this.config;
    if (clip.kind !== "norm") return;
    for (const group of this.#trained) {
      const layers = this.#layers(group);
      const layer4 = group.floats / layers / 4;
      this.recorder.dispatch(
        this.#kernels[`normScale${group.name}`]!,
        {
          gradient: {
            tensor: this.#gradients.get(group.name)!,
            offset: 4 * stage * stageFloats(group),
            bytes: 4 * group.floats,
          },
          y: this.#normScales.get(group.name)!,
        },
        { layers, layer4, at: stage * layers, factor: group.factor, bound: clip.bound },
        layerGrid(layers, layerSums(layers / this.stack.replicas, layer4, this.#gpu.profile).lanes),
      );
    }
  }

  #combine(coefficients: readonly number[]): void {
    const { clip } = this.config;
    for (const group of this.#trained) {
      const c = (s: number) => (coefficients[s] ?? 0) * this.config.groupRates[group.name];
      this.recorder.dispatch(
        this.#kernels.combine!,
        {
          base: this.#bases.get(group.name)!,
          gradients: this.#gradients.get(group.name)!,
          norm_scale: this.#normScales.get(group.name) ?? this.#unused,
          initial: group.initial,
          change: group.change,
          weights: group.weights,
        },
        {
          count4: group.floats / 4,
          stride4: stageFloats(group) / 4,
          layer4: this.#layerFloats(group) / 4,
          layers: this.#layers(group),
          initial4: group.initialFloats / 4,
          stages: coefficients.length,
          factor: group.factor,
          clip: clip.kind === "coordinate" ? clip.bound : NO_CLIP,
          c0: c(0),
          c1: c(1),
          c2: c(2),
          c3: c(3),
          c4: c(4),
          c5: c(5),
          c6: c(6),
        },
        vectorGrid(group.floats, this.#gpu.profile),
      );
    }
  }

  /**
   * One accepted step of the embedded pair, with a PI controller on the error (Hairer, Nørsett, Wanner, Solving ODEs I,
   * IV.2: exponents 0.7/p and 0.4/p, factors in [0.2, 5], safety 0.9).
   */
  async #adaptiveStep(): Promise<void> {
    const { stop } = this.config;
    const tableau = this.#tableau;
    const order = tableau.errorOrder! + 1;
    this.#backUp(this.#step);
    for (const group of this.#trained)
      this.recorder.copy({ tensor: group.change }, { tensor: this.#bases.get(group.name)! }, 4 * group.floats);
    for (let attempt = 0; ; attempt++) {
      const hitsEnd = stop.time !== undefined && this.#time + this.#dt >= stop.time;
      const dt = hitsEnd ? stop.time! - this.#time : this.#dt;
      // The first stage is at the base, whatever dt: it is evaluated once.
      this.#stages(dt, 0, attempt === 0 ? 0 : 1);
      this.#combine(tableau.b.map((b) => b * dt));
      const [error, loss] = await this.#readError(dt);
      if (attempt === 0) {
        const [replica] = this.#replicas;
        if (this.#isDivergence(loss)) {
          replica!.divergedAt = { step: this.#step, loss };
          await this.#returnToGood(true);
          return;
        }
        replica!.loss = loss;
        if (stop.lossBelow !== undefined && loss < stop.lossBelow) this.#status = "done";
      }
      const factor = error > 0 ? 0.9 * error ** (-0.7 / order) * this.#lastError ** (0.4 / order) : 5;
      if (error <= 1) {
        this.#lastError = Math.max(error, 1e-4);
        this.#dt = dt * Math.min(5, Math.max(0.2, factor));
        this.#time = hitsEnd ? stop.time! : this.#time + dt;
        this.#step++;
        return;
      }
      this.#rejected++;
      this.#dt = dt * Math.max(0.2, Number.isFinite(error) ? Math.min(0.9, 0.9 * error ** (-1 / order)) : 0.2);
      if (this.#dt < 1e-12 * Math.max(1, this.#time)) {
        this.#replicas[0]!.divergedAt = { step: this.#step, loss: Number.NaN };
        await this.#returnToGood(false);
        return;
      }
    }
  }
  #lastError = 1;

  /** Weighted root mean square of the embedded error over all trained numbers, and the loss of the first stage. */
  async #readError(dt: number): Promise<[number, number]> {
    const { config, recorder } = this;
    const partial = this.#partial!;
    const error = this.#tableau.error!;
    let count = 0;
    for (const [g, group] of this.#trained.entries()) {
      const d = (s: number) => (error[s] ?? 0) * dt * config.groupRates[group.name];
      recorder.dispatch(
        this.#kernels.stageError!,
        {
          base: this.#bases.get(group.name)!,
          change: group.change,
          gradients: this.#gradients.get(group.name)!,
          norm_scale: this.#normScales.get(group.name) ?? this.#unused,
          partial,
        },
        {
          count4: group.floats / 4,
          stride4: stageFloats(group) / 4,
          layer4: this.#layerFloats(group) / 4,
          layers: this.#layers(group),
          stages: error.length,
          at: g * REDUCE_GROUPS,
          factor: group.factor,
          clip: config.clip.kind === "coordinate" ? config.clip.bound : NO_CLIP,
          atol: config.atol,
          rtol: config.rtol,
          d0: d(0),
          d1: d(1),
          d2: d(2),
          d3: d(3),
          d4: d(4),
          d5: d(5),
          d6: d(6),
        },
        [REDUCE_GROUPS],
      );
      count += group.floats;
    }
    recorder.dispatch(
      this.#kernels.sum!,
      { x: partial, y: this.#losses },
      { count: this.#trained.length * REDUCE_GROUPS, at: 1 },
      [1],
    );
    const read = recorder.read(this.#losses, 0, 16);
    recorder.submit();
    const [loss, , sum] = new Float32Array(await read);
    return [Math.sqrt(sum! / count), loss!];
  }

  /** Keeps the state at a batch's start; two in turn, so that one good one remains when a batch starts badly. */
  #backUp(step: number): void {
    const [older, newer] = this.#backups;
    if (!older) return;
    this.#backups[0] = newer!;
    this.#backups[1] = older;
    older.step = step;
    older.time = this.#time;
    for (const [name, tensor] of older.tensors) {
      const group = this.stack.groups[name];
      this.recorder.copy({ tensor: group.change }, { tensor }, 4 * group.floats);
    }
  }

  /** What follows the divergence of a single stack. */
  async #returnToGood(atStart: boolean): Promise<void> {
    this.#status = "diverged";
    const [older, newer] = this.#backups;
    // When the very first state is the bad one, there is nothing better to return to than itself.
    const good = atStart && older!.step >= 0 ? older! : newer!;
    for (const [name, tensor] of good.tensors) {
      const group = this.stack.groups[name];
      this.recorder.copy({ tensor }, { tensor: group.change }, 4 * group.floats);
    }
    this.recorder.submit();
    this.stack.writeState(await this.stack.readState());
    this.#step = good.step;
    this.#time = good.time;
  }

  /** Layers of all replicas, which are clipped one by one. */
  #layers(group: ParameterGroup): number {
    return this.stack.replicas * (group.name === "Z" ? this.stack.shape.depth : 1);
  }

  #layerFloats(group: ParameterGroup): number {
    return group.floats / this.#layers(group);
  }
}

function checkReplicas({ method, stop }: FlowConfig, rates: readonly number[]): void {
  if (method === "adaptive")
    throw new ConfigError("method", "must have fixed steps with several replicas, which share them", method);
  if (stop.lossBelow !== undefined)
    throw new ConfigError("stop.lossBelow", "must be absent with several replicas, which end together", stop.lossBelow);
  if (rates.some((rate) => rate !== rates[0]) && (method !== "euler" || stop.time !== undefined))
    throw new ConfigError("rates", "must agree but for Euler's method without stop.time");
}

/** Floats from the gradient of one stage to the next: bindings begin at multiples of 256 bytes. */
function stageFloats(group: ParameterGroup): number {
  return ceilTo(group.floats, 64);
}
