import type { Cell, Figure, Table } from "../record.ts";
import { meanInterval } from "../statistics.ts";
import { CONFIDENCE, type Exponent } from "./claims.ts";
import { type MeanFieldConfig, SCANS } from "./config.ts";

type Row = Record<string, Cell>;

const column = (name: string, description: string, unit?: string) => ({ name, description, ...(unit && { unit }) });

/** Geometric mean over seeds with its interval, by scan, size and step. */
export function sizeRows({ steps }: MeanFieldConfig, errors: readonly Row[]): Row[] {
  return SCANS.flatMap((scan) =>
    [0, steps].flatMap((step) => {
      const here = errors.filter((row) => row.scan === scan && row.step === step);
      return [...new Set(here.map(({ size }) => size as number))].map((size): Row => {
        const rows = here.filter((row) => row.size === size);
        const over = (field: "error" | "moved") => {
          const logs = rows.flatMap((row) => (typeof row[field] === "number" ? [Math.log(row[field])] : []));
          if (logs.length === 0) return [null, null, null] as const;
          const { mean, interval } = meanInterval(logs, CONFIDENCE);
          const ends = interval.map((end) => (Number.isFinite(end) ? Math.exp(end) : null));
          return [Math.exp(mean), ends[0]!, ends[1]!] as const;
        };
        const [error, errorLower, errorUpper] = over("error");
        const [moved, movedLower, movedUpper] = over("moved");
        return {
          scan,
          size,
          step,
          when: step === 0 ? "initial" : `after ${step} steps`,
          error,
          errorLower,
          errorUpper,
          moved,
          movedLower,
          movedUpper,
        };
      });
    }),
  );
}

export function tables(config: MeanFieldConfig, errors: readonly Row[], found: readonly Exponent[]): Table[] {
  const scan = column("scan", "which of L, M and D varies");
  const size = column("size", "its value");
  const step = column("step", "steps of gradient descent taken");
  return [
    {
      name: "errors",
      description: "Every network of a scan against its limit network, one row per seed and recorded step.",
      columns: [
        scan,
        size,
        column("L", "depth", "layers"),
        column("M", "hidden width"),
        column("D", "state width"),
        column("seed", "data, ends of the network, and weights"),
        step,
        column("loss", "mean over samples and outputs of (f(x) − y)²"),
        column("error", "root mean square over samples and coordinates of h_L less h_L of the limit network"),
        column("toFirst", "at initialisation, of h_L − h_0"),
        column("expected", "leading order of toFirst: √(D/(LM) · E tanh²(g ‖h_0‖/√D))"),
        column("moved", "after training, of h_L less h_L before training"),
      ],
      rows: [...errors],
    },
    {
      name: "by-size",
      description: "Geometric means over seeds of `errors`.",
      columns: [
        scan,
        size,
        step,
        column("when", "initial or after training"),
        ...(["error", "moved"] as const).flatMap((field) => [
          column(field, "geometric mean over seeds"),
          column(`${field}Lower`, `lower end of the ${100 * CONFIDENCE}% interval over seeds`),
          column(`${field}Upper`, "upper end"),
        ]),
      ],
      rows: sizeRows(config, errors),
    },
    {
      name: "exponents",
      description: "Exponent p of quantity ≈ C·size^p, one fit per seed.",
      columns: [
        scan,
        step,
        column("quantity", "error or moved, columns of `errors`"),
        column("exponent", "p, mean over seeds"),
        column("lower", `lower end of the ${100 * CONFIDENCE}% interval over seeds`),
        column("upper", "upper end"),
        column("seeds", "seeds"),
      ],
      rows: found.map(({ fit, ...row }) => ({
        ...row,
        exponent: fit.slope,
        lower: Number.isFinite(fit.interval[0]) ? fit.interval[0] : null,
        upper: Number.isFinite(fit.interval[1]) ? fit.interval[1] : null,
        seeds: fit.perSeed.length,
      })),
    },
  ];
}

export function figures({ depth, hidden, width, steps }: MeanFieldConfig): Figure[] {
  const fixed = {
    L: `M = ${hidden}, D = ${width}`,
    M: `L = ${depth}, D = ${width}`,
    D: `L = ${depth}, M = ${hidden}`,
  };
  const names = { L: "depth L", M: "hidden width M", D: "state width D" };
  const errorOf = (scan: "L" | "M" | "D"): Figure => ({
    name: `error-${scan.toLowerCase()}`,
    title: `Error against ${names[scan]}, at ${fixed[scan]}`,
    caption:
      "Root mean square over samples and coordinates of the distance of the last state to that of a much larger network; geometric mean over seeds, 95% interval.",
    table: "by-size",
    kind: "line",
    x: { field: "size", label: names[scan], scale: "log2" },
    y: { field: "error", label: "distance of h_L", scale: "log" },
    color: { field: "when", label: "network" },
    interval: ["errorLower", "errorUpper"],
    guides: [scan === "D" ? { slope: 0.5, label: "slope 1/2" } : { slope: -0.5, label: "slope −1/2" }],
    where: { scan },
  });
  return [
    errorOf("L"),
    errorOf("M"),
    errorOf("D"),
    {
      name: "features",
      title: "Training moves the last state by about as much at any size",
      caption: `Root mean square over samples and coordinates of h_L after ${steps} steps less h_L before; each of L, M and D varies with the others fixed. Geometric mean over seeds, 95% interval: seeds differ in level, and far less in slope, whose intervals are in the claims.`,
      table: "by-size",
      kind: "line",
      x: { field: "size", label: "size of what varies", scale: "log2" },
      y: { field: "moved", label: "change of h_L", scale: "log" },
      columnFacet: { field: "scan", label: "varies" },
      interval: ["movedLower", "movedUpper"],
      where: { step: steps },
    },
  ];
}

export function notes(config: MeanFieldConfig): string[] {
  const { depth, hidden, width, referenceDepth, referenceHidden, rate, steps, samples, seeds } = config;
  return [
    "h_l = h_{l−1} + 1/(LM) Σ_j v_jl tanh(u_jl · h_{l−1}/D), u and v of variance D an entry, independent over layers; gradient descent with rates η L M D on u and v. Here W = u/D, V = v/M, and the flow's L ∂ℓ/∂Z has the factors M/D on W and D/M on V, which is the same descent.",
    `The map from inputs (standard normal, ${samples} samples) to h_0 has entries N(0, 1/d), the readout N(0, 1)/D; both are fixed, and equal for all L and M at one D and seed. Targets are standard normal, the loss is the mean of (f − y)² over samples and outputs, η = ${rate}, ${steps} steps: what the published code takes here was not at hand. With (1/n) Σ ‖f − y‖² instead, five times as large, descent at η = 1 oscillates, and small errors grow.`,
    `Limits are stood in for by networks of L = ${referenceDepth} (where L varies; M = ${hidden}, D = ${width}) and of M = ${referenceHidden} (where M or D varies; L = ${depth}), with weights of their own. The published code has M and D between 1 and 2000 at L = 50.`,
    `${seeds.length} seeds, each with its own data, ends and weights.`,
    "Only the abstract of the paper was at hand: ranges come from its rate, and at initialisation from the variance of a sum of independent terms.",
  ];
}
