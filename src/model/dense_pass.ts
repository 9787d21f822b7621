import { ACTIVATIONS, denseScales, LOSSES, type Loss } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import type { Gpu, Tensor } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import { type Range, Recorder } from "../gpu/recorder.ts";
import {
  type DensePlan,
  type DensePlanOptions,
  type DenseProducts,
  type KernelPlan,
  planDense,
  type Segment,
} from "../plan/dense.ts";
import { lossGrid, matmulGrid, vectorGrid } from "../plan/grids.ts";
import type { KernelName } from "../plan/kernel_name.ts";
import { type MatmulPlace, matmulDispatch } from "../plan/matmul.ts";
import {
  adjointStages,
  blendNumbers,
  type DepthSolver,
  forwardStages,
  type LayerBlend,
  packBlend,
  transposed,
} from "../plan/stages.ts";
import type { DenseStack, GroupName } from "./dense_stack.ts";

export interface DenseData {
  /** X [n,d], row-major. */
  readonly inputs: Float32Array<ArrayBuffer>;
  /** Y [n,d'] for the squared losses, n class labels below d' for cross-entropy. */
  readonly targets: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
  readonly rows: number;
}

/**
 * Partial gradients of a range of one parameter group: ∂ℓ/∂θ = scale · Σ_g partials[g], with `w` of the replica's scales in the
 * first half of each unit of `unitFloats` and `v` in the second. With a `LayerBlend.metric` it is that matrix times ∂ℓ/∂θ.
 */
export interface GradientPart {
  readonly group: GroupName;
  readonly firstFloat: number;
  readonly floats: number;
  readonly partials: Range;
  readonly partialGroups: number;
  readonly unitFloats: number;
  /** One for each replica. */
  readonly scales: readonly GradientScales[];
}

export interface GradientScales {
  readonly w: number;
  readonly v: number;
}

/** States and gradients of the loss by them at both ends of a stack, each [n,q]: h_0, h_L, p_0 and p_L. */
export interface StackEnds {
  readonly firstState: Float32Array<ArrayBuffer>;
  readonly lastState: Float32Array<ArrayBuffer>;
  readonly firstAdjoint: Float32Array<ArrayBuffer>;
  readonly lastAdjoint: Float32Array<ArrayBuffer>;
}

const CALIBRATION_LAYERS = 64;
/** Time of a layer's adjoint over its forward pass: 2.2 on SwiftShader 5.0 (2026-11-23). */
const ADJOINT_TO_FORWARD = 2.5;

/** A range of a tensor with a matrix for each replica, `layer` floats from one to the next. */
interface Operand extends Range {
  readonly layer: number;
}

type MatmulEpilogue = 0 | 1 | 2 | 3 | 4;
type ProductRole = "hidden" | "state" | "gradient";

type DensePassOptions = Omit<DensePlanOptions, "rows" | "replicas">;

/**
 * Forward, loss and adjoint of a stack on one batch of n rows, with the states they need: as a residual network, or with
 * `options.solver` as a neural ODE whose weights over depth the stack's layers are. Replicas of a stack have n rows each.
 */
export class DensePass {
  readonly stack: DenseStack;
  readonly loss: Loss;
  readonly #gpu: Gpu;
  readonly #tensors: Record<string, Tensor> = {};
  readonly #kernels: Record<string, Kernel>;
  readonly #solver: DepthSolver | undefined;
  #plan: DensePlan;
  #embedded = false;

  private constructor(
    stack: DenseStack,
    plan: DensePlan,
    loss: Loss,
    kernels: Record<string, Kernel>,
    solver: DepthSolver | undefined,
  ) {
    this.stack = stack;
    this.#plan = plan;
    this.loss = loss;
    this.#gpu = stack.gpu;
    this.#kernels = kernels;
    this.#solver = solver;
  }

  /**
   * Plans, compiles and allocates a pass, and uploads its data: the same for all replicas, or a list of one for each.
   * @throws ConfigError when the data do not fit the shape, a label is out of range, or the device's layout takes no replicas.
   */
  static async create(
    stack: DenseStack,
    data: DenseData | readonly DenseData[],
    loss: Loss,
    options: DensePassOptions,
  ): Promise<DensePass> {
    const { gpu, shape, replicas } = stack;
    const sets = dataSets(stack, data, loss);
    const plan = planDense(shape, gpu.profile, { ...options, rows: sets[0]!.rows, replicas });
    const activation = { ACTIVATION: ACTIVATIONS.indexOf(shape.activation) };
    const kernels: Record<string, Kernel> = {};
    const compile = async (role: string, name: KernelName, constants: KernelPlan["constants"] = {}) => {
      kernels[role] = await gpu.kernel(name, constants);
    };
    const wanted = [
      compile("matmul", "dense/matmul"),
      compile("loss", "loss/loss", { LOSS: Math.max(0, LOSSES.indexOf(loss)) }),
      compile("sum", "metric/sum"),
      ...Object.entries(plan.kernels).map(([role, { name, constants }]) =>
        compile(role, name, { ...constants, ...activation }),
      ),
    ];
    if (plan.products)
      for (const [role, epilogue] of productsOf(options.training, plan.stages)) {
        const { name, constants } = plan.products[role].kernel;
        const sigma = epilogue === 1 || epilogue === 2 ? activation : {};
        wanted.push(compile(`${role} ${epilogue}`, name, { ...constants, ...sigma, EPILOGUE: epilogue }));
      }
    const { solver } = options;
    if (solver?.blend) wanted.push(compile("blend", "dense/blend"));
    if (plan.products && plan.stages > 1) wanted.push(compile("stage", "dense/stage"));
    await Promise.all(wanted);
    const pass = new DensePass(stack, plan, loss, kernels, solver);
    for (const [name, bytes] of Object.entries(plan.tensors))
      pass.#tensors[name] = gpu.tensor(`${name} of ${plan.rows} rows, depth ${shape.depth}`, bytes);
    pass.#tensors.unused = gpu.tensor("unused", 16);
    pass.#tensors.partialsA = gpu.tensor("partials of A", 4 * stack.groups.A.floats);
    pass.#tensors.partialsB = gpu.tensor("partials of B", 4 * stack.groups.B.floats);
    if (solver) pass.#uploadSolver(solver);
    gpu.write(pass.#tensor("scales"), Float32Array.from(pass.#scales.flatMap(({ w, v }) => [w, v])));
    pass.#upload(sets);
    await pass.#calibrate(options);
    return pass;
  }

  /**
   * Times a few layers on the device; where a layer is slower than the plan's estimate, segments become shorter, so that
   * no dispatch outlasts its time budget. Segments carry their states exactly: their length changes no bit.
   */
  async #calibrate(options: DensePassOptions): Promise<void> {
    const { plan } = this;
    if (plan.states === "recomputed" && options.training) return;
    const recorder = new Recorder(this.#gpu);
    const steps = Math.max(1, Math.floor(CALIBRATION_LAYERS / plan.stages));
    const layers = Math.min(steps * plan.stages, plan.segments[0]!.count);
    let milliseconds = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 3; run++) {
      const start = performance.now();
      this.#walk(recorder, { first: 0, count: layers }, 0, 0);
      recorder.submit();
      await this.#gpu.settle();
      milliseconds = Math.min(milliseconds, performance.now() - start);
    }
    recorder.clear({ tensor: this.#tensor("states"), bytes: 4 * plan.slotFloats });
    recorder.submit();
    recorder.destroy();
    const nanosecondsPerLayer = ((options.training ? ADJOINT_TO_FORWARD : 1) * 1e6 * milliseconds) / layers;
    const measured = planDense(plan.shape, this.#gpu.profile, {
      ...options,
      rows: plan.rows,
      replicas: plan.replicas,
      nanosecondsPerLayer,
    });
    if (measured.segments[0]!.count < plan.segments[0]!.count) this.#plan = measured;
  }

  get plan(): DensePlan {
    return this.#plan;
  }

  /** Bytes of this pass on the device. */
  get bytes(): number {
    return Object.values(this.#tensors).reduce((sum, tensor) => sum + tensor.bytes, 0);
  }

  /** F [n,d'] of the last forward pass, [R,n,d'] of several replicas. */
  get output(): Tensor {
    return this.#tensor("output");
  }

  /** Replaces the rows of data, of all replicas or of each; the number of rows stays. */
  setData(data: DenseData | readonly DenseData[]): void {
    const sets = dataSets(this.stack, data, this.loss);
    const { rows } = sets[0]!;
    if (rows !== this.plan.rows) throw new ConfigError("rows", `must stay ${this.plan.rows}`, rows);
    this.#upload(sets);
    this.#embedded = false;
  }

  #upload(sets: readonly DenseData[]): void {
    sets.forEach(({ inputs, targets }, r) => {
      this.#gpu.write(this.#tensor("input"), inputs, r * inputs.byteLength);
      this.#gpu.write(this.#tensor("target"), targets, r * targets.byteLength);
    });
  }

  /** Of the gradients of W and V, and of the steps of the sweeps: (outer · inner, outer) of each replica. */
  get #scales(): readonly GradientScales[] {
    const { stack, plan } = this;
    return stack.betas.map((beta) => {
      // A step of a solver is 1/N long, whatever β.
      const { outer, inner } = this.#solver ? plan.scales : denseScales({ ...stack.shape, beta });
      return { w: outer * inner, v: outer };
    });
  }

  get #blends(): boolean {
    return this.#solver?.blend !== undefined;
  }

  #uploadSolver(solver: DepthSolver): void {
    if (this.plan.products && this.plan.stages > 1)
      for (const [name, { COMBINE }] of [
        ["combine", forwardStages(solver)],
        ["combineAdjoint", adjointStages(solver)],
      ] as const)
        this.#tensors[name] = this.#gpu.upload(`${name} of the stages`, Float32Array.from(COMBINE));
    if (solver.blend) this.#uploadBlend(solver.blend);
  }

  #uploadBlend({ toStages, metric }: LayerBlend): void {
    const { layers } = this.plan;
    const { depth } = this.stack.shape;
    const upload = (name: string, matrix: Float64Array, rows: number, columns: number) => {
      const packed = packBlend(matrix, rows, columns);
      this.#tensors[name] = this.#gpu.upload(`${name} of depth ${depth}`, packed.matrix);
      this.#tensors[`${name} bands`] = this.#gpu.upload(`bands of ${name}`, packed.bands);
    };
    upload("toStages", toStages, layers, depth);
    upload("fromStages", transposed(toStages, layers, depth), depth, layers);
    if (metric) upload("metric", metric, depth, depth);
  }

  /** Records h_0 = A x, all layers, and F = B h_L. `inputMapChanged`: A was trained since the last call. */
  forward(recorder: Recorder, inputMapChanged = true): void {
    const { plan } = this;
    if (this.#blends) for (const segment of plan.segments) this.#blendWeights(recorder, segment);
    const stored = plan.states === "stored";
    const states = this.#tensor("states");
    const embedded = stored ? states : this.#tensor("embedded");
    if (inputMapChanged || !this.#embedded) {
      this.#embed(recorder, embedded);
      this.#embedded = true;
    }
    const { slotFloats } = plan;
    if (!stored) recorder.copy({ tensor: embedded }, { tensor: states }, 4 * slotFloats);
    recorder.clear({ tensor: this.#tensor("stateLow") });
    plan.segments.forEach((segment, s) => {
      if (stored) this.#walk(recorder, segment, segment.first, 1);
      else {
        if (plan.tensors.checkpoints !== undefined) this.#saveCheckpoint(recorder, s);
        this.#walk(recorder, segment, 0, 0);
      }
    });
    const { width, outputs } = this.stack.shape;
    // F [n,d'] = h_L [n,q] Bᵀ
    this.#matmul(recorder, this.#finalState(), this.#map("B"), this.#data("output", outputs), {
      rows: plan.rows,
      columns: outputs,
      inner: width,
      a_row: plan.widthPadded,
      a_column: 1,
      b_row: 1,
      b_column: width,
      y_row: outputs,
      y_column: 1,
    });
  }

  /**
   * Records the loss of the last forward pass and its gradient; `into`[`at` + r] (vec2f) becomes (loss, rows classified
   * rightly) of replica r.
   */
  encodeLoss(recorder: Recorder, into: Tensor, at: number): void {
    const { rows, replicas } = this.plan;
    const { outputs } = this.stack.shape;
    const scale = this.loss === "mean-square" ? 1 / (rows * outputs) : 1 / rows;
    recorder.dispatch(
      this.#kernels.loss!,
      {
        output: this.#tensor("output"),
        target_bits: this.#tensor("target"),
        grad: this.#tensor("gradOutput"),
        row_loss: this.#tensor("rowLoss"),
      },
      { rows: replicas * rows, outputs, scale },
      lossGrid(replicas * rows),
    );
    recorder.dispatch(this.#kernels.sum!, { x: this.#tensor("rowLoss"), y: into }, { count: rows, at }, [replicas]);
  }

  /**
   * Records the adjoint sweep of the last forward pass and loss. `take` is called, in recording order, with the partial
   * gradients of every trained group; a range of the layers may be updated at once, the sweep does not read it again.
   */
  adjoint(recorder: Recorder, trained: Readonly<Record<GroupName, boolean>>, take: (part: GradientPart) => void): void {
    const { plan, stack } = this;
    const { width, outputs, inputs } = stack.shape;
    const states = this.#tensor("states");
    const adjoint = this.#tensor("adjoint");
    this.#seedAdjoint(recorder);
    recorder.clear({ tensor: this.#tensor("adjointLow") });
    const scales = this.#scales;
    if (trained.B) {
      // dB [d',q] = Σ_rows ∂ℓ/∂F h_Lᵀ
      this.#matmul(recorder, this.#data("gradOutput", outputs), this.#finalState(), this.#map("B", "partialsB"), {
        rows: outputs,
        columns: width,
        inner: plan.rows,
        a_row: 1,
        a_column: outputs,
        b_row: plan.widthPadded,
        b_column: 1,
        y_row: width,
        y_column: 1,
      });
    }
    for (let s = plan.segments.length - 1; s >= 0; s--) {
      const segment = plan.segments[s]!;
      let firstSlot = segment.first;
      if (plan.states === "recomputed") {
        firstSlot = 0;
        this.#restoreCheckpoint(recorder, s);
        this.#walk(recorder, segment, 0, 1);
      }
      const slots: Range = {
        tensor: states,
        offset: 4 * plan.slotFloats * firstSlot,
        bytes: 4 * plan.slotFloats * (segment.count + 1),
      };
      this.#sweep(recorder, segment, slots);
      if (trained.Z && this.#blends) this.#blendGradients(recorder, segment);
      else if (trained.Z)
        take({
          group: "Z",
          firstFloat: segment.first * plan.layerFloats,
          floats: segment.count * plan.layerFloats,
          partials: this.#partials(segment),
          partialGroups: plan.partialGroups,
          unitFloats: plan.unitFloats,
          scales,
        });
    }
    if (trained.Z && this.#blends)
      take({
        group: "Z",
        firstFloat: 0,
        floats: stack.groups.Z.floats,
        partials: { tensor: this.#direction(recorder) },
        partialGroups: 1,
        unitFloats: plan.unitFloats,
        scales,
      });
    if (trained.A) {
      // dA [q,d] = Σ_rows p_0 xᵀ
      this.#matmul(recorder, this.#state(adjoint), this.#data("input", inputs), this.#map("A", "partialsA"), {
        rows: width,
        columns: inputs,
        inner: plan.rows,
        a_row: 1,
        a_column: plan.widthPadded,
        b_row: inputs,
        b_column: 1,
        y_row: inputs,
        y_column: 1,
      });
    }
    for (const name of ["A", "B"] as const) {
      if (!trained[name]) continue;
      const { floats } = stack.groups[name];
      take({
        group: name,
        firstFloat: 0,
        floats,
        partials: { tensor: this.#tensor(`partials${name}`) },
        partialGroups: 1,
        unitFloats: 2 * floats,
        scales: scales.map(() => ({ w: 1, v: 1 })),
      });
    }
  }

  /** States h_k of the last training pass that stored them, [slots, n, q], of several replicas [slots, R, n, q]; for tests and `--check`. */
  async readStates(): Promise<Float32Array<ArrayBuffer>> {
    const { plan } = this;
    const raw = await this.#gpu.read(this.#tensor("states"));
    const { width } = this.stack.shape;
    const rows = plan.replicas * plan.rows;
    const out = new Float32Array(plan.slots * rows * width);
    for (let k = 0; k < plan.slots; k++)
      for (let r = 0; r < rows; r++) {
        const padded = Math.floor(r / plan.rows) * plan.rowsPadded + (r % plan.rows);
        for (let i = 0; i < width; i++)
          out[(k * rows + r) * width + i] = raw[k * plan.slotFloats + padded * plan.widthPadded + i]!;
      }
    return out;
  }

  /** Passes forward and back at the current weights and reads the ends of the stack, of each replica. */
  async readEnds(recorder: Recorder): Promise<StackEnds[]> {
    const { plan } = this;
    const { rows, rowsPadded, widthPadded, replicas } = plan;
    const { width } = this.stack.shape;
    const read = async (tensor: Tensor, offset = 0) => {
      const raw = new Float32Array(await recorder.read(tensor, offset, 4 * replicas * rowsPadded * widthPadded));
      return Array.from({ length: replicas }, (_, r) => {
        const out = new Float32Array(rows * width);
        for (let i = 0; i < rows; i++) {
          const at = (r * rowsPadded + i) * widthPadded;
          out.set(raw.subarray(at, at + width), i * width);
        }
        return out;
      });
    };
    this.forward(recorder);
    const final = this.#finalState();
    const stored = plan.states === "stored";
    const firstStates = read(stored ? final.tensor : this.#tensor("embedded"));
    const lastStates = read(final.tensor, final.offset);
    this.#tensors.batchLoss ??= this.#gpu.tensor("losses of a batch", 8 * replicas);
    this.encodeLoss(recorder, this.#tensors.batchLoss, 0);
    this.#seedAdjoint(recorder);
    const lastAdjoints = read(this.#tensor("adjoint"));
    this.adjoint(recorder, { A: false, Z: false, B: false }, () => {});
    const firstAdjoints = read(this.#tensor("adjoint"));
    recorder.submit();
    const [h0, hL, p0, pL] = await Promise.all([firstStates, lastStates, firstAdjoints, lastAdjoints]);
    return h0.map((firstState, r) => ({
      firstState,
      lastState: hL[r]!,
      firstAdjoint: p0[r]!,
      lastAdjoint: pL[r]!,
    }));
  }

  destroy(): void {
    this.#gpu.release(...Object.values(this.#tensors));
  }

  #tensor(name: string): Tensor {
    const tensor = this.#tensors[name];
    if (!tensor) throw new Error(`this pass has no tensor ${name}: it was planned without training`);
    return tensor;
  }

  /** Floats from one replica to the next in a state, in rows of data, and in A or B or what is laid out as these. */
  #state(tensor: Tensor): Operand {
    const { rowsPadded, widthPadded } = this.plan;
    return { tensor, layer: rowsPadded * widthPadded };
  }

  #data(name: "input" | "output" | "gradOutput", columns: number): Operand {
    return { tensor: this.#tensor(name), layer: this.plan.rows * columns };
  }

  #map(group: "A" | "B", name?: "partialsA" | "partialsB"): Operand {
    const { floats, weights } = this.stack.groups[group];
    return { tensor: name ? this.#tensor(name) : weights, layer: floats / this.stack.replicas };
  }

  #finalState(): Operand {
    const { plan } = this;
    const slot = plan.states === "stored" ? plan.layers : 0;
    // The recomputing plan leaves h_L in slot 0 until the adjoint sweep restores a checkpoint.
    return { ...this.#state(this.#tensor("states")), offset: 4 * plan.slotFloats * slot, bytes: 4 * plan.slotFloats };
  }

  #seedAdjoint(recorder: Recorder): void {
    const { plan } = this;
    const { width, outputs } = this.stack.shape;
    // p_L [n,q] = ∂ℓ/∂F [n,d'] B
    this.#matmul(recorder, this.#data("gradOutput", outputs), this.#map("B"), this.#state(this.#tensor("adjoint")), {
      rows: plan.rows,
      columns: width,
      inner: outputs,
      a_row: outputs,
      a_column: 1,
      b_row: width,
      b_column: 1,
      y_row: plan.widthPadded,
      y_column: 1,
    });
  }

  #embed(recorder: Recorder, into: Tensor): void {
    const { inputs, width } = this.stack.shape;
    const { plan } = this;
    // h_0 [n,q] = X [n,d] Aᵀ
    this.#matmul(
      recorder,
      this.#data("input", inputs),
      this.#map("A"),
      { ...this.#state(into), bytes: 4 * plan.slotFloats },
      {
        rows: plan.rows,
        columns: width,
        inner: inputs,
        a_row: inputs,
        a_column: 1,
        b_row: 1,
        b_column: inputs,
        y_row: plan.widthPadded,
        y_column: 1,
      },
    );
  }

  #weights(segment: Segment): Range {
    const bytes = 4 * this.plan.layerFloats;
    const tensor = this.#blends ? this.#tensor("stageWeights") : this.stack.groups.Z.weights;
    return { tensor, offset: bytes * segment.first, bytes: bytes * segment.count };
  }

  /** Weights of a segment's stages from those of the stack's layers. */
  #blendWeights(recorder: Recorder, segment: Segment): void {
    this.#blend(recorder, "toStages", this.#stackLayers, this.stack.groups.Z.weights, segment, this.#weights(segment));
  }

  /** Adds what the partial gradients of a segment's stages are of gradients of the stack's layers. */
  #blendGradients(recorder: Recorder, segment: Segment): void {
    const { partialGroups, segments } = this.plan;
    const add = segment !== segments.at(-1);
    const blended = this.#tensor("blended");
    this.#blend(
      recorder,
      "fromStages",
      segment,
      this.#partials(segment),
      this.#stackLayers,
      blended,
      partialGroups,
      add,
    );
  }

  /** The gradients of the stack's layers, or what their metric makes of them. */
  #direction(recorder: Recorder): Tensor {
    const blended = this.#tensor("blended");
    if (!this.#solver?.blend?.metric) return blended;
    const direction = this.#tensor("direction");
    this.#blend(recorder, "metric", this.#stackLayers, blended, this.#stackLayers, direction);
    return direction;
  }

  get #stackLayers(): Segment {
    return { first: 0, count: this.stack.shape.depth };
  }

  /** `y`, the rows of a matrix, from `x`, its columns. */
  #blend(
    recorder: Recorder,
    name: "toStages" | "fromStages" | "metric",
    columns: Segment,
    x: Tensor | Range,
    rows: Segment,
    y: Tensor | Range,
    groups = 1,
    add = false,
  ): void {
    const { layers, layerFloats } = this.plan;
    recorder.dispatch(
      this.#kernels.blend!,
      { matrix: this.#tensor(name), bands: this.#tensor(`${name} bands`), x, y },
      {
        first_row: rows.first,
        rows: rows.count,
        first_column: columns.first,
        columns: columns.count,
        stride: name === "fromStages" ? layers : this.stack.shape.depth,
        groups,
        layer4: layerFloats / 4,
        add: add ? 1 : 0,
      },
      vectorGrid(blendNumbers(rows.count, layerFloats), this.#gpu.profile),
    );
  }

  #partials(segment: Segment): Range {
    const { partialGroups, layerFloats } = this.plan;
    return { tensor: this.#tensor("partials"), bytes: 4 * partialGroups * segment.count * layerFloats };
  }

  #saveCheckpoint(recorder: Recorder, s: number): void {
    const bytes = 4 * this.plan.slotFloats;
    const checkpoints = this.#tensor("checkpoints");
    recorder.copy({ tensor: this.#tensor("states") }, { tensor: checkpoints, offset: 2 * s * bytes }, bytes);
    recorder.copy({ tensor: this.#tensor("stateLow") }, { tensor: checkpoints, offset: (2 * s + 1) * bytes }, bytes);
  }

  #restoreCheckpoint(recorder: Recorder, s: number): void {
    const bytes = 4 * this.plan.slotFloats;
    const checkpoints = this.#tensor("checkpoints");
    recorder.copy({ tensor: checkpoints, offset: 2 * s * bytes }, { tensor: this.#tensor("states") }, bytes);
    recorder.copy({ tensor: checkpoints, offset: (2 * s + 1) * bytes }, { tensor: this.#tensor("stateLow") }, bytes);
  }

  /** Layers of a segment from slot `firstSlot`; the state after each goes `step` slots further. */
  #walk(recorder: Recorder, segment: Segment, firstSlot: number, step: 0 | 1): void {
    const { plan } = this;
    const { replicas } = plan;
    const { outer, inner } = plan.scales;
    const slots: Range = {
      tensor: this.#tensor("states"),
      offset: 4 * plan.slotFloats * firstSlot,
      bytes: 4 * plan.slotFloats * (step * segment.count + 1),
    };
    const { forward } = plan.kernels;
    if (forward) {
      recorder.dispatch(
        this.#kernels.forward!,
        {
          weights: this.#weights(segment),
          scales: this.#tensor("scales"),
          states: slots,
          state_low: this.#tensor("stateLow"),
        },
        { layer_count: segment.count, replicas, slot_step: step, slot4: plan.slotFloats / 4, inner },
        forward.grid,
      );
      return;
    }
    const weights = this.#weights(segment);
    const activated = { tensor: this.#tensor("activated") };
    const { stages } = plan;
    if (stages > 1)
      recorder.copy(
        { tensor: slots.tensor, offset: slots.offset! },
        { tensor: this.#tensor("stepStart") },
        4 * plan.slotFloats,
      );
    for (let k = 0; k < segment.count; k++) {
      const from = step * k * plan.slotFloats;
      const layer = k * plan.layerFloats;
      // a [n,m] = σ(inner · h Wᵀ)
      this.#product(recorder, "hidden", 1, slots, weights, activated, { aAt: from, bAt: layer, alpha: inner });
      const to = step * (k + 1) * plan.slotFloats;
      const stage = k % stages;
      if (stages > 1) {
        // The stage's slope, and from the slopes so far the next argument or the state.
        const place = { bAt: layer + plan.widthPadded, yAt: stage * plan.slotFloats, alpha: outer };
        this.#product(recorder, "state", 0, activated, weights, { tensor: this.#tensor("slopes") }, place);
        const range = { row: stage * stages, first: 0, end: stage + 1 };
        const complete = stage === stages - 1;
        this.#stage(recorder, "combine", range, "stepStart", "stateLow", slots, to, { complete });
        continue;
      }
      // h [n,q] += outer · a Vᵀ
      const place = { bAt: layer + plan.widthPadded, fromAt: from, yAt: to, alpha: outer };
      this.#product(recorder, "state", 4, activated, weights, slots, place, this.#tensor("stateLow"));
    }
  }

  /** Adjoint of a segment whose states are in `slots`; leaves its partial gradients in `partials`. */
  #sweep(recorder: Recorder, segment: Segment, slots: Range): void {
    const { plan } = this;
    const { replicas } = plan;
    const { inner } = plan.scales;
    const scales = this.#tensor("scales");
    const weights = this.#weights(segment);
    const slot4 = plan.slotFloats / 4;
    const adjoint = this.#tensor("adjoint");
    const adjoint_low = this.#tensor("adjointLow");
    const partials = this.#partials(segment);
    const sweep = plan.kernels.adjoint;
    if (plan.layout === "rows" && sweep) {
      recorder.dispatch(
        this.#kernels.adjoint!,
        { weights, scales, states: slots, adjoint, adjoint_low, partials },
        { layer_count: segment.count, replicas, slot4, inner },
        sweep.grid,
      );
      return;
    }
    const { gradient } = plan.kernels;
    if (plan.layout === "tile" && sweep && gradient) {
      const adjoints = this.#tensor("adjoints");
      recorder.dispatch(
        this.#kernels.adjoint!,
        { weights, scales, states: slots, adjoint, adjoint_low, adjoints },
        { layer_count: segment.count, replicas, slot4, inner },
        sweep.grid,
      );
      recorder.dispatch(
        this.#kernels.gradient!,
        { weights, states: slots, adjoints, partials },
        { layer_count: segment.count, replicas, slot4, rows: plan.rowsPadded, inner },
        gradient.grid,
      );
      return;
    }
    if (plan.products) this.#sweepProducts(recorder, segment, slots, partials, plan.products);
  }

  /** The adjoint sweep by matrix products: a batch of layers down, then their weight gradients at once. */
  #sweepProducts(
    recorder: Recorder,
    segment: Segment,
    slots: Range,
    partials: Range,
    { layers, hiddenPadded }: DenseProducts,
  ): void {
    const { plan } = this;
    const { slotFloats, layerFloats, widthPadded, stages } = plan;
    const { outer, inner } = plan.scales;
    const { SHARE, LAST_SHARE } = this.#solver ? adjointStages(this.#solver) : { SHARE: [1], LAST_SHARE: 1 };
    const weights = this.#weights(segment);
    const derivative = this.#tensor("derivative");
    const activated = { tensor: this.#tensor("activated") };
    const unitAdjoint = { tensor: this.#tensor("unitAdjoint") };
    const adjoint = { tensor: this.#tensor("adjoint") };
    const adjoints = this.#tensor("adjoints");
    const hiddenFloats = plan.rows * hiddenPadded;
    for (let end = segment.count; end > 0; end -= layers) {
      const first = Math.max(0, end - layers);
      const count = end - first;
      // p_k lies in slot k - first.
      if (stages > 1) {
        const none = { row: 0, first: 0, end: 0 };
        const place = { complete: false, share: LAST_SHARE };
        this.#stage(
          recorder,
          "combineAdjoint",
          none,
          "adjoint",
          "adjointLow",
          { tensor: adjoints },
          count * slotFloats,
          place,
        );
      } else recorder.copy(adjoint, { tensor: adjoints, offset: 4 * count * slotFloats }, 4 * slotFloats);
      for (let k = end - 1; k >= first; k--) {
        const at = (k - first) * hiddenFloats;
        const above = (k + 1 - first) * slotFloats;
        const layer = k * layerFloats;
        // a, σ' [n,m] at z = inner · h Wᵀ
        const z = { aAt: k * slotFloats, bAt: layer, yAt: at, alpha: inner };
        this.#product(recorder, "hidden", 2, slots, weights, activated, z, derivative);
        // g [n,m] = (p V) ∘ σ'
        const g = { aAt: above, bAt: layer + widthPadded, yAt: at };
        this.#product(recorder, "hidden", 3, { tensor: adjoints }, weights, unitAdjoint, g, derivative);
        if (stages > 1) {
          // The adjoint of the stage's argument, and from those so far the next p or the adjoint of the step's start.
          const stage = k % stages;
          const place = { aAt: at, bAt: layer, yAt: stage * slotFloats, alpha: outer * inner };
          this.#product(recorder, "state", 0, unitAdjoint, weights, { tensor: this.#tensor("slopes") }, place);
          const range = { row: stage * stages, first: stage, end: stages };
          const complete = stage === 0;
          const shares = { share: SHARE[stage]!, yShare: complete ? LAST_SHARE : 1 };
          const y = { tensor: adjoints };
          this.#stage(recorder, "combineAdjoint", range, "adjoint", "adjointLow", y, above - slotFloats, {
            complete,
            ...shares,
          });
          continue;
        }
        // p [n,q] += scale · g W
        const p = { aAt: at, bAt: layer, fromAt: above, yAt: above - slotFloats, alpha: outer * inner };
        const low = this.#tensor("adjointLow");
        this.#product(recorder, "state", 4, unitAdjoint, weights, { tensor: adjoints }, p, low);
      }
      // W half of a unit: Σ_rows g hᵀ; V half: Σ_rows a pᵀ
      const batch = { aLayer: hiddenFloats, bLayer: slotFloats, yLayer: layerFloats, layers: count };
      const w = { ...batch, bAt: first * slotFloats, yAt: first * layerFloats };
      this.#product(recorder, "gradient", 0, unitAdjoint, slots, partials, w);
      const v = { ...batch, bAt: slotFloats, yAt: first * layerFloats + widthPadded };
      this.#product(recorder, "gradient", 0, activated, { tensor: adjoints }, partials, v);
      if (stages === 1) recorder.copy({ tensor: adjoints }, adjoint, 4 * slotFloats);
    }
  }

  /** What follows a stage of a step: `y` at `at` floats becomes yShare · (share · base + Σ coefficients · slopes). */
  #stage(
    recorder: Recorder,
    coefficients: "combine" | "combineAdjoint",
    range: { readonly row: number; readonly first: number; readonly end: number },
    base: "stepStart" | "adjoint",
    low: "stateLow" | "adjointLow",
    y: Range,
    at: number,
    { complete, share = 1, yShare = 1 }: { complete: boolean; share?: number; yShare?: number },
  ): void {
    const { rows, widthPadded, slotFloats } = this.plan;
    recorder.dispatch(
      this.#kernels.stage!,
      {
        coefficients: this.#tensor(coefficients),
        slopes: this.#tensor("slopes"),
        base: this.#tensor(base),
        low: this.#tensor(low),
        y,
      },
      {
        count4: (rows * widthPadded) / 4,
        slot4: slotFloats / 4,
        ...range,
        y_at4: at / 4,
        complete: complete ? 1 : 0,
        share,
        y_share: yShare,
      },
      vectorGrid(rows * widthPadded, this.#gpu.profile),
    );
  }

  #product(
    recorder: Recorder,
    role: ProductRole,
    epilogue: MatmulEpilogue,
    a: Range,
    b: Range,
    y: Range,
    place: MatmulPlace,
    second: Tensor = this.#tensor("unused"),
  ): void {
    const kernel = this.#kernels[`${role} ${epilogue}`]!;
    const { params, grid } = matmulDispatch(this.plan.products![role], place);
    recorder.dispatch(kernel, { a, b, y, second }, params, grid);
  }

  /** A product at the ends of the network, of every replica, whose strides are those of the data. */
  #matmul(recorder: Recorder, a: Operand, b: Operand, y: Operand, params: Record<string, number>): void {
    const { rows, columns } = params as { rows: number; columns: number };
    const [x, groups = 1] = matmulGrid(rows, columns);
    const layers = { a_layer: a.layer, b_layer: b.layer, y_layer: y.layer };
    recorder.dispatch(
      this.#kernels.matmul!,
      { a, b, y, second: this.#tensor("unused") },
      { a_at: 0, b_at: 0, y_at: 0, from_at: 0, alpha: 1, ...layers, ...params },
      [x, groups, this.plan.replicas],
    );
  }
}

/** Products of the matmul layout with their epilogues. */
function productsOf(training: boolean, stages: number): readonly (readonly [ProductRole, MatmulEpilogue])[] {
  const forward = [
    ["hidden", 1],
    ["state", stages > 1 ? 0 : 4],
  ] as const;
  return training ? [...forward, ["hidden", 2], ["hidden", 3], ["gradient", 0]] : forward;
}

/** The rows of each replica. */
function dataSets(stack: DenseStack, data: DenseData | readonly DenseData[], loss: Loss): readonly DenseData[] {
  const sets = "rows" in data ? Array.from({ length: stack.replicas }, () => data) : data;
  if (sets.length !== stack.replicas)
    throw new ConfigError("data", `must be ${stack.replicas} sets of rows, one for each replica`, sets.length);
  for (const set of sets) {
    checkData(stack, set, loss);
    if (set.rows !== sets[0]!.rows)
      throw new ConfigError("rows", `must be ${sets[0]!.rows} in every replica`, set.rows);
  }
  return sets;
}

function checkData({ shape }: DenseStack, data: DenseData, loss: Loss): void {
  const { inputs, targets, rows } = data;
  if (!Number.isInteger(rows) || rows < 1) throw new ConfigError("rows", "must be an integer ≥ 1", rows);
  if (inputs.length !== rows * shape.inputs)
    throw new ConfigError("inputs", `must hold rows × inputs = ${rows * shape.inputs} numbers`, inputs.length);
  if (loss === "cross-entropy") {
    if (!(targets instanceof Uint32Array) || targets.length !== rows)
      throw new ConfigError("targets", `must be ${rows} labels (Uint32Array) for cross-entropy`, targets.length);
    const wrong = targets.find((label) => label >= shape.outputs);
    if (wrong !== undefined) throw new ConfigError("targets", `must be labels below ${shape.outputs}`, wrong);
  } else if (!(targets instanceof Float32Array) || targets.length !== rows * shape.outputs)
    throw new ConfigError(
      "targets",
      `must hold rows × outputs = ${rows * shape.outputs} numbers (Float32Array)`,
      targets.length,
    );
}
