import type { InitialWeights } from "../model/initialisation.ts";

export interface Layers {
  readonly V: Float32Array<ArrayBuffer>;
  readonly W: Float32Array<ArrayBuffer>;
}

/**
 * Initial weights that are drawn when they are read, the last draw kept: a study lists many trainings before it runs the first, more
 * weights than memory holds, and those that share a draw stand together.
 */
export class LazyWeights {
  #key = "";
  #layers: Layers | undefined;

  /** Not tied weights, `floats` numbers of V and of W from the start of the draw named by `key`. */
  weights({ A, B }: Pick<InitialWeights, "A" | "B">, key: string, draw: () => Layers, floats?: number): InitialWeights {
    const layers = () => {
      if (this.#layers === undefined || this.#key !== key) {
        this.#layers = draw();
        this.#key = key;
      }
      return this.#layers;
    };
    return {
      A,
      B,
      tied: false,
      get V() {
        return layers().V.subarray(0, floats);
      },
      get W() {
        return layers().W.subarray(0, floats);
      },
    };
  }
}
