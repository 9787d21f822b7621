/** Weights over depth of the paper's three kinds, entries of standard deviation 1/√q. */
import { fractionalNoiseCovariance, StationaryGaussian, smoothIncrementCovariance } from "../../model/fractional.ts";
import type { InitialWeights } from "../../model/initialisation.ts";
import { RandomStream } from "../../model/random.ts";
import { LazyWeights } from "../lazy_weights.ts";
import type { Model, Process } from "./config.ts";

/**
 * Draws weights of `width` × `width` layers. Depth L takes the first L of `longest` layers, a sequence of the same law; the smooth process
 * depends on L and is drawn for each.
 */
export class WeightDraws {
  readonly #width: number;
  readonly #longest: number;
  readonly #kernelLength: number;
  readonly #lazy = new LazyWeights();

  constructor(width: number, longest: number, kernelLength: number) {
    this.#width = width;
    this.#longest = longest;
    this.#kernelLength = kernelLength;
  }

  weights(
    process: Process,
    model: Model,
    depth: number,
    seed: number,
    maps: Pick<InitialWeights, "A" | "B">,
  ): InitialWeights {
    const layers = process.kind === "rbf" ? depth : this.#longest;
    const draw = () => ({
      V: this.#sample(process, layers, new RandomStream(seed, "V")),
      W: model === "res-1" ? this.#identity(layers) : this.#sample(process, layers, new RandomStream(seed, "W")),
    });
    const key = JSON.stringify([process, model, layers, seed]);
    return this.#lazy.weights(maps, key, draw, depth * this.#width ** 2);
  }

  #sample({ kind, hurst }: Process, depth: number, stream: RandomStream): Float32Array<ArrayBuffer> {
    const elements = this.#width ** 2;
    if (kind === "iid") {
      const reach = Math.sqrt(3 / this.#width);
      return Float32Array.from({ length: depth * elements }, (_, i) => reach * (2 * stream.uniform(i) - 1));
    }
    const covariance =
      kind === "rbf"
        ? (lag: number) => smoothIncrementCovariance(lag, this.#kernelLength, depth)
        : (lag: number) => fractionalNoiseCovariance(lag, hurst!);
    return new StationaryGaussian(covariance, depth).sample(stream, elements, 1 / Math.sqrt(this.#width));
  }

  #identity(depth: number): Float32Array<ArrayBuffer> {
    const width = this.#width;
    const out = new Float32Array(depth * width * width);
    for (let k = 0; k < depth; k++) for (let i = 0; i < width; i++) out[(k * width + i) * width + i] = 1;
    return out;
  }
}
