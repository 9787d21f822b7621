/** Tables and figures of `roughness`. */
import type { Figure, Table } from "../record.ts";
import { amplificationOf } from "./claims.ts";
import type { RoughnessConfig, Row } from "./config.ts";

export function tablesOf(states: readonly Row[], ends: readonly Row[], fits: readonly Row[]): Table[] {
  const columns = [
    { name: "kind", description: "perturbation of the tied start: zigzag, walk, or none (tied)" },
    { name: "r", description: "L times the step between neighbouring layers at the start" },
    { name: "depth", description: "number of layers L" },
    { name: "seed", description: "of weights, perturbation and data" },
  ];
  return [
    {
      name: "training",
      description: "Every recorded state of every training.",
      columns: [
        ...columns,
        { name: "step", description: "Euler steps taken" },
        { name: "time", description: "training time t" },
        { name: "loss", description: "training loss" },
        { name: "max_step", description: "max_k ‖Z_{k+1} − Z_k‖, where ‖Z‖ = ‖V‖_F + ‖W‖_F" },
        { name: "scaled_step", description: "L · max_step" },
      ],
      rows: [...states],
    },
    {
      name: "steps",
      description: "Every finished training: its largest step between neighbouring layers.",
      columns: [
        ...columns,
        { name: "start_step", description: "max_k ‖Z_{k+1} − Z_k‖ at the start" },
        { name: "largest_step", description: "the same at its largest over the recorded times" },
        { name: "end_step", description: "the same at the end" },
      ],
      rows: [...ends],
    },
    {
      name: "amplification",
      description: "Every finished training with a rough start.",
      columns: [...columns, { name: "amplification", description: "largest_step / start_step of the table steps" }],
      rows: ends.flatMap(({ kind, r, depth, seed, ...row }): Row[] =>
        r === 0 ? [] : [{ kind: kind!, r: r!, depth: depth!, seed: seed!, amplification: amplificationOf(row) }],
      ),
    },
    {
      name: "bound",
      description: "Least bound (‖Z_{k+1}(0) − Z_k(0)‖ + b/L) e^{aT} on the steps at the end, over all r.",
      columns: [
        columns[0]!,
        ...columns.slice(2),
        { name: "factor", description: "e^{aT}" },
        { name: "a", description: "its rate in training time" },
        { name: "b", description: "L · max_step of the tied start at the end, over e^{aT}" },
      ],
      rows: [...fits],
    },
  ];
}

export function figuresOf({ depths, seeds }: RoughnessConfig): Figure[] {
  const r = { field: "r", label: "r", scale: "log2", sequential: true } as const;
  const depth = { field: "depth", label: "depth L", scale: "log2" } as const;
  const kind = { field: "kind", label: "start" };
  const seed = { field: "seed", label: "seed" };
  return [
    {
      name: "amplification",
      title: "Amplification of the initial steps against depth",
      caption:
        "max over layers and time of ‖Z_{k+1} − Z_k‖ over its value r/L at the start. Level lines: the factor of Proposition 7 does not depend on L.",
      table: "amplification",
      kind: "line",
      x: depth,
      y: { field: "amplification", label: "amplification", scale: "log" },
      color: r,
      dash: seed,
      columnFacet: kind,
    },
    {
      name: "steps",
      title: "Largest step after training against depth",
      caption: "max_k ‖Z_{k+1} − Z_k‖ after training from steps of r/L; r = 0 is the tied start.",
      table: "steps",
      kind: "line",
      x: depth,
      y: { field: "end_step", label: "max step after training", scale: "log" },
      color: { field: "r", label: "r" },
      dash: seed,
      columnFacet: kind,
      guides: [{ slope: -1, label: "slope −1" }],
    },
    {
      name: "growth",
      title: `L times the largest step along training (L = ${depths.at(-1)}, seed ${seeds[0]})`,
      caption: "L · max_k ‖Z_{k+1} − Z_k‖ from r at the start; what grows from the tied start is the smooth part.",
      table: "training",
      kind: "line",
      x: { field: "time", label: "training time t" },
      y: { field: "scaled_step", label: "L · max step" },
      color: { field: "r", label: "r" },
      columnFacet: kind,
      where: { depth: depths.at(-1)!, seed: seeds[0]! },
    },
    {
      name: "factor",
      title: "Factor of the bound against depth",
      caption: "Least e^{aT} with which (‖Z_{k+1}(0) − Z_k(0)‖ + b/L) e^{aT} bounds the steps after training at all r.",
      table: "bound",
      kind: "line",
      x: depth,
      y: { field: "factor", label: "e^{aT}" },
      color: seed,
      columnFacet: kind,
    },
  ];
}
