import type { Claim, Table } from "../../../src/experiment/record.ts";
import type { AdapterFacts } from "../../../src/gpu/device.ts";

export const CONFORMANCE_CHOICES = ["smoke", "reduced", "paper", "none"] as const;
export const BENCH_CHOICES = ["quick", "full", "none"] as const;

export interface GpuChoice {
  /** A preset of the conformance experiment. */
  readonly conformance: (typeof CONFORMANCE_CHOICES)[number];
  /** quick: tiny sizes and few samples, to see that everything runs. */
  readonly bench: (typeof BENCH_CHOICES)[number];
}

export type GpuRequest =
  | { readonly kind: "facts" }
  | { readonly kind: "run"; readonly choice: GpuChoice }
  | { readonly kind: "stop" };

export interface DeviceFacts {
  readonly adapter: AdapterFacts;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

/** All solves by one method. */
export interface MethodRow {
  readonly method: string;
  readonly order: number;
  readonly solves: number;
  /** Those that did not reach t1, or whose kernel failed. */
  readonly unfinished: number;
  /**
   * Largest error over its derived bound, of the solves with a bound that says something: of adaptive steps of the whole
   * error, of fixed ones of what float32 adds. Null: there is none.
   */
  readonly worst: number | null;
  readonly worstWhere: string;
  /** DETEST: largest error over tolerance; null for fixed steps. */
  readonly detest: number | null;
  /** Trajectories compared with themselves beside other neighbours, and those that differ by a bit. */
  readonly compared: number;
  readonly different: number;
  readonly verdict: "holds" | "fails" | "not decided";
}

export interface ConformanceResult {
  readonly methods: readonly MethodRow[];
  /** Error over tolerance, the largest over the tolerances: by problem, then by method. */
  readonly detest: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly claims: readonly Claim[];
  /** Every solve. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly failures: readonly string[];
}

export interface BenchResult {
  readonly ceilings: Table;
  /** Grows while it runs. */
  readonly kernels: Table | undefined;
  readonly notes: readonly string[];
}

export type GpuReply =
  | { readonly kind: "facts"; readonly facts: DeviceFacts }
  | { readonly kind: "started" }
  | { readonly kind: "progress"; readonly done: number; readonly total: number; readonly label: string }
  | { readonly kind: "conformance"; readonly result: ConformanceResult }
  | { readonly kind: "bench"; readonly result: BenchResult }
  | { readonly kind: "ended"; readonly status: "done" | "stopped" | "failed"; readonly detail?: string };
