/** Tables, figures and notes of `prolongation`. */
import type { Figure, Table } from "../record.ts";
import { CONFIDENCE } from "../seed_claim.ts";
import { meanInterval } from "../statistics.ts";
import { costShare } from "./claims.ts";
import { type Family, METHODS, PRESETS, type ProlongationConfig, type Row, totalSteps } from "./config.ts";
import type { Collected } from "./training.ts";

/** Mean over seeds of the jump, with the interval of the mean logarithm. */
function meanJumps(config: ProlongationConfig, { jumps }: Collected): Row[] {
  return METHODS.flatMap((method) =>
    config.depths.flatMap((depth): Row[] => {
      const logs = jumps
        .filter((row) => row.method === method && row.depth === depth && (row.jump as number) > 0)
        .map((row) => Math.log(row.jump as number));
      if (logs.length === 0) return [];
      const { mean, interval } = meanInterval(logs, CONFIDENCE);
      const [lower, upper] = interval.map((end) => (Number.isFinite(end) ? Math.exp(end) : null));
      return [{ method, depth, seeds: logs.length, jump: Math.exp(mean), lower: lower!, upper: upper! }];
    }),
  );
}

/** Layer-steps of one seed and wall time of all seeds, schedule by schedule. */
function costs(config: ProlongationConfig, { seconds }: Collected): Row[] {
  const { depths, levelSteps, seeds } = config;
  const [shallow, deep] = [depths[0]!, depths.at(-1)!];
  const wall = (schedule: string, depth: number) =>
    seconds.find((row) => row.schedule === schedule && row.depth === depth)?.seconds as number | null | undefined;
  const fromStart = depths.map(
    (depth): Row => ({
      schedule: `L=${depth} from the start`,
      layer_steps: depth * totalSteps(config),
      seconds: wall("from the start", depth) ?? null,
    }),
  );
  const prolonged = METHODS.map((method): Row => {
    // The first level is a part of the shallow training, in proportion to its steps.
    const first = wall("from the start", shallow);
    const parts = [
      typeof first === "number" ? (first * levelSteps[0]!) / totalSteps(config) : first,
      ...depths.slice(1).map((depth) => wall(method, depth)),
    ];
    const whole = parts.every((part) => typeof part === "number");
    return {
      schedule: `prolonged, ${method}`,
      layer_steps: Math.round(costShare(config) * deep * totalSteps(config)),
      seconds: whole ? (parts as number[]).reduce((sum, part) => sum + part, 0) : null,
    };
  });
  return [...fromStart, ...prolonged].map((row) => ({ ...row, seeds: seeds.length }));
}

export function tablesOf(config: ProlongationConfig, collected: Collected): Table[] {
  const seed = { name: "seed", description: "draw of weights and data" };
  const method = {
    name: "method",
    description: "constant: layer ⌊kL/L'⌋; linear: between the middles of the layers",
  };
  const schedule = {
    name: "schedule",
    description: "from the start: one depth throughout; constant, linear: prolonged level by level",
  };
  return [
    {
      name: "curves",
      description: "Loss and largest steps between neighbouring layers along training.",
      columns: [
        schedule,
        { name: "final_depth", unit: "layers", description: "depth at the end of the training" },
        { name: "depth", unit: "layers", description: "depth L at this step; a level begins where another one ends" },
        seed,
        { name: "step", description: "Euler steps taken" },
        { name: "time", description: "training time t = steps · η" },
        { name: "layer_steps", description: "layers walked so far: Σ L over steps" },
        { name: "loss", description: "mean squared error over rows and outputs" },
        { name: "max_step_V", unit: "‖·‖_F", description: "max_k ‖V_{k+1} − V_k‖" },
        { name: "max_step_W", unit: "‖·‖_F", description: "max_k ‖W_{k+1} − W_k‖" },
        { name: "lipschitz_V", unit: "‖·‖_F", description: "L · max_step_V" },
        { name: "lipschitz_W", unit: "‖·‖_F", description: "L · max_step_W" },
      ],
      rows: collected.curves.map((row) => ({
        ...row,
        lipschitz_V: (row.depth as number) * (row.max_step_V as number),
        lipschitz_W: (row.depth as number) * (row.max_step_W as number),
      })),
    },
    {
      name: "jumps",
      description: "Each depth's trained network, prolonged to twice the depth: before and after.",
      columns: [
        method,
        { name: "depth", unit: "layers", description: "L before; 2L after" },
        seed,
        { name: "loss_before", description: "loss of the trained network" },
        { name: "loss_after", description: "loss right after prolongation" },
        { name: "jump", description: "|loss_after − loss_before|" },
        ...(["V", "W"] as const).flatMap((family) => [
          {
            name: `lipschitz_before_${family}`,
            unit: "‖·‖_F",
            description: `L · max_k ‖${family}_{k+1} − ${family}_k‖`,
          },
          { name: `lipschitz_after_${family}`, unit: "‖·‖_F", description: "the same at 2L" },
        ]),
      ],
      rows: collected.jumps,
    },
    {
      name: "jump-by-depth",
      description: "Geometric mean over seeds of the jump.",
      columns: [
        method,
        { name: "depth", unit: "layers", description: "L before prolongation" },
        { name: "seeds", description: "seeds in the mean" },
        { name: "jump", description: "geometric mean of |ℓ(2L) − ℓ(L)|" },
        { name: "lower", description: "lower end of its 95 % interval (Student's t on logarithms)" },
        { name: "upper", description: "upper end" },
      ],
      rows: meanJumps(config, collected),
    },
    {
      name: "distances",
      description: `Distance of V and W at L = ${config.depths.at(-1)}, as functions of depth, to those of the network deep from the start.`,
      columns: [
        {
          name: "schedule",
          description: `prolonged: level by level; shallow to the end: trained at L = ${config.depths[0]} only, then prolonged at once`,
        },
        method,
        seed,
        { name: "family", description: "V or W" },
        { name: "l2", unit: "‖·‖_F", description: "root mean square over layers" },
        { name: "sup", unit: "‖·‖_F", description: "largest over layers" },
      ],
      rows: collected.distances,
    },
    {
      name: "weights-by-depth",
      description: `First entry of V_k and W_k against depth at the end, seed ${config.seeds[0]}.`,
      columns: [
        schedule,
        { name: "layer", description: "k" },
        { name: "s", description: "middle of the layer, (k − ½)/L" },
        { name: "V", description: "first row, first column of V_k" },
        { name: "W", description: "first row, first column of W_k" },
      ],
      rows: collected.layers,
    },
    {
      name: "cost",
      description: "What each training costs.",
      columns: [
        { name: "schedule", description: "the training" },
        { name: "layer_steps", description: "layers walked, one seed" },
        {
          name: "seconds",
          unit: "s",
          description:
            "wall time of all seeds, measurements and pipelines compiled on the way included; empty where a part was loaded from an interrupted run",
        },
        { name: "seeds", description: "seeds in the seconds" },
      ],
      rows: costs(config, collected),
    },
  ];
}

export function figuresOf(config: ProlongationConfig): Figure[] {
  const { seeds, depths } = config;
  const [shallow, deep] = [depths[0]!, depths.at(-1)!];
  const schedule = { field: "schedule", label: "training" };
  const entry = (family: Family): Figure => ({
    name: `weights-${family.toLowerCase()}`,
    title: `One entry of ${family} against depth after training (L=${deep})`,
    caption:
      `First entry of ${family}_k, seed ${seeds[0]}. Prolonged as a constant from L = ${shallow}, the weights keep the stairs of the shallow ` +
      "network; prolonged linearly they lie with those of the network that was deep from the start.",
    table: "weights-by-depth",
    kind: "line",
    x: { field: "s", label: "position in depth, (k − ½)/L" },
    y: { field: family, label: `entry of ${family}_k` },
    color: schedule,
  });
  const lipschitz = (family: Family): Figure => ({
    name: `lipschitz-${family.toLowerCase()}`,
    title: `Lipschitz constant of ${family} in depth, along training`,
    caption: `L · max_k ‖${family}_{k+1} − ${family}_k‖_F, seed ${seeds[0]}. Every constant prolongation doubles it, linear interpolation does not.`,
    table: "curves",
    kind: "line",
    x: { field: "time", label: "training time t" },
    y: { field: `lipschitz_${family}`, label: `L · max step of ${family}` },
    color: schedule,
    where: { seed: seeds[0]!, final_depth: deep },
  });
  return [
    {
      name: "jump",
      title: "The jump of the loss at prolongation falls like 1/L",
      caption:
        "|ℓ(2L) − ℓ(L)| of trained networks prolonged from L to 2L layers, geometric mean over seeds with its 95 % interval. Where one line is seen, the " +
        "other lies under it: the jump is the Euler error of the network itself, whatever the interpolation.",
      table: "jump-by-depth",
      kind: "line",
      x: { field: "depth", label: "depth L before", scale: "log2" },
      y: { field: "jump", label: "jump of the loss", scale: "log" },
      color: { field: "method", label: "prolongation" },
      dash: { field: "method", label: "prolongation" },
      interval: ["lower", "upper"],
      guides: [{ slope: -1, label: "slope −1" }],
    },
    {
      name: "loss-by-cost",
      title: `Loss against layers walked, to L=${deep}`,
      caption:
        `Seed ${seeds[0]}. The prolonged trainings double the depth level by level from L = ${shallow}; each level begins with a small jump of the loss. ` +
        "They end at the same training time as the training that is deep from the start.",
      table: "curves",
      kind: "line",
      x: { field: "layer_steps", label: "layer-steps" },
      y: { field: "loss", label: "loss", scale: "log" },
      color: schedule,
      dash: schedule,
      where: { seed: seeds[0]!, final_depth: deep },
    },
    {
      name: "loss-by-time",
      title: `Loss against training time, to L=${deep}`,
      caption: `The same against training time: prolonged or deep from the start, the loss falls along one curve. Seed ${seeds[0]}.`,
      table: "curves",
      kind: "line",
      x: { field: "time", label: "training time t" },
      y: { field: "loss", label: "loss", scale: "log" },
      color: schedule,
      dash: schedule,
      where: { seed: seeds[0]!, final_depth: deep },
    },
    lipschitz("V"),
    lipschitz("W"),
    entry("V"),
    entry("W"),
    {
      name: "distance",
      title: "Distance of V to the network deep from the start",
      caption:
        "Root mean square over depth at the end of training, box over seeds. Prolonged: level by level; shallow to the end: trained at the smallest depth only.",
      table: "distances",
      kind: "box",
      x: { field: "schedule", label: "training", scale: "ordinal" },
      y: { field: "l2", label: "distance of V", scale: "log" },
      columnFacet: { field: "method", label: "prolongation" },
      where: { family: "V" },
    },
  ];
}

export function notesOf(config: ProlongationConfig, { curves }: Collected): string[] {
  const { depths, levelSteps, samples, width, hidden, rate, seeds } = config;
  const notes = [
    "A multilevel start in the manner of Cyr, Günther and Schroder (2019): train shallow, double the depth, train on. Theorem 4 of Marion, Wu, Sander and " +
      "Biau (ICLR 2024) justifies it, because the weights at every depth discretise one function; it states no rate, and no result on prolonged training is quoted.",
    `Levels: ${depths.map((depth, i) => `${levelSteps[i]} steps at L = ${depth}`).join(", ")}; training time runs on through all of them, on the same data.`,
    `Set-up of figure 1 as in the paper's code: n = ${samples}, d = q = d' = ${width}, m = ${hidden}, no width factors, mean squared error over rows and outputs, A = B = I ` +
      `frozen, V = 0 and one standard normal W for all layers, random inputs and targets; Euler with η = ${rate}, ${totalSteps(config)} steps; ${seeds.length} seeds.`,
    "Constant prolongation takes layer ⌊kL/L'⌋ of the shallow network. Linear interpolation takes a layer's weights to stand in its middle, (k + ½)/L, and is constant beyond the first and last middle.",
    "The prolonged weights are rounded to float32 and become the initial values of the next level, at most 2⁻²⁴ of each weight; a training from the start keeps its change from the tied W apart " +
      "and does not round so.",
    "Seconds hold for this machine and this run; layer-steps are the cost that does not depend on it.",
    "--check: the loss of prolonged weights is compared with float64; the trainings are those of large-depth, which compares their steps.",
  ];
  if (samples < PRESETS.paper.samples || depths.at(-1)! < PRESETS.paper.depths.at(-1)!)
    notes.push(
      `Reduced: the preset "paper" has n = ${PRESETS.paper.samples}, depths up to ${PRESETS.paper.depths.at(-1)} and ${totalSteps(PRESETS.paper)} steps of ${PRESETS.paper.rate}, as figure 1 has.`,
    );
  const wanted = seeds.length * (depths.length + METHODS.length);
  const finished = curves.filter((row) => row.step === totalSteps(config)).length;
  if (finished < wanted)
    notes.push(`${finished} of ${wanted} trainings reached the end; claims that need the others are not decided.`);
  return notes;
}
