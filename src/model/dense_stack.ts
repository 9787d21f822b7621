import type { DenseShape } from "../config/dense.ts";
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
  /** Floats, a multiple of 4. */
  readonly floats: number;
  /** Floats of `initial`: those of one layer when layers are tied at the start. */
  readonly initialFloats: number;
  readonly initial: Tensor;
  readonly change: Tensor;
  readonly weights: Tensor;
  /** Factor of the gradient in the flow: L for the layers (dZ_k/dt = −L ∂ℓ/∂Z_k), 1 for A and B. */
  readonly factor: number;
}

/**
 * Parameters of a dense residual stack on the device.
 * Layers are stored by hidden unit, `[L, m, 2·q']` with q' = `paddedWidth(q)`: first W_j (row j of W), then V_·j (column j of V).
 */
export class DenseStack {
  readonly gpu: Gpu;
  readonly shape: DenseShape;
  readonly tied: boolean;
  readonly groups: Readonly<Record<GroupName, ParameterGroup>>;
  readonly #initial: InitialWeights;

  private constructor(gpu: Gpu, shape: DenseShape, initial: InitialWeights, groups: DenseStack["groups"]) {
    this.gpu = gpu;
    this.shape = shape;
    this.tied = initial.tied;
    this.groups = groups;
    this.#initial = initial;
  }

  /** Uploads initial weights; the change starts at zero. */
  static create(gpu: Gpu, shape: DenseShape, initial: InitialWeights): DenseStack {
    const layers = initial.tied ? 1 : shape.depth;
    const packed = packLayers(shape, layers, paddedWidth(shape.width, gpu.profile), initial.W, initial.V);
    const group = (
      name: GroupName,
      data: Float32Array<ArrayBuffer>,
      floats: number,
      factor: number,
    ): ParameterGroup => {
      const start = data.length % 4 === 0 ? data : padded(data);
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
    return new DenseStack(gpu, shape, initial, {
      A: group("A", initial.A, ceilTo(initial.A.length, 4), 1),
      Z: group("Z", packed, (packed.length / layers) * shape.depth, shape.depth),
      B: group("B", initial.B, ceilTo(initial.B.length, 4), 1),
    });
  }

  /** Floats of a row of q coordinates on the device. */
  get widthPadded(): number {
    return paddedWidth(this.shape.width, this.gpu.profile);
  }

  /** Device bytes of the parameters by tensor. */
  get bytes(): Readonly<Record<string, number>> {
    return stackBytes(this.shape, this.tied, this.gpu.profile);
  }

  /** The initial weights, with tied layers repeated. */
  get initial(): CanonicalWeights {
    const { A, B, V, W } = this.#initial;
    const { depth } = this.shape;
    return { A, B, V: this.tied ? repeated(V, depth) : V, W: this.tied ? repeated(W, depth) : W };
  }

  /** Reads the change from the initial value, in canonical layouts. */
  async readChange(): Promise<CanonicalWeights> {
    const { A, Z, B } = this.groups;
    const [a, z, b] = await Promise.all([A, Z, B].map((group) => this.gpu.read(group.change)));
    const { V, W } = unpackLayers(this.shape, this.shape.depth, this.widthPadded, z!);
    return { A: a!.slice(0, this.#initial.A.length), V, W, B: b!.slice(0, this.#initial.B.length) };
  }

  /** Reads weights = initial + change, in canonical layouts. */
  async readWeights(): Promise<CanonicalWeights> {
    const { A, Z, B } = this.groups;
    const [a, z, b] = await Promise.all([A, Z, B].map((group) => this.gpu.read(group.weights)));
    const { V, W } = unpackLayers(this.shape, this.shape.depth, this.widthPadded, z!);
    return { A: a!.slice(0, this.#initial.A.length), V, W, B: b!.slice(0, this.#initial.B.length) };
  }

  /** The device's own bits of `change`, for checkpoints. */
  async readState(): Promise<Record<GroupName, Float32Array<ArrayBuffer>>> {
    const { A, Z, B } = this.groups;
    const [a, z, b] = await Promise.all([A, Z, B].map((group) => this.gpu.read(group.change, 0, 4 * group.floats)));
    return { A: a!, Z: z!, B: b! };
  }

  /** Restores `change` bit by bit and forms the weights from it. */
  writeState(state: Readonly<Record<GroupName, Float32Array<ArrayBuffer>>>): void {
    const starts = {
      A: padded(this.#initial.A),
      Z: packLayers(this.shape, this.tied ? 1 : this.shape.depth, this.widthPadded, this.#initial.W, this.#initial.V),
      B: padded(this.#initial.B),
    };
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

/** W [layers,m,q] and V [layers,q,m] → [layers, m, 2·half], padding zero. */
export function packLayers(
  shape: DenseShape,
  layers: number,
  half: number,
  W: Float32Array<ArrayBuffer>,
  V: Float32Array<ArrayBuffer>,
): Float32Array<ArrayBuffer> {
  const { width: q, hidden: m } = shape;
  const packed = new Float32Array(layers * m * 2 * half);
  for (let k = 0; k < layers; k++)
    for (let j = 0; j < m; j++) {
      const unit = (k * m + j) * 2 * half;
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
): { W: Float32Array<ArrayBuffer>; V: Float32Array<ArrayBuffer> } {
  const { width: q, hidden: m } = shape;
  const W = new Float32Array(layers * m * q);
  const V = new Float32Array(layers * m * q);
  for (let k = 0; k < layers; k++)
    for (let j = 0; j < m; j++) {
      const unit = (k * m + j) * 2 * half;
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

function padded(data: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const out = new Float32Array(ceilTo(data.length, 4));
  out.set(data);
  return out;
}
