/** Which peers there are, the problem they all solve, and what their times say. Pure. */
import { ConfigError } from "../config/errors.ts";
import type { Cell } from "../experiment/record.ts";
import { median, quantile } from "../experiment/statistics.ts";
import { RandomStream } from "../model/random.ts";

/** A script that measures one library. */
export interface Peer {
  /** File in bench/peers. */
  readonly script: string;
  readonly backend: "cpu" | "threads" | "wasm" | "webgpu" | "cuda" | "compiled" | "auto";
  /** Node, or a Python that has this module. */
  readonly runtime: { readonly node: readonly string[] } | { readonly python: string };
}

export const node = (script: string, backend: Peer["backend"], flags: readonly string[] = []): Peer => ({
  script,
  backend,
  runtime: { node: flags },
});
export const python = (script: string, backend: Peer["backend"], module: string): Peer => ({
  script,
  backend,
  runtime: { python: module },
});
/** Tracing in jax-js recurses over the unrolled layers; the flag is what bench/peers/jax_js.mjs gives itself. */
const LARGE_STACK = "--stack-size=7600";

/** Every peer by its name on the command line and in the tables. */
export const PEERS: Readonly<Record<string, Peer>> = {
  deeplimit: node("deeplimit.mjs", "webgpu"),
  handwritten: node("handwritten_js.mjs", "cpu"),
  "tfjs-cpu": node("tfjs.mjs", "cpu"),
  "tfjs-wasm": node("tfjs.mjs", "wasm"),
  "tfjs-webgpu": node("tfjs.mjs", "webgpu"),
  "jax-wasm": node("jax_js.mjs", "wasm", [LARGE_STACK]),
  "jax-webgpu": node("jax_js.mjs", "webgpu", [LARGE_STACK]),
  pytorch: python("pytorch_eager.py", "cpu", "torch"),
  "pytorch-cuda": python("pytorch_eager.py", "cuda", "torch"),
  "pytorch-compiled": python("pytorch_compiled.py", "auto", "torch"),
  "jax-scan": python("jax_scan.py", "auto", "jax"),
};

/** Peers are held against the first of these. */
export const OWN = "deeplimit";

/** A peer as asked for. */
export interface PeerSpec<P extends Peer = Peer> {
  /** Name in the tables: NAME, or NAME:ADAPTER. */
  readonly label: string;
  readonly name: string;
  readonly peer: P;
  /** WebGPU adapter that this peer takes, when not the one of all. */
  readonly adapter?: string;
  /** Left out, and said so, beyond this depth or this many trajectories. */
  readonly limit: number;
}

/**
 * `NAME[:ADAPTER][@LIMIT]`, e.g. `pytorch`, `tfjs-webgpu@1024`, `deeplimit:swiftshader`.
 * @param known peers by their names
 * @throws ConfigError naming what is wrong
 */
export function parsePeer<P extends Peer>(text: string, known: Readonly<Record<string, P>>): PeerSpec<P> {
  const match = /^([^:@]+)(?::([^:@]+))?(?:@(\d+))?$/.exec(text);
  const name = match?.[1] ?? "";
  const peer = Object.hasOwn(known, name) ? known[name] : undefined;
  if (!match || !peer)
    throw new ConfigError("peers", `must be NAME[:ADAPTER][@LIMIT] of ${Object.keys(known).join(", ")}`, text);
  const [, , adapter, limit] = match;
  if (adapter !== undefined && peer.backend !== "webgpu")
    throw new ConfigError(
      "peers",
      `must name an adapter only for a peer on WebGPU, ${name} is on ${peer.backend}`,
      text,
    );
  return {
    label: adapter === undefined ? name : `${name}:${adapter}`,
    name,
    peer,
    ...(adapter !== undefined && { adapter }),
    limit: limit === undefined ? Number.POSITIVE_INFINITY : Number(limit),
  };
}

/** @throws ConfigError for a peer that is unknown or named twice */
export function parsePeers<P extends Peer>(
  texts: readonly string[],
  known: Readonly<Record<string, P>>,
): PeerSpec<P>[] {
  const specs = texts.map((text) => parsePeer(text, known));
  const twice = specs.find(({ label }, i) => specs.findIndex((other) => other.label === label) < i);
  if (twice) throw new ConfigError("peers", "must name each peer once", twice.label);
  return specs;
}

/** Why a peer has a limit that nobody asked for. */
export const DEFAULT_LIMIT_REASON = "a step takes minutes there, or gigabytes of memory; --peers NAME runs it";

/**
 * All peers, each up to the depth where a step takes it minutes or its memory runs out on two cores (2026-11): jax-js
 * unrolls the layers (3.7 GB of host memory at L = 1,024), TensorFlow.js needs 24 s a step there on a software adapter.
 */
export function defaultPeers(software: boolean): string[] {
  const limits: Readonly<Record<string, number>> = {
    "tfjs-cpu": 1024,
    "tfjs-wasm": 1024,
    ...(software && { "tfjs-webgpu": 1024 }),
    "jax-wasm": 256,
    "jax-webgpu": 1024,
  };
  return Object.keys(PEERS).map((name) => (name in limits ? `${name}@${limits[name]}` : name));
}

/** What every peer's script reads: flat, row-major W0 [m,d], X [n,d], Y [n,d]. */
export interface PeerCase {
  readonly n: number;
  readonly d: number;
  readonly m: number;
  readonly depth: number;
  readonly eta: number;
  readonly X: readonly number[];
  readonly Y: readonly number[];
  readonly W0: readonly number[];
}

/**
 * The training problem of all peers: independent standard normal numbers in float32, the same bits on every machine.
 * @throws ConfigError for a depth that is not a positive integer
 */
export function makeCase(depth: number, seed = 1): PeerCase {
  if (!Number.isInteger(depth) || depth < 1) throw new ConfigError("depth", "must be an integer of at least 1", depth);
  const [n, d, m, eta] = [100, 16, 32, 0.01];
  const draw = (name: string, count: number) =>
    Array.from(new RandomStream(seed, name).fillNormal(new Float32Array(count)));
  return { n, d, m, depth, eta, X: draw("inputs", n * d), Y: draw("targets", n * d), W0: draw("weights", m * d) };
}

/** Losses of two peers after the same number of steps may differ by this much, relatively. */
export const LOSS_TOLERANCE = 1e-4;
/** Whose losses the others are compared with, the first that ran: handwritten comes first as it computes in float64. */
const REFERENCES = ["handwritten", "pytorch", OWN];

/** The peer whose losses the others are compared with. */
export function referenceOf<T extends { readonly name: string }>(finished: readonly T[]): T | undefined {
  for (const name of REFERENCES) {
    const found = finished.find((one) => one.name === name);
    if (found) return found;
  }
  return finished[0];
}

/** Largest relative difference over the steps that both have; NaN when a loss is not a number. */
export function lossDifference(losses: readonly number[], reference: readonly number[]): number {
  let worst = 0;
  for (let k = 0; k < Math.min(losses.length, reference.length); k++) {
    const difference = Math.abs(losses[k]! - reference[k]!) / Math.abs(reference[k]!);
    if (!Number.isFinite(difference)) return Number.NaN;
    worst = Math.max(worst, difference);
  }
  return worst;
}

export interface PeerRatio {
  /** Time of the peer over time of deeplimit: median of the rounds, lowest, highest. */
  readonly ratio: number;
  readonly lowest: number;
  readonly highest: number;
  readonly rounds: number;
  readonly verdict: "deeplimit faster" | "peer faster" | "undecided";
}

/**
 * Ratios of a peer's times to deeplimit's, round by round; undefined without a round that both have. `own` and `peer` hold
 * the milliseconds of every step by round. A single round has no spread between rounds: its ends are those of the quartiles.
 */
export function ratioOf(
  own: readonly (readonly number[] | undefined)[],
  peer: readonly (readonly number[] | undefined)[],
): PeerRatio | undefined {
  const rounds = own.flatMap((mine, round) => {
    const theirs = peer[round];
    return mine && theirs ? [{ mine, theirs }] : [];
  });
  if (rounds.length === 0) return undefined;
  const ratios = rounds.map(({ mine, theirs }) => median(theirs) / median(mine));
  const [{ mine, theirs }] = rounds as [(typeof rounds)[number]];
  const [lowest, highest] =
    rounds.length > 1
      ? [Math.min(...ratios), Math.max(...ratios)]
      : [quantile(theirs, 0.25) / quantile(mine, 0.75), quantile(theirs, 0.75) / quantile(mine, 0.25)];
  const verdict = lowest > 1 ? "deeplimit faster" : highest < 1 ? "peer faster" : "undecided";
  return { ratio: median(ratios), lowest, highest, rounds: rounds.length, verdict };
}

/** One line for every peer that was faster or may have been, from the rows of `peer-ratios`. */
export function fasterPeers(ratios: readonly Record<string, Cell>[]): string[] {
  const lines: string[] = [];
  for (const [verdict, words] of [
    ["peer faster", "is faster than deeplimit"],
    ["undecided", "and deeplimit differ by less than their spread"],
  ] as const)
    for (const peer of new Set(ratios.map((row) => row.peer))) {
      const rows = ratios.filter((row) => row.peer === peer && row.verdict === verdict);
      if (rows.length === 0) continue;
      const where = rows.map((row) => {
        const task = row.task === undefined ? "" : `, ${row.task}`;
        return `L = ${row.depth}${task} (${(row.ratio as number).toPrecision(2)} of deeplimit's time)`;
      });
      lines.push(`${peer} ${words} at ${where.join(", ")}.`);
    }
  return lines;
}
