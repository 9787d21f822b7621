/** Images of equal size with their classes, as the readers of this room return them; safe in a browser. */
export interface LabelledImages {
  readonly count: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** [count, channels, height, width], 0..255. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** [count], 0..classes-1. */
  readonly labels: Uint8Array<ArrayBuffer>;
  readonly classes: number;
}
