import type { ReversibleHeun, SymplecticMethod } from "../method.ts";

/** Kick, drift, kick (Störmer–Verlet, velocity form): order 2, symplectic and time-reversible. */
export const LEAPFROG: SymplecticMethod = {
  kind: "symplectic",
  name: "leapfrog",
  order: 2,
  kicks: [1 / 2, 1 / 2],
  drifts: [1],
};

export const REVERSIBLE_HEUN: ReversibleHeun = {
  kind: "reversible-heun",
  name: "reversible-heun",
  order: 2,
  errorOrder: 1,
};
