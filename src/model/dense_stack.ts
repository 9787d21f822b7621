import type { DenseShape } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import type { Gpu, Tensor } from "../gpu/device.ts";
import { ceilTo, paddedWidth, stackBytes } from "../plan/dense.ts";
import type { InitialWeights } from "./initialisation.ts";

/** Weights in the canonical layouts, row-major float32: A [q,d], V [L,q,m], W [L,m,q], B [d',q]. */
export interface CanonicalWeights {
  readonly A: Float32Array<ArrayBuffer>;
  readonly V: Float32Array<ArrayBuffer>;
  readonly W: Float32Array<ArrayBuffer>;
  readonly B: Float32Array<ArrayBuffer>;
}

export type GroupName = "A" | "Z" | "B";

/**
 * One trained tensor of the stack. The trained variable is `change`, kept apart from the initial value because
 * layer-to-layer differences of the weights are far below the rounding of the weights themselves (float32);
 * `weights` = initial + change is what the sweeps read.
 */
export interface ParameterGroup {
  readonly name: GroupName;
  /** Floats, a multiple of 4 for each replica. */
  readonly floats: number;
  /** Floats of `initial`: those of one layer when layers are tied at the start. */
  readonly initialFloats: number;
  readonly initial: Tensor;
  readonly change: Tensor;
  readonly weights: Tensor;
  /** Factor of the gradient in the flow: L for the layers (dZ_k/dt = −L ∂ℓ/∂Z_k), 1 for A and B. */
  readonly factor: number;
}

export interface DenseStackOptions {
  /** β of each replica; default: that of the shape. */
  readonly betas?: readonly number[];
}

/** A number for each weight of all replicas as the device holds them. */
export type GroupState = Readonly<Record<GroupName, Float32Array<ArrayBuffer>>>;

/**
 * Parameters of R dense residual stacks of one shape on the device, usually one: its replicas have initial weights and β of
 * their own, and every kernel takes all of them in one dispatch.
 * Layers are stored by hidden unit, `[L, R, m, 2·q']` with q' = `paddedWidth(q)`: first W_j (row j of W), then V_·j (column j
 * of V). A and B are `[R, …]`.
 */
export class DenseStack {
  readonly gpu: Gpu;
  readonly shape: DenseShape;
  readonly tied: boolean;
  /** β of each replica. */
  readonly betas: readonly number[];
  readonly groups: Readonly<Record<GroupName, ParameterGroup>>;
  readonly #initials: readonly InitialWeights[];

  private constructor(
    gpu: Gpu,
    shape: DenseShape,
    initials: readonly InitialWeights[],
    betas: readonly number[],
    groups: DenseStack["groups"],
  ) {
    this.gpu = gpu;
    this.shape = shape;
    this.tied = initials[0]!.tied;
    this.betas = betas;
    this.groups = groups;
    this.#initials = initials;
  }

  /**
   * Uploads initial weights, those of each replica where a list is given; the change starts at zero.
   * @throws ConfigError when replicas differ in being tied, or `betas` are not one for each.
   */
  static create(
    gpu: Gpu,
    shape: DenseShape,
    initial: InitialWeights | readonly InitialWeights[],
    { betas }: DenseStackOptions = {},
  ): DenseStack {
    const initials = "A" in initial ? [initial] : initial;
    const tied = initials[0]?.tied;
    if (initials.some((one) => one.tied !== tied) || tied === undefined)
      throw new ConfigError("initial", "must be weights of one replica or more, all tied or none");
    if (betas && betas.length !== initials.length)
      throw new ConfigError("betas", `must be ${initials.length}, one for each replica`, betas.length);
    const starts = startsOf(shape, initials, paddedWidth(shape.width, gpu.profile));
    const group = (name: GroupName, floats: number, factor: number): ParameterGroup => {
      const start = starts[name];
      const label = `${name} of depth ${shape.depth}`;
      const weights = gpu.tensor(`weights ${label}`, 4 * floats);
      for (let at = 0; at < floats; at += start.length) gpu.write(weights, start, 4 * at);
      return {
        name,
        floats,
        initialFloats: start.length,
        initial: gpu.upload(`initial ${label}`, start),
        change: gpu.tensor(`change ${label}`, 4 * floats),
        weights,
        factor,
      };
    };
    return new DenseStack(gpu, shape, initials, betas ?? initials.map(() => shape.beta), {
      A: group("A", starts.A.length, 1),
      Z: group("Z", tied ? starts.Z.length * shape.depth : starts.Z.length, shape.depth),
      B: group("B", starts.B.length, 1),
    });
  }

  /** R, stacks side by side. */
  get replicas(): number {
    return this.#initials.length;
  }

  /** Floats of a row of q coordinates on the device. */
  get widthPadded(): number {
    return paddedWidth(this.shape.width, this.gpu.profile);
  }

  /** Device bytes of the parameters by tensor. */
  get bytes(): Readonly<Record<string, number>> {
    return stackBytes(this.shape, this.tied, this.gpu.profile, this.replicas);
  }

  /** The initial weights (of the first replica), with tied layers repeated. */
  get initial(): CanonicalWeights {
    return this.initialOf(0);
  }

  /** The initial weights of a replica, with tied layers repeated. */
  initialOf(replica: number): CanonicalWeights {
    const { A, B, V, W } = this.#initials[replica]!;
    const { depth } = this.shape;
    return { A, B, V: this.tied ? repeated(V, depth) : V, W: this.tied ? repeated(W, depth) : W };
  }

  /** Reads a replica's change from the initial value, in canonical layouts. */
  async readChange(replica = 0): Promise<CanonicalWeights> {
    return this.unpack(await this.readState(), replica);
  }

  /** Reads a replica's weights = initial + change, in canonical layouts. */
  async readWeights(replica = 0): Promise<CanonicalWeights> {
    return this.unpack(await this.#read("weights"), replica);
  }

  /** The device's own bits of `change` of all replicas, for checkpoints. */
  async readState(): Promise<GroupState> {
    return this.#read("change");
  }

  async #read(what: "change" | "weights"): Promise<GroupState> {
    const { A, Z, B } = this.groups;
    const [a, z, b] = await Promise.all([A, Z, B].map((group) => this.gpu.read(group[what], 0, 4 * group.floats)));
    return { A: a!, Z: z!, B: b! };
  }

  /** Numbers of a replica as the device holds them → canonical layouts. */
  unpack(state: GroupState, replica: number): CanonicalWeights {
    const { shape, replicas } = this;
    const { A, B } = this.#initials[0]!;
    const part = (group: "A" | "B", floats: number) => {
      const first = (replica * state[group].length) / replicas;
      return state[group].slice(first, first + floats);
    };
    const place = { replicas, replica };
    const { V, W } = unpackLayers(shape, shape.depth, this.widthPadded, state.Z, place);
    return { A: part("A", A.length), V, W, B: part("B", B.length) };
  }

  /** The inverse of `unpack` for all replicas. */
  pack(weights: readonly CanonicalWeights[]): GroupState {
    return packReplicas(this.shape, this.shape.depth, weights, this.widthPadded);
  }

  /** Restores `change` bit by bit and forms the weights from it. */
  writeState(state: GroupState): void {
    const starts = startsOf(this.shape, this.#initials, this.widthPadded);
    for (const name of ["A", "Z", "B"] as const) {
      const group = this.groups[name];
      const change = state[name];
      if (change.length !== group.floats)
        throw new RangeError(`state of ${name} has ${change.length} numbers, this stack needs ${group.floats}`);
      const start = starts[name];
      const weights = new Float32Array(group.floats);
      for (let i = 0; i < weights.length; i++) weights[i] = start[i % start.length]! + change[i]!;
      this.gpu.write(group.change, change);
      this.gpu.write(group.weights, weights);
    }
  }

  destroy(): void {
    for (const { initial, change, weights } of Object.values(this.groups)) this.gpu.release(initial, change, weights);
  }
}

/** Initial values of all replicas as the device holds them, one layer where they are tied. */
function startsOf(shape: DenseShape, initials: readonly InitialWeights[], half: number): GroupState {
  return packReplicas(shape, initials[0]!.tied ? 1 : shape.depth, initials, half);
}

function packReplicas(
  shape: DenseShape,
  layers: number,
  weights: readonly CanonicalWeights[],
  half: number,
): GroupState {
  const replicas = weights.length;
  const Z = new Float32Array(replicas * layers * shape.hidden * 2 * half);
  weights.forEach(({ W, V }, replica) => {
    packLayers(shape, layers, half, W, V, { replicas, replica, into: Z });
  });
  return { A: joined(weights.map(({ A }) => A)), Z, B: joined(weights.map(({ B }) => B)) };
}

/** Where the layers of one of several replicas lie. */
export interface ReplicaPlace {
  readonly replicas: number;
  readonly replica: number;
}
const ALONE: ReplicaPlace = { replicas: 1, replica: 0 };

/** W [layers,m,q] and V [layers,q,m] → [layers, m, 2·half], padding zero; with `place` that replica of [layers, R, m, 2·half]. */
export function packLayers(
  shape: DenseShape,
  layers: number,
  half: number,
  W: Float32Array<ArrayBuffer>,
  V: Float32Array<ArrayBuffer>,
  place: ReplicaPlace & { readonly into?: Float32Array<ArrayBuffer> } = ALONE,
): Float32Array<ArrayBuffer> {
  const { width: q, hidden: m } = shape;
  const { replicas, replica, into } = place;
  const packed = into ?? new Float32Array(replicas * layers * m * 2 * half);
  for (let k = 0; k < layers; k++)
    for (let j = 0; j < m; j++) {
      const unit = ((k * replicas + replica) * m + j) * 2 * half;
      for (let i = 0; i < q; i++) {
        packed[unit + i] = W[(k * m + j) * q + i]!;
        packed[unit + half + i] = V[(k * q + i) * m + j]!;
      }
    }
  return packed;
}

/** The inverse of `packLayers`. */
export function unpackLayers(
  shape: DenseShape,
  layers: number,
  half: number,
  packed: Float32Array,
  { replicas, replica }: ReplicaPlace = ALONE,
): { W: Float32Array<ArrayBuffer>; V: Float32Array<ArrayBuffer> } {
  const { width: q, hidden: m } = shape;
  const W = new Float32Array(layers * m * q);
  const V = new Float32Array(layers * m * q);
  for (let k = 0; k < layers; k++)
    for (let j = 0; j < m; j++) {
      const unit = ((k * replicas + replica) * m + j) * 2 * half;
      for (let i = 0; i < q; i++) {
        W[(k * m + j) * q + i] = packed[unit + i]!;
        V[(k * q + i) * m + j] = packed[unit + half + i]!;
      }
    }
  return { W, V };
}

function repeated(layer: Float32Array<ArrayBuffer>, times: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(layer.length * times);
  for (let k = 0; k < times; k++) out.set(layer, k * layer.length);
  return out;
}

/** One behind the other, each filled up to a multiple of 4. */
function joined(parts: readonly Float32Array<ArrayBuffer>[]): Float32Array<ArrayBuffer> {
  const floats = ceilTo(parts[0]!.length, 4);
  const out = new Float32Array(parts.length * floats);
  parts.forEach((part, r) => {
    out.set(part, r * floats);
  });
  return out;
}
