import type { SourcePlace } from "../../../src/config/errors.ts";
import type { SolveMethod } from "../../../src/config/ode.ts";
import type { SolveStatus } from "../../../src/ode/controllers.ts";

/** From and to; a number of a trajectory is drawn uniformly between them. */
export type Range = readonly [from: number, to: number];

/** An ensemble on the page. */
export interface EnsembleChoice {
  /** WGSL of the vector field. */
  readonly source: string;
  readonly components: readonly string[];
  readonly parameters: readonly string[];
  /** y(0), a range a component; parameters, a range each. */
  readonly initialRanges: readonly Range[];
  readonly parameterRanges: readonly Range[];
  readonly trajectories: number;
  readonly method: SolveMethod;
  /** rtol and atol of methods with an error estimate. */
  readonly tolerance: number;
  /** Steps from picture to picture of methods without one. */
  readonly stepsPerPicture: number;
  /** Time from picture to picture: all trajectories meet there, and a solve of its own goes on. */
  readonly interval: number;
  readonly end: number;
  readonly seed: number;
}

export type Colour = readonly [red: number, green: number, blue: number];

/** How the states are drawn. */
export interface View {
  /** Components on the axes. */
  readonly x: number;
  readonly y: number;
  /** Pixels of the picture; none is drawn while one of them is 0. */
  readonly width: number;
  readonly height: number;
  /** Part of the density that a picture leaves to the next, 0 ≤ trail < 1. */
  readonly trail: number;
  /** Colours of no trajectory, of few and of many. */
  readonly colours: readonly [none: Colour, few: Colour, many: Colour];
}

export type EnsembleRequest =
  /** Draws the trajectories anew at t = 0. */
  | { readonly kind: "configure"; readonly choice: EnsembleChoice }
  | { readonly kind: "view"; readonly view: View }
  /** To the end; after a loss of the device, from the last picture. */
  | { readonly kind: "run" }
  | { readonly kind: "pause" }
  /** One picture. */
  | { readonly kind: "step" }
  | { readonly kind: "save" };

export interface Picture {
  readonly pixels: Uint8ClampedArray<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  /** Values at the edges. */
  readonly x: Range;
  readonly y: Range;
}

export interface EnsembleFrame {
  readonly t: number;
  readonly trajectories: number;
  /** Trajectories that did not get to t, by what ended them. */
  readonly failed: Readonly<Partial<Record<SolveStatus, number>>>;
  /** Steps of all trajectories since t = 0. */
  readonly accepted: number;
  readonly rejected: number;
  /** Over the last second or so; 0 before the first picture. */
  readonly stepsPerSecond: number;
  readonly picturesPerSecond: number;
  readonly picture: Picture | undefined;
}

export type EnsembleStatus = "building" | "paused" | "running" | "done";

export type EnsembleReply =
  | { readonly kind: "status"; readonly status: EnsembleStatus }
  | { readonly kind: "frame"; readonly frame: EnsembleFrame }
  /** The field's text cannot be used. */
  | { readonly kind: "wrong-field"; readonly message: string; readonly place: SourcePlace | undefined }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "saved"; readonly csv: Blob };
