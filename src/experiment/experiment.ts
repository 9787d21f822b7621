import type { z } from "zod";
import type { Checkpoint } from "../flow/checkpoint.ts";
import type { Gpu } from "../gpu/device.ts";
import type { DeviceProfile } from "../plan/device_profile.ts";
import type { Claim, Figure, RunStatus, Table } from "./record.ts";

/** Every experiment has these; some have others besides. */
export const PRESETS = ["paper", "reduced", "smoke"] as const;
export type Preset = (typeof PRESETS)[number];

export interface Progress {
  /** Work done and in all, in units of the experiment's own (layer-steps), for rate and time left. */
  readonly done: number;
  readonly total: number;
  /** What is running now, e.g. "gelu tied L=256 seed 1, step 120". */
  readonly label: string;
  readonly loss?: number;
}

/** Where an experiment keeps what it has computed, cell by cell (one training run is one cell). */
export interface CellStore {
  /** Result of a finished cell, as saved. */
  load(id: string): Promise<unknown | undefined>;
  /** Saves a finished cell and drops its checkpoint. */
  save(id: string, result: unknown): Promise<void>;
  loadCheckpoint(id: string): Promise<Checkpoint | undefined>;
  saveCheckpoint(id: string, checkpoint: Checkpoint): Promise<void>;
  /** Seconds between checkpoints of a running cell. */
  readonly checkpointSeconds: number;
}

export interface ExperimentContext<C> {
  readonly gpu: Gpu;
  readonly config: C;
  readonly preset: string;
  readonly signal: AbortSignal;
  readonly cells: CellStore;
  readonly progress: (progress: Progress) => void;
  /** Compare the first steps with the float64 reference (`--check`) and add the result as claims. */
  readonly check: boolean;
}

export interface ExperimentResult {
  readonly status: RunStatus;
  readonly statusDetail?: string;
  readonly tables: readonly Table[];
  readonly figures: readonly Figure[];
  readonly claims: readonly Claim[];
  readonly notes: readonly string[];
}

/** What a run would do, without a GPU: printed by `deeplimit plan`. */
export interface ExperimentPlan {
  /** One row for each distinct training: its shape, layout, bytes by tensor, dispatches a step, steps. */
  readonly trainings: readonly {
    readonly label: string;
    readonly count: number;
    readonly steps: number;
    readonly layout: string;
    readonly segments: number;
    readonly states: string;
    readonly dispatchesPerStep: number;
    readonly tensors: Readonly<Record<string, number>>;
    readonly notes: readonly string[];
    /** q, m and n of a dense stack: what its layout depends on. */
    readonly dense?: { readonly width: number; readonly hidden: number; readonly rows: number };
  }[];
  /** One row for each method of an experiment that solves ODEs: kernels to compile, trajectories, device bytes of a solve. */
  readonly solves?: readonly {
    readonly label: string;
    readonly kernels: number;
    readonly trajectories: number;
    readonly bytes: number;
  }[];
  /** Device bytes held at one time, at most. */
  readonly peakBytes: number;
  /** Layer-steps in all: Σ depth · steps. */
  readonly layerSteps: number;
}

export interface Experiment<C = unknown> {
  readonly name: string;
  readonly title: string;
  /** A paragraph for a reader who knows the field. */
  readonly summary: string;
  readonly schema: z.ZodType<C>;
  /** Complete configurations by name; `defaultPreset` is what `deeplimit run NAME` takes. */
  readonly presets: Readonly<Record<Preset, C> & Record<string, C>>;
  readonly defaultPreset: Preset;
  plan(config: C, profile: DeviceProfile): ExperimentPlan;
  /** Never throws for a diverging or cancelled training: the status says so and what was computed is returned. */
  run(context: ExperimentContext<C>): Promise<ExperimentResult>;
}
