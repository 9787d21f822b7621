import type { SingleTrainingConfig } from "../../../src/experiment/single_training/config.ts";

/** One network on the page: what is trained, and the depth of the network it is compared with (0: none). */
export interface SlotConfig {
  readonly training: SingleTrainingConfig;
  readonly referenceDepth: number;
}

export type TrainingRequest =
  /** Builds the networks anew, at step 0, on one clock. */
  | { readonly kind: "configure"; readonly slots: readonly SlotConfig[] }
  | { readonly kind: "run" }
  | { readonly kind: "pause" }
  /** One step of every network. */
  | { readonly kind: "step" }
  /** After a loss of the device: opens it again and continues from the last checkpoint. */
  | { readonly kind: "resume" };

export type Family = "V" | "W";
export const FAMILIES: readonly Family[] = ["V", "W"];

/** A network at one step. */
export interface Frame {
  readonly slot: number;
  readonly step: number;
  /** Training time t. */
  readonly time: number;
  /** Of the last state evaluated; NaN before the first step. */
  readonly loss: number;
  /** L · max_k ‖X_{k+1} − X_k‖_F. */
  readonly lipschitz: Readonly<Record<Family, number>>;
  /** Half of von Neumann's ratio over depth, of layers read not later than a second ago; null when no layer differs. */
  readonly roughness: Readonly<Record<Family, number | null>>;
  /** Root mean square distance over depth to the reference network. */
  readonly distance?: Readonly<Record<Family, number>>;
  /** s = k/L of the layers shown, and the first entry of V_k and W_k there. */
  readonly depths: Float64Array<ArrayBuffer>;
  readonly entries: Readonly<Record<Family, Float64Array<ArrayBuffer>>>;
  /** Milliseconds of a training step of this network, over the last second or so of training. */
  readonly stepMs: number;
}

export type RunStatus = "building" | "paused" | "running" | "done" | "diverged";

export type TrainingReply =
  | { readonly kind: "status"; readonly status: RunStatus; readonly detail?: string }
  | { readonly kind: "frame"; readonly frames: readonly Frame[] }
  /** After a restart: steps after these are forgotten, one number a network. */
  | { readonly kind: "resumed"; readonly steps: readonly number[] }
  /** Of a network that was just built. */
  | {
      readonly kind: "built";
      readonly slot: number;
      readonly bytes: number;
      readonly layout: string;
      readonly depth: number;
    }
  | { readonly kind: "refused"; readonly slot: number; readonly field: string; readonly message: string }
  | { readonly kind: "failed"; readonly message: string }
  /** Milliseconds since the epoch at which the first training step was done. */
  | { readonly kind: "first-step"; readonly at: number };
