export interface Probed {
  readonly loss: number;
  readonly maxStep: readonly number[];
  readonly V: readonly number[];
  readonly W: readonly number[];
  readonly lorenz: readonly number[];
  readonly swings: readonly number[];
}
export function probe(library: object, gpu: object): Promise<Probed>;
