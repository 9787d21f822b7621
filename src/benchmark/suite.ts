import type { Claim, Figure, Table } from "../experiment/record.ts";

/**
 * What one part of the benchmark hands over: tables of numbers with units, what to draw from them, the goals they
 * decide, and what a reader must know before quoting one.
 */
export interface SuiteResult {
  readonly tables: readonly Table[];
  readonly figures: readonly Figure[];
  readonly claims: readonly Claim[];
  readonly notes: readonly string[];
}
