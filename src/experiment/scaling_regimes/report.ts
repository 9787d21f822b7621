import type { Cell, Figure, Table } from "../record.ts";
import { quantile } from "../statistics.ts";
import { CONFIDENCE, type Critical, clippedMedians, type Exponent, grouped } from "./claims.ts";
import { productBeta, type ScalingRegimesConfig } from "./config.ts";

type Row = Record<string, Cell>;

const column = (name: string, description: string, unit?: string) => ({ name, description, ...(unit && { unit }) });

const PROCESS = [
  column(
    "process",
    "iid: independent uniform; rbf: increments of a smooth Gaussian process; fbm: of fractional Brownian motion",
  ),
  column("hurst", "H, of fbm only"),
  column("beta", "β: residual scale L^-β"),
  column("depth", "L", "layers"),
];
const RATIO_COLUMNS = [
  column("forward", "‖h_L − h_0‖/‖h_0‖, geometric mean over rows; empty beyond the range of float32"),
  column("gradient", "‖p_0 − p_L‖/‖p_L‖ with p = ∂ℓ/∂h, geometric mean over rows; empty beyond the range of float32"),
];

/** Median and quartiles over draws by process, β and depth; an overflow stands above every number and is left out of none. */
export function depthRows(initial: readonly Row[]): Row[] {
  return grouped(
    initial.filter(({ hurst }) => hurst === null),
    "process",
    "beta",
    "depth",
  ).map((rows) => {
    const { process, beta, depth } = rows[0]!;
    const row: Row = { process, beta, depth, draws: rows.length } as Row;
    for (const ratio of ["forward", "gradient"] as const) {
      const values = rows.map((one) => (one[ratio] as number | null) ?? Number.MAX_VALUE);
      const at = (p: number) => {
        const value = quantile(values, p);
        return value < 1e38 ? value : null;
      };
      row[ratio] = at(0.5);
      row[`${ratio}Lower`] = at(0.25);
      row[`${ratio}Upper`] = at(0.75);
    }
    return row;
  });
}

/** Of trained networks with fractional weights: mean accuracy over seeds, medians of the clipped ratios. */
export function trainedMapRows(best: readonly Row[]): Row[] {
  return grouped(
    best.filter(({ hurst }) => hurst !== null),
    "hurst",
    "beta",
  ).map((rows) => {
    const { hurst, beta } = rows[0]!;
    const accuracy = rows.reduce((sum, row) => sum + (row.testAccuracy as number) / rows.length, 0);
    return { hurst, beta, seeds: rows.length, testAccuracy: accuracy, ...clippedMedians(rows) } as Row;
  });
}

export function tables(
  initial: readonly Row[],
  found: readonly Exponent[],
  critical: readonly Critical[],
  map: readonly Row[],
  trained: readonly Row[],
  best: readonly Row[],
): Table[] {
  const seed = column("seed", "split of the digits and initial weights");
  const logs = [
    column("forward", "log10 of ‖h_L − h_0‖/‖h_0‖, clipped to ±1, median"),
    column("gradient", "log10 of ‖p_0 − p_L‖/‖p_L‖, clipped to ±1, median"),
  ];
  return [
    {
      name: "initial",
      description: "What a network at initialisation does to states and gradients, one row per network.",
      columns: [...PROCESS, column("draw", "draw of weights and inputs"), ...RATIO_COLUMNS],
      rows: [...initial],
    },
    {
      name: "by-depth",
      description: "Medians and quartiles over draws of `initial`, independent and smooth weights.",
      columns: [
        ...PROCESS.filter(({ name }) => name !== "hurst"),
        column("draws", "draws"),
        ...["forward", "gradient"].flatMap((ratio) => [
          column(ratio, `${ratio === "forward" ? "‖h_L − h_0‖/‖h_0‖" : "‖p_0 − p_L‖/‖p_L‖"}, median`),
          column(`${ratio}Lower`, "first quartile"),
          column(`${ratio}Upper`, "third quartile"),
        ]),
      ],
      rows: depthRows(initial),
    },
    {
      name: "exponents",
      description:
        "Exponent p of ratio ≈ C·L^p, one fit per draw, mean over draws; empty where a draw passed the range of float32.",
      columns: [
        ...PROCESS.filter(({ name }) => name !== "depth"),
        column("ratio", "forward or gradient"),
        column("exponent", "p"),
        column("lower", `lower end of the ${100 * CONFIDENCE}% interval over draws`),
        column("upper", "upper end"),
        column("draws", "draws"),
      ],
      rows: found.map(({ slope, interval, ...row }) => {
        const seen = Number.isFinite(slope);
        return {
          ...row,
          exponent: seen ? slope : null,
          lower: seen ? interval[0] : null,
          upper: seen ? interval[1] : null,
        };
      }),
    },
    {
      name: "critical",
      description: "β at which the exponent in depth of fractional weights passes 0, by H.",
      columns: [
        column("hurst", "H"),
        column(
          "ratio",
          "states, gradients, or a conjecture: max(1/2, H), and max(1/2, 2H − 1) for products of two independent noises",
        ),
        column("beta", "β where the exponent passes 0, interpolated"),
        column("lower", "β where the lower end of the exponent's interval passes 0"),
        column("upper", "β where its upper end does"),
      ],
      rows: [
        ...critical.map(({ hurst, ratio, beta, interval: [lower, upper] }) => ({
          hurst,
          ratio: ratio === "forward" ? "states" : "gradients",
          beta,
          lower: Number.isFinite(lower) ? lower : null,
          upper: Number.isFinite(upper) ? upper : null,
        })),
        ...critical
          .filter(({ ratio }) => ratio === "forward")
          .flatMap(({ hurst, expected }) => [
            { hurst, ratio: "max(1/2, H)", beta: expected, lower: null, upper: null },
            { hurst, ratio: "max(1/2, 2H − 1)", beta: productBeta(hurst), lower: null, upper: null },
          ]),
      ],
    },
    {
      name: "map",
      description: "Medians over draws at the largest depth, fractional weights at initialisation.",
      columns: [...PROCESS.slice(1), column("draws", "draws"), ...logs],
      rows: [...map],
    },
    {
      name: "trainings",
      description:
        "Trainings on the digits, before the first and after the last step; a diverged training has no last row.",
      columns: [
        ...PROCESS,
        seed,
        column("rate", "learning rate of Adam"),
        column("step", "steps of Adam, full batch"),
        column("loss", "training loss"),
        column("accuracy", "training accuracy"),
        column("testLoss", "test loss"),
        column("testAccuracy", "test accuracy"),
        ...RATIO_COLUMNS,
        column(
          "roughness",
          "½ Σ_k ‖V_{k+1} − V_k‖² / Σ_k ‖V_k − V̄‖²: 1 for independent layers, O(1/L²) for a Lipschitz function of depth",
        ),
      ],
      rows: [...trained],
    },
    {
      name: "best",
      description: "The learning rate of the best test accuracy, one row per network and seed.",
      columns: [
        ...PROCESS.filter(({ name }) => name !== "depth"),
        seed,
        column("rate", "that learning rate; empty when all diverged"),
        column("testAccuracy", "test accuracy; by chance when all diverged"),
        column("accuracy", "training accuracy"),
        ...RATIO_COLUMNS,
        column("roughnessBefore", "roughness of V over depth before training"),
        column("roughnessAfter", "and after"),
      ],
      rows: [...best],
    },
    {
      name: "trained-map",
      description: "Over seeds, fractional weights after training, each at its best learning rate.",
      columns: [
        ...PROCESS.slice(1, 3),
        column("seeds", "seeds"),
        column("testAccuracy", "test accuracy, mean"),
        ...logs,
      ],
      rows: trainedMapRows(best),
    },
  ];
}

export function figures(config: ScalingRegimesConfig): Figure[] {
  const depth = { field: "depth", label: "depth L", scale: "log" as const };
  const states = "‖h_L − h_0‖ / ‖h_0‖";
  const gradients = "‖p_0 − p_L‖ / ‖p_L‖";
  const byDepth = (process: "iid" | "rbf", ratio: "forward" | "gradient", caption: string): Figure => ({
    name: `${process}-${ratio}`,
    title: `${process === "iid" ? "Independent" : "Smooth"} weights at initialisation: ${ratio === "forward" ? "states" : "gradients"}`,
    caption: `${caption} Median over ${config.draws} draws, band from quartile to quartile.`,
    table: "by-depth",
    kind: "line",
    x: depth,
    y: { field: ratio, label: ratio === "forward" ? states : gradients, scale: "log" },
    color: { field: "beta", label: "β" },
    interval: [`${ratio}Lower`, `${ratio}Upper`],
    where: { process },
  });
  const heat = (name: string, title: string, table: string, field: string, label: string, caption: string): Figure => ({
    name,
    title,
    caption,
    table,
    kind: "heatmap",
    x: { field: "beta", label: "β", scale: "ordinal" },
    y: { field: "hurst", label: "H", scale: "ordinal" },
    color: { field, label },
  });
  const clipped = "log10, clipped to ±1: −1 is a network that is close to the identity, +1 one that explodes.";
  const { steps, depth: trainedDepth } = config.trained;
  return [
    byDepth("iid", "forward", "Only β = 1/2 neither explodes nor tends to the identity."),
    byDepth("iid", "gradient", "The same for gradients."),
    byDepth("rbf", "forward", "Here β = 1 is the critical one."),
    byDepth("rbf", "gradient", "The same for gradients."),
    heat(
      "map-forward",
      `States at initialisation, L = ${config.fractional.depths.at(-1)}`,
      "map",
      "forward",
      `log10 ${states}`,
      `Weights are increments of fractional Brownian motion with Hurst exponent H. ${clipped}`,
    ),
    heat(
      "map-gradient",
      `Gradients at initialisation, L = ${config.fractional.depths.at(-1)}`,
      "map",
      "gradient",
      `log10 ${gradients}`,
      clipped,
    ),
    {
      name: "critical",
      title: "Critical β against the Hurst exponent",
      caption:
        "β at which the exponent of the ratio in L passes 0; band: where the ends of the exponent's 95% interval over draws do. States follow max(1/2, H). Gradients are sums of products of two independent noises, which alone would give max(1/2, 2H − 1).",
      table: "critical",
      kind: "line",
      x: { field: "hurst", label: "H" },
      y: { field: "beta", label: "critical β" },
      color: { field: "ratio", label: "ratio of" },
      interval: ["lower", "upper"],
    },
    heat(
      "trained-accuracy",
      `Test accuracy after ${steps} steps of Adam, L = ${trainedDepth}`,
      "trained-map",
      "testAccuracy",
      "test accuracy",
      "Handwritten digits, res-1, mean over seeds of the best learning rate. Networks that diverged at every rate count as chance, 0.1.",
    ),
    heat(
      "trained-forward",
      `States after ${steps} steps of Adam, L = ${trainedDepth}`,
      "trained-map",
      "forward",
      `log10 ${states}`,
      `On the training rows, at the best learning rate. ${clipped}`,
    ),
    heat(
      "trained-gradient",
      `Gradients after ${steps} steps of Adam, L = ${trainedDepth}`,
      "trained-map",
      "gradient",
      `log10 ${gradients}`,
      `On the training rows, at the best learning rate. ${clipped}`,
    ),
  ];
}

export function notes({ model, width, depths, draws, rows, fractional, trained }: ScalingRegimesConfig): string[] {
  return [
    `At initialisation: ${model === "res-3" ? "h + L^-β V relu(W h)" : "h + L^-β V relu(h)"}, q = m = ${width}, depths to ${depths.at(-1)}, ${draws} draws with ${rows} inputs each; fractional weights at L = ${fractional.depths.join(", ")}, ${fractional.draws} draws with ${fractional.rows} inputs each. The published figures have depths to 1000 by steps of 10, 50 draws, and maps of 51 values of H by 70 of β at L = 1000 alone.`,
    "The published networks map x in [0,1]^64 to h_0 by a random matrix. Without biases the network is positively homogeneous: both ratios depend on the direction of h_0 alone, which is drawn uniformly here. One linear output, as published: p_L is a fixed direction times a number, on which the ratio does not depend.",
    "Of a fractional or independent draw, depth L takes the first L layers of the longest: exact, because the sequences are stationary. Smooth weights are drawn for each depth.",
    "Ratios beyond the range of float32 count as explosion: they are clipped in the maps, and no exponent is fitted.",
    "Not covered here: the 10,000-draw histograms of figure 2.",
    `After training: res-1 (W = I is not trained; A, V and B are), width ${trained.width}, L = ${trained.depth}, ${trained.trainRows} of the 8×8 handwritten digits instead of MNIST and CIFAR-10, ${trained.steps} full-batch steps of Adam at learning rates ${trained.rates.join(", ")} instead of 10 epochs of batches of 128 at five rates. Accuracies are not comparable with the published ones; regimes are.`,
    "A network that starts close to the identity can leave that regime by training, because changes that are coherent over depth add up L times: the maps after training are measured, not predicted.",
  ];
}
