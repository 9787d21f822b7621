/** Which libraries integrate the ensemble, by which methods, and which setting of each is compared. Pure. */
import type { Cell } from "../experiment/record.ts";
import type { LorenzSweep } from "./ode_problem.ts";
import { node, type Peer, type PeerSpec, python } from "./peer_comparison.ts";

export type StepsKind = "fixed" | "adaptive";

/** A method of a library, and what kind of setting it has: numbers of equal steps, or tolerances. */
export interface OdeMethod {
  readonly name: string;
  readonly kind: StepsKind;
}

export interface OdePeer extends Peer {
  /** Methods by equal steps, all compared at the same number of them. */
  readonly equalSteps: readonly string[];
  /** Methods compared at the same error. */
  readonly sameError: readonly OdeMethod[];
}

const fixed = (name: string): OdeMethod => ({ name, kind: "fixed" });
const adaptive = (name: string): OdeMethod => ({ name, kind: "adaptive" });

/** Every peer by its name on the command line and in the tables; deeplimit's methods are those that others are held against. */
export const ODE_PEERS: Readonly<Record<string, OdePeer>> = {
  deeplimit: {
    ...node("ode_deeplimit.mjs", "webgpu"),
    equalSteps: ["rk4", "tsit5"],
    sameError: [adaptive("tsit5"), adaptive("dopri5"), adaptive("vern7"), fixed("rk4")],
  },
  handwritten: {
    ...node("ode_handwritten.mjs", "cpu"),
    equalSteps: ["rk4"],
    sameError: [adaptive("dopri5"), fixed("rk4")],
  },
  odex: { ...node("ode_odex.mjs", "cpu"), equalSteps: [], sameError: [adaptive("gbs")] },
  dopri: { ...node("ode_dopri.mjs", "cpu"), equalSteps: [], sameError: [adaptive("dopri5")] },
  scipy: { ...python("ode_scipy.py", "cpu", "scipy"), equalSteps: [], sameError: [adaptive("dop853")] },
  torchdiffeq: {
    ...python("ode_torchdiffeq.py", "cpu", "torchdiffeq"),
    equalSteps: ["rk4"],
    sameError: [adaptive("dopri5")],
  },
  "torchdiffeq-cuda": {
    ...python("ode_torchdiffeq.py", "cuda", "torchdiffeq"),
    equalSteps: ["rk4"],
    sameError: [adaptive("dopri5")],
  },
  diffrax: { ...python("ode_diffrax.py", "auto", "diffrax"), equalSteps: ["tsit5"], sameError: [adaptive("tsit5")] },
};

/**
 * All peers, those on one thread of a processor only up to 131,072 trajectories: at a million they take seconds to a minute a
 * solve (2026-11).
 */
export function defaultOdePeers(): string[] {
  const slow = ["handwritten", "odex", "dopri", "scipy", "torchdiffeq"];
  return Object.keys(ODE_PEERS).map((name) => (slow.includes(name) ? `${name}@131072` : name));
}

export const EQUAL_STEPS = 1000;
/** Answers by the same number of steps may be this far from the true ones (root mean square). */
export const EQUAL_STEPS_TOLERANCE = 1e-4;
/** deeplimit's method and tolerance whose error is the mark of all. */
export const MARK = { method: adaptive("tsit5"), setting: 1e-6, text: "tsit5 at a tolerance of 1e-6" } as const;

const HALF_DECADES = [3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8];
/** What is tried of each kind, from the coarsest: tolerances a factor of √10 apart, numbers of steps a factor of √2. */
export const TRIED: Readonly<Record<StepsKind, readonly number[]>> = {
  fixed: [16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 1000],
  adaptive: HALF_DECADES.map((power) => Number((10 ** -power).toPrecision(3))),
};

/** What every peer's script reads. */
export interface OdeCase {
  readonly trajectories: number;
  readonly sigma: number;
  readonly beta: number;
  readonly rho: readonly number[];
  readonly initial: readonly number[];
  readonly start: number;
  readonly end: number;
  readonly checked: readonly number[];
}

export function odeCase({ trajectories, parameters, initial, start, end, checked }: LorenzSweep): OdeCase {
  const rho = Array.from({ length: trajectories }, (_, j) => parameters[3 * j + 1]!);
  return { trajectories, sigma: parameters[0]!, beta: parameters[2]!, rho, initial, start, end, checked };
}

/** One setting that was tried. */
export interface Trial {
  readonly setting: number;
  readonly ms: number;
  /** Root mean square over trajectories; NaN when an answer is not a number. */
  readonly error: number;
}

/** The quickest setting whose error is at most `most`. */
export function quickestWithin<T extends Trial>(trials: readonly T[], most: number): T | undefined {
  return trials
    .filter(({ error }) => error <= most)
    .reduce<T | undefined>((a, b) => (a && a.ms <= b.ms ? a : b), undefined);
}

export interface OdeContest {
  readonly name: "equal steps" | "same error";
  readonly entries: readonly OdeEntry[];
}

/** A method of a peer in a contest. */
export interface OdeEntry {
  readonly spec: PeerSpec<OdePeer>;
  readonly method: OdeMethod;
}

/** Both contests of the peers asked for; a contest in which only deeplimit takes part is one still. */
export function contestsOf(specs: readonly PeerSpec<OdePeer>[]): OdeContest[] {
  return [
    {
      name: "equal steps",
      entries: specs.flatMap((spec) => spec.peer.equalSteps.map((name) => ({ spec, method: fixed(name) }))),
    },
    {
      name: "same error",
      entries: specs.flatMap((spec) => spec.peer.sameError.map((method) => ({ spec, method }))),
    },
  ];
}

/** `tsit5, adaptive`: a method in tables. */
export const methodText = ({ name, kind }: OdeMethod): string =>
  `${name}, ${kind === "fixed" ? "equal steps" : "adaptive"}`;

/** One line for every peer that was faster or may have been, from the rows of `ode-peer-ratios`. */
export function fasterOdePeers(ratios: readonly Record<string, Cell>[]): string[] {
  return ratios
    .filter(({ verdict }) => verdict !== "deeplimit faster")
    .map(({ contest, trajectories, peer, method, base, ratio, verdict }) => {
      const share = `${(ratio as number).toPrecision(2)} of the time of ${base}`;
      const where = `${contest}, ${trajectories} trajectories`;
      return verdict === "peer faster"
        ? `${peer} (${method}) is faster: ${share} (${where}).`
        : `${peer} (${method}) and ${base} differ by less than their spread: ${share} (${where}).`;
    });
}
