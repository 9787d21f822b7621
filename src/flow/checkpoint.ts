/** A named set of float32 tensors with text metadata: what a safetensors file holds. */
export interface Checkpoint {
  readonly tensors: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly data: Float32Array<ArrayBuffer> }>
  >;
  readonly metadata: Readonly<Record<string, string>>;
}
