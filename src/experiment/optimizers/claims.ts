/** The claims of `optimizers`. Pure. */
import type { Claim } from "../record.ts";
import { extremeClaim, seedClaim } from "../seed_claim.ts";
import { slopesBySeed } from "../synthetic.ts";
import { BETAS, EARLY, type Family, type Method, type OptimizersConfig, type Row } from "./config.ts";

const PAPER = "Marion, Wu, Sander, Biau (ICLR 2024)";

const MEASURED = "measured for this project";

const INVERSE_DEPTH = { min: -1.1, max: -0.9 };

/** ε from which on Adam's update is a Lipschitz function of gradients of the size they have here. */
const LARGE_EPSILON = 1e-3;

/** Largest absolute move of a weight in a step of Adam, over η (Kingma and Ba, ICLR 2015, section 2.1). */
function adamBound({ beta1, beta2 }: typeof BETAS): number {
  return Math.max(1, (1 - beta1) / Math.sqrt(1 - beta2));
}

function sourceOf({ optimiser, epsilon }: Method): string {
  if (optimiser === "descent") return `${PAPER}, Proposition 3`;
  if (optimiser !== "momentum" && epsilon >= LARGE_EPSILON)
    return `${MEASURED}: with this ε the update is a Lipschitz function of the gradient`;
  return `${PAPER}, Remark 1 (a conjecture)`;
}

export function claimsOf(
  config: OptimizersConfig,
  states: readonly Row[],
  ends: readonly Row[],
  moved: readonly Row[],
): Claim[] {
  const { methods, depths, seeds, steps } = config;
  const list: Claim[] = [];
  const early = states.filter(({ step }) => step === EARLY);
  for (const each of methods) {
    const slope = (family: Family, rows: readonly Row[], after: number, id: string) =>
      seedClaim(
        {
          id: `${each.name}-${family.toLowerCase()}-${id}`,
          statement: `${each.name}: max_k ‖${family}_{k+1} − ${family}_k‖_F after ${after} steps falls like 1/L (exponent of L)`,
          source: sourceOf(each),
          passes: INVERSE_DEPTH,
        },
        slopesBySeed(
          config,
          (depth, seed) =>
            rows.find((row) => row.method === each.name && row.depth === depth && row.seed === seed)?.[
              `max_step_${family}`
            ] as number | undefined,
        ),
      );
    list.push(
      slope("V", ends, steps, "slope"),
      slope("W", ends, steps, "slope"),
      slope("W", early, EARLY, "early-slope"),
    );
  }
  const complete = ends.length === methods.length * depths.length * seeds.length;
  const undecided = complete ? {} : { undecided: "not all trainings finished" };
  const ratios = ends.map((end) => {
    const start = states.find(
      (row) => row.step === 0 && row.method === end.method && row.depth === end.depth && row.seed === end.seed,
    )!;
    return (end.loss as number) / (start.loss as number);
  });
  list.push(
    extremeClaim(
      {
        id: "loss-falls",
        statement:
          "Every method lowers the loss at every depth and seed (largest ratio of the loss at the end to that at the start)",
        source: MEASURED,
        passes: { max: 1 },
        ...undecided,
      },
      ratios.length > 0 ? Math.max(...ratios) : null,
    ),
  );
  const adam = methods.filter(({ optimiser, weightDecay }) => optimiser.startsWith("adam") && weightDecay === 0);
  if (adam.length > 0) {
    const speeds = adam.flatMap(({ name, rate }) =>
      moved
        .filter((row) => row.method === name)
        .map((row) => (row.moved as number) / (steps * rate * adamBound(BETAS))),
    );
    list.push(
      extremeClaim(
        {
          id: "adam-bounded",
          statement: `Adam's updates are bounded: no weight moves farther than ${steps} η (1 − β₁)/√(1 − β₂) (largest ratio)`,
          source: `${PAPER}, Remark 1; Kingma and Ba (ICLR 2015), section 2.1`,
          passes: { max: 1 },
          ...undecided,
        },
        speeds.length > 0 ? Math.max(...speeds) : null,
      ),
    );
  }
  for (const { name, rate, optimiser, epsilon } of methods) {
    if (!optimiser.startsWith("adam") || epsilon >= LARGE_EPSILON) continue;
    const jumps = early
      .filter((row) => row.method === name)
      .map((row) => (row.max_step_W as number) / (2 * rate * adamFirstMove(BETAS)));
    list.push(
      extremeClaim(
        {
          id: `${name}-jump`,
          statement: `${name}: at every depth and seed an entry of W jumps between two layers in the second step, by 2η √(1 + β₂)/(1 + β₁) (least max_k ‖W_{k+1} − W_k‖_F over that)`,
          source: `${MEASURED}, from the formula of Adam`,
          passes: { min: 0.5 },
          note: "Where an entry's gradient changes sign between layers its moves are opposite; one of the two may be as little as 0 where its gradient is below ε.",
          ...undecided,
        },
        jumps.length > 0 ? Math.min(...jumps) : null,
      ),
    );
  }
  return list;
}

/** Adam's move over η of a weight whose first gradient was 0, in its second step, without ε: m̂/√v̂ for m = (1 − β₁) g, v = (1 − β₂) g². */
export function adamFirstMove({ beta1, beta2 }: { readonly beta1: number; readonly beta2: number }): number {
  return Math.sqrt(1 + beta2) / (1 + beta1);
}
