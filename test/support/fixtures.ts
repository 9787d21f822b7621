import { readFileSync } from "node:fs";
import type { Activation, DenseShape, Loss } from "../../src/config/dense.ts";

export interface TensorJson {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** Float64 answers of PyTorch autograd; every file in `test/fixtures` names its generator's configuration. */
export function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), "utf8")) as T;
}

export interface DenseFixture {
  readonly config: {
    n: number;
    d: number;
    q: number;
    m: number;
    dout: number;
    L: number;
    activation: string;
    normalisation: "paper" | "code";
    beta: number;
    loss: "mse_sum" | "mse_mean" | "cross_entropy";
  };
  readonly labels: readonly number[];
  readonly loss: number;
  readonly X: TensorJson;
  readonly Y: TensorJson;
  readonly A: TensorJson;
  readonly V: TensorJson;
  readonly W: TensorJson;
  readonly B: TensorJson;
  readonly output: TensorJson;
  readonly states: TensorJson;
  readonly dA: TensorJson;
  readonly dV: TensorJson;
  readonly dW: TensorJson;
  readonly dB: TensorJson;
}

export interface FlowFixture {
  readonly config: { n: number; d: number; m: number; L: number; steps: number; lr: number };
  readonly X: TensorJson;
  readonly Y: TensorJson;
  readonly W0: TensorJson;
  readonly losses: readonly number[];
  readonly max_step_V: readonly number[];
  readonly max_step_W: readonly number[];
  readonly V_norm: number;
  readonly W_change_norm: number;
  readonly V?: TensorJson;
  readonly W?: TensorJson;
}

const LOSS: Record<DenseFixture["config"]["loss"], Loss> = {
  mse_sum: "squared-norm",
  mse_mean: "mean-square",
  cross_entropy: "cross-entropy",
};

export function denseFixture(name: string) {
  const file = fixture<DenseFixture>(name);
  const { config } = file;
  const shape: DenseShape = {
    inputs: config.d,
    width: config.q,
    hidden: config.m,
    outputs: config.dout,
    depth: config.L,
    activation: config.activation.replace("_", "-") as Activation,
    widthFactors: config.normalisation,
    beta: config.beta,
  };
  return { file, shape, loss: LOSS[config.loss], rows: config.n };
}

export function f32(tensor: TensorJson): Float32Array<ArrayBuffer> {
  return Float32Array.from(tensor.data);
}
