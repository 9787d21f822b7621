import { CONV_PARAMETERS, type ConvParameter, type ConvShape, convParameterShapes } from "../config/conv.ts";
import { ConfigError } from "../config/errors.ts";
import type { Gpu, Tensor } from "../gpu/device.ts";
import { convOffsets } from "../plan/conv.ts";
import { ceilTo } from "../plan/rounding.ts";

/** Places of batch normalisations, [place, (1, mean, variance), channels]: the stem, then the two of every layer in turn. */
export interface ConvState {
  /** Change of all parameters since the start, and their momentum, one after the other as in `convOffsets`. */
  readonly change: Float32Array<ArrayBuffer>;
  readonly momentum: Float32Array<ArrayBuffer>;
  /** Running moments. */
  readonly running: Float32Array<ArrayBuffer>;
}

/**
 * Parameters of a convolutional residual stack on the device, with their momentum and the running moments of batch normalisation. What is
 * trained is `change`, kept apart from the initial value as in `DenseStack`; `theta` = initial + change is what the passes read.
 */
export class ConvStack {
  readonly gpu: Gpu;
  readonly shape: ConvShape;
  readonly offsets: Readonly<Record<ConvParameter, number>>;
  /** Parameters; the tensors are padded to a multiple of 4. */
  readonly numbers: number;
  readonly initial: Tensor;
  readonly change: Tensor;
  readonly theta: Tensor;
  readonly momentum: Tensor;
  readonly running: Tensor;
  readonly #start: Float32Array<ArrayBuffer>;

  private constructor(gpu: Gpu, shape: ConvShape, start: Float32Array<ArrayBuffer>) {
    const { offsets, numbers } = convOffsets(shape);
    if (start.length !== numbers) throw new ConfigError("weights", `must have ${numbers} numbers`, start.length);
    this.gpu = gpu;
    this.shape = shape;
    this.offsets = offsets;
    this.numbers = numbers;
    this.#start = new Float32Array(ceilTo(numbers, 4));
    this.#start.set(start);
    this.initial = gpu.upload("initial parameters", this.#start);
    this.theta = gpu.upload("parameters", this.#start);
    this.change = gpu.tensor("change of the parameters", this.#start.byteLength);
    this.momentum = gpu.tensor("momentum of the parameters", this.#start.byteLength);
    this.running = gpu.upload("running moments", startOfRunning(shape));
  }

  /**
   * Uploads parameters, [numbers] in the order of `convOffsets`; change and momentum are zero, running moments 0 and 1.
   * @throws ConfigError when their number is not that of the shape
   */
  static create(gpu: Gpu, shape: ConvShape, start: Float32Array<ArrayBuffer>): ConvStack {
    return new ConvStack(gpu, shape, start);
  }

  /** Parameters by name in the layouts of `convParameterShapes`. */
  async readWeights(): Promise<Record<ConvParameter, Float32Array<ArrayBuffer>>> {
    const theta = await this.gpu.read(this.theta);
    return Object.fromEntries(CONV_PARAMETERS.map((name) => [name, this.part(theta, name)])) as Record<
      ConvParameter,
      Float32Array<ArrayBuffer>
    >;
  }

  /** The numbers of one parameter among those of all. */
  part(numbers: Float32Array<ArrayBuffer>, name: ConvParameter): Float32Array<ArrayBuffer> {
    const length = convParameterShapes(this.shape)[name].reduce((product, size) => product * size, 1);
    return numbers.slice(this.offsets[name], this.offsets[name] + length);
  }

  /** What a checkpoint needs besides the initial parameters: written back, a training continues bit for bit. */
  async readState(): Promise<ConvState> {
    const { gpu } = this;
    return {
      change: await gpu.read(this.change),
      momentum: await gpu.read(this.momentum),
      running: await gpu.read(this.running),
    };
  }

  /** @throws ConfigError for a state of another shape */
  writeState(state: ConvState): void {
    for (const name of ["change", "momentum", "running"] as const) {
      if (state[name].byteLength !== this[name].bytes)
        throw new ConfigError(name, `must have ${this[name].bytes / 4} numbers`, state[name].length);
      this.gpu.write(this[name], state[name]);
    }
    // As the update on the device adds: both are sums of two float32 rounded once.
    this.gpu.write(
      this.theta,
      this.#start.map((value, i) => value + state.change[i]!),
    );
  }

  destroy(): void {
    this.gpu.release(this.initial, this.change, this.theta, this.momentum, this.running);
  }
}

function startOfRunning({ channels, depth }: ConvShape): Float32Array<ArrayBuffer> {
  const running = new Float32Array(ceilTo((1 + 2 * depth) * 3 * channels, 4));
  for (let place = 0; place < 1 + 2 * depth; place++)
    for (let c = 0; c < channels; c++) {
      running[place * 3 * channels + c] = 1;
      running[(place * 3 + 2) * channels + c] = 1;
    }
  return running;
}
