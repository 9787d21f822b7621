import type { CellStore, Experiment, ExperimentResult } from "../../src/experiment/experiment.ts";
import type { Checkpoint } from "../../src/flow/checkpoint.ts";
import type { Gpu } from "../../src/gpu/device.ts";

/** Cells in memory, through the text that a store on disk would keep. */
export function memoryCells(): CellStore & { readonly results: ReadonlyMap<string, string> } {
  const results = new Map<string, string>();
  const checkpoints = new Map<string, Checkpoint>();
  return {
    results,
    checkpointSeconds: 1e9,
    load: async (id) => {
      const text = results.get(id);
      return text === undefined ? undefined : (JSON.parse(text) as unknown);
    },
    save: async (id, result) => {
      results.set(id, JSON.stringify(result));
      checkpoints.delete(id);
    },
    loadCheckpoint: async (id) => checkpoints.get(id),
    saveCheckpoint: async (id, checkpoint) => {
      checkpoints.set(id, checkpoint);
    },
  };
}

export interface RunOptions {
  readonly cells?: CellStore;
  readonly check?: boolean;
  /** Aborts at the first report of progress that has this much done. */
  readonly abortAt?: number;
}

/** Runs an experiment; `done` is what progress said last. */
export async function runExperiment<C>(
  gpu: Gpu,
  experiment: Experiment<C>,
  config: C,
  { cells = memoryCells(), check = false, abortAt }: RunOptions = {},
): Promise<ExperimentResult & { readonly done: number; readonly total: number }> {
  const abort = new AbortController();
  let [done, total] = [0, 0];
  const result = await experiment.run({
    gpu,
    config,
    preset: "smoke",
    signal: abort.signal,
    cells,
    check,
    progress: (progress) => {
      ({ done, total } = progress);
      if (abortAt !== undefined && done >= abortAt) abort.abort();
    },
  });
  return { ...result, done, total };
}

export function rowsOf(result: ExperimentResult, name: string) {
  const table = result.tables.find((each) => each.name === name);
  if (!table) throw new Error(`no table ${name}`);
  return table.rows;
}

/** What is wrong with a result's form: rows that differ from their columns, figures of missing columns, claims without a range. */
export function formErrors(result: ExperimentResult): string[] {
  const errors: string[] = [];
  for (const { name, columns, rows } of result.tables) {
    const wanted = columns.map((column) => column.name).sort();
    for (const row of rows)
      if (`${Object.keys(row).sort()}` !== `${wanted}`) errors.push(`table ${name}: a row has ${Object.keys(row)}`);
  }
  for (const figure of result.figures) {
    const rows = rowsOf(result, figure.table).filter((row) =>
      Object.entries(figure.where ?? {}).every(([key, value]) => row[key] === value),
    );
    if (rows.length === 0) errors.push(`figure ${figure.name}: no rows`);
    for (const axis of [figure.x, figure.y, figure.color, figure.dash, figure.columnFacet, figure.rowFacet])
      if (axis && rows[0] && !(axis.field in rows[0])) errors.push(`figure ${figure.name}: no column ${axis.field}`);
    for (const field of figure.interval ?? [])
      if (rows[0] && !(field in rows[0])) errors.push(`figure ${figure.name}: no column ${field}`);
  }
  const ids = result.claims.map(({ id }) => id);
  if (new Set(ids).size !== ids.length) errors.push("claims: an id is repeated");
  for (const { id, passes } of result.claims)
    if (passes.min === undefined && passes.max === undefined) errors.push(`claim ${id}: no range`);
  return errors;
}
