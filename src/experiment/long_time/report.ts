import type { Figure, Table } from "../record.ts";
import type { LongTimeRows } from "./collect.ts";
import { type Family, type LongTimeConfig, PRESETS, SETUPS, type SetupName } from "./config.ts";

const TITLES: Readonly<Record<SetupName, string>> = { figure2: "figure 2", small: "small set-up" };

export function tables({ states, curves, distances, weights }: LongTimeRows): Table[] {
  const setup = { name: "setup", description: "figure2: the paper's sizes; small: a stack that comes to rest sooner" };
  const seed = { name: "seed", description: "one draw of W, X and Y" };
  const step = { name: "step", description: "iterations (Euler steps) taken" };
  const time = { name: "time", description: "training time t: iterations · η" };
  const norm = (name: string, description: string) => ({ name, unit: "‖·‖_F", description });
  return [
    {
      name: "states",
      description: "One row for each training and recorded iteration.",
      columns: [
        setup,
        seed,
        step,
        time,
        { name: "loss", description: "mean over samples and outputs of (F − y)²" },
        { name: "pl_ratio", description: "Polyak–Łojasiewicz ratio L Σ_k ‖∂ℓ/∂Z_k‖² / ℓ" },
        norm("max_step_V", "max_k ‖V_{k+1} − V_k‖"),
        norm("max_step_W", "max_k ‖W_{k+1} − W_k‖"),
        norm("scaled_step_V", "L · max_step_V"),
        norm("scaled_step_W", "L · max_step_W"),
      ],
      rows: states,
    },
    {
      name: "curves",
      description: "The states over seeds.",
      columns: [
        setup,
        { name: "quantity", description: "column of the table states" },
        step,
        time,
        { name: "seeds", description: "trainings that the row is over" },
        { name: "mean", description: "geometric mean" },
        { name: "low", description: "least" },
        { name: "high", description: "largest" },
      ],
      rows: curves,
    },
    {
      name: "distances",
      description: "From the states whose weights were kept to the last state of the same training.",
      columns: [
        setup,
        seed,
        step,
        time,
        { name: "loss", description: "ℓ(t)" },
        { name: "distance", description: "((1/L) Σ_k ‖Z_k(t) − Z_k(T)‖_F²)^½, Z = (V, W)" },
        { name: "bound", description: "2(√ℓ(t) − √ℓ(T))/√μ with μ the least recorded ratio on [t, T]" },
        { name: "share", description: "distance / bound" },
      ],
      rows: distances,
    },
    {
      name: "weights-by-depth",
      description:
        "The first entry of V_k and of W_k, first seed of each set-up, at the states whose weights were kept.",
      columns: [
        setup,
        seed,
        step,
        time,
        { name: "layer", description: "k" },
        { name: "s", description: "k/L" },
        { name: "V", description: "entry of V_k" },
        { name: "W", description: "entry of W_k" },
      ],
      rows: weights,
    },
  ];
}

export function figures(config: LongTimeConfig, rows: LongTimeRows): Figure[] {
  return SETUPS.filter((setup) => rows.states.some((row) => row.setup === setup)).flatMap((setup) =>
    setupFigures(
      config,
      setup,
      rows.distances.some((row) => row.setup === setup),
    ),
  );
}

function setupFigures(config: LongTimeConfig, setup: SetupName, withDistances: boolean): Figure[] {
  const { depth, seeds } = config[setup];
  const title = TITLES[setup];
  const time = { field: "time", label: "training time t" };
  const band = `Geometric mean over ${seeds.length} ${seeds.length === 1 ? "seed" : "seeds"}; the band runs from the least to the largest.`;
  const curve = (
    quantity: string,
    name: string,
    heading: string,
    label: string,
    caption: string,
    log = false,
  ): Figure => ({
    name: `${name}-${setup}`,
    title: `${heading} (${title})`,
    caption: `${caption} ${band}`,
    table: "curves",
    kind: "line",
    x: time,
    y: { field: "mean", label, ...(log && { scale: "log" }) },
    interval: ["low", "high"],
    where: { setup, quantity },
  });
  const entry = (family: Family): Figure => ({
    name: `weights-${family.toLowerCase()}-${setup}`,
    title: `One entry of ${family} over depth and time (${title})`,
    caption: `The first entry of ${family}_k against k/L, seed ${seeds[0]}: figure 2 of the paper, lighter is later. All layers start equal and stay a smooth function of depth.`,
    table: "weights-by-depth",
    kind: "line",
    x: { field: "s", label: "position in depth, k/L" },
    y: { field: family, label: `entry of ${family}ₖ` },
    color: { ...time, sequential: true },
    where: { setup },
  });
  return [
    curve("loss", "loss", "The loss along training", "loss", "Figure 2 of the paper, logarithmic loss.", true),
    entry("V"),
    entry("W"),
    curve(
      "scaled_step_V",
      "saturation-v",
      "Largest step between neighbouring V, times L",
      `L max ‖Vₖ₊₁ − Vₖ‖, L = ${depth}`,
      "Proposition 8 (ii): neighbouring layers stay within K/L with K independent of time, so the curve must level off when the loss has fallen.",
    ),
    curve(
      "scaled_step_W",
      "saturation-w",
      "Largest step between neighbouring W, times L",
      `L max ‖Wₖ₊₁ − Wₖ‖, L = ${depth}`,
      "Proposition 8 (ii): neighbouring layers stay within K/L with K independent of time, so the curve must level off when the loss has fallen.",
    ),
    curve(
      "pl_ratio",
      "pl-ratio",
      "The Polyak–Łojasiewicz ratio along training",
      "−(dℓ/dt) / ℓ",
      "The rate at which the loss falls at each moment (Definition 1): fast directions settle first and leave the slow ones.",
      true,
    ),
    ...(withDistances
      ? [
          {
            name: `distance-${setup}`,
            title: `Distance to the last weights against the loss (${title})`,
            caption:
              "Root mean square over depth of ‖Z_k(t) − Z_k(T)‖_F against the loss at t; time runs from right to left. The guide has slope 1/2: half the rate of the loss. " +
              "The last points fall away, because they are measured to a state that is itself not at rest.",
            table: "distances",
            kind: "line",
            x: { field: "loss", label: "loss", scale: "log" },
            y: { field: "distance", label: "‖Z(t) − Z(T)‖", scale: "log" },
            color: { field: "seed", label: "seed", scale: "ordinal" },
            guides: [{ slope: 0.5, label: "slope 1/2" }],
            where: { setup },
          } satisfies Figure,
        ]
      : []),
  ];
}

export function notes(config: LongTimeConfig): string[] {
  const { figure2, small } = config;
  const paper = PRESETS.paper.figure2;
  const end = (setup: { rate: number; steps: number }) => Number((setup.rate * setup.steps).toPrecision(6));
  const list = [
    "Parametrisation of the published code: no factors 1/√m and 1/√q, loss a mean over samples and outputs, A = B = I frozen, d = q. GELU is not bounded and q < d + d', so Theorem 6 and " +
      "Proposition 5 do not formally cover the run; the paper shows it as an illustration. Experiments pl-condition and double-limit have the theorem's own setting.",
    `Small set-up: n = ${small.samples}, d = q = ${small.width}, m = ${small.hidden}, L = ${small.depth}, η = ${small.rate}, t up to ${end(small)}. It is not in the paper; with fewer samples for its width its loss falls to zero sooner.`,
    "Z_∞ is stood in for by the last state. Time is continuous in the theory; here Euler steps. Arithmetic is float32, weights stored as their change from the initial value.",
    "The published loss of figure 2 falls from about 2 to slightly below 1e-7 in 80,000 iterations of η = 0.005 (t = 400), from one draw; here every seed draws W, X and Y anew.",
  ];
  if (figure2.depth !== paper.depth || figure2.rate !== paper.rate || figure2.steps !== paper.steps)
    list.push(
      `Reduced: the paper's figure 2 has L = ${paper.depth} and ${paper.steps} iterations of η = ${paper.rate}, t = ${end(paper)} (preset paper); here L = ${figure2.depth} and ${figure2.steps} of η = ${figure2.rate}, t = ${end(figure2)}. ` +
        "Numbers are compared at equal t, differences of layers as L·max_k‖Z_{k+1} − Z_k‖.",
    );
  return list;
}
