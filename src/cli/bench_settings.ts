/** What `deeplimit bench` is asked to measure: its options, checked. */
import { CONV_PEERS } from "../benchmark/conv_peer_comparison.ts";
import { ODE_PEERS } from "../benchmark/ode_peer_comparison.ts";
import { PEERS, type Peer, parsePeers } from "../benchmark/peer_comparison.ts";
import { ConfigError } from "../config/errors.ts";
import type { AdapterChoice } from "../gpu/node_adapter.ts";
import { suggestion } from "./nearest.ts";
import { shellQuote } from "./terminal.ts";

/** Suites in the order they run, with the title of their section. Ceilings first: later shares are of them. */
export const SUITES = {
  ceilings: "Ceilings of the device",
  kernels: "Kernels",
  workloads: "Training step",
  ode: "Ensembles of ODEs",
  accuracy: "Accuracy in float32",
  experiments: "Time to claim",
  peers: "Peers",
  "conv-peers": "Peers on the convolutional network",
  "ode-peers": "Peers on ensembles of ODEs",
} as const;
export type SuiteName = keyof typeof SUITES;
const SUITE_NAMES = Object.keys(SUITES) as SuiteName[];

/** Options as typed. */
export interface BenchOptions {
  readonly suite?: string;
  readonly depth?: string;
  readonly width?: string;
  readonly batch?: string;
  readonly peers?: string;
  readonly peerDepth?: string;
  readonly convPeers?: string;
  readonly convDepth?: string;
  readonly trajectories?: string;
  readonly odePeers?: string;
  readonly rounds?: string;
  readonly steps?: string;
  readonly python?: string;
  readonly adapter: AdapterChoice;
  readonly quick?: boolean;
  readonly json?: boolean;
  readonly out?: string;
  readonly compare?: readonly string[];
  readonly failOnRegression?: boolean;
}

/** An absent field is the suite's own default. */
export interface BenchSettings {
  readonly suites: readonly SuiteName[];
  readonly depths?: readonly number[];
  readonly widths?: readonly number[];
  readonly batches?: readonly number[];
  readonly peers?: readonly string[];
  readonly peerDepths?: readonly number[];
  readonly convPeers?: readonly string[];
  readonly convDepths?: readonly number[];
  readonly trajectories?: readonly number[];
  readonly odePeers?: readonly string[];
  readonly rounds?: number;
  readonly steps?: number;
  readonly python?: string;
  /** Of the experiments suite, `NAME:PRESET`. */
  readonly runs?: readonly string[];
  readonly adapter: AdapterChoice;
  readonly quick: boolean;
}

/** Small enough to see in seconds that everything runs; not to be quoted. */
const QUICK = {
  depths: [16, 64],
  widths: [16],
  batches: [16],
  peers: ["deeplimit", "handwritten"],
  peerDepths: [16],
  convPeers: ["deeplimit"],
  convDepths: [2],
  trajectories: [512],
  odePeers: ["deeplimit", "handwritten"],
  rounds: 2,
  steps: 3,
  runs: ["large-depth:smoke"],
};

/** @throws ConfigError naming the option, its rule and the value */
export function benchSettings(options: BenchOptions): BenchSettings {
  const { adapter, quick = false, python } = options;
  const sizes = {
    depths: integers("--depth", options.depth),
    widths: integers("--width", options.width),
    batches: integers("--batch", options.batch),
    peers: peerList("--peers", options.peers, PEERS),
    peerDepths: integers("--peer-depth", options.peerDepth),
    convPeers: peerList("--conv-peers", options.convPeers, CONV_PEERS),
    convDepths: integers("--conv-depth", options.convDepth),
    trajectories: integers("--trajectories", options.trajectories, 2),
    odePeers: peerList("--ode-peers", options.odePeers, ODE_PEERS),
    rounds: integer("--rounds", options.rounds),
    steps: integer("--steps", options.steps),
    python,
  };
  const given = Object.fromEntries(Object.entries(sizes).filter(([, value]) => value !== undefined));
  return { suites: suiteList(options.suite), ...(quick ? QUICK : {}), ...given, adapter, quick };
}

/** The command that measures the same again, as it would be typed. */
export function benchCommand(options: BenchOptions): string {
  const named: readonly (readonly [option: string, value: string | undefined])[] = [
    ["--suite", options.suite],
    ["--depth", options.depth],
    ["--width", options.width],
    ["--batch", options.batch],
    ["--peers", options.peers],
    ["--peer-depth", options.peerDepth],
    ["--conv-peers", options.convPeers],
    ["--conv-depth", options.convDepth],
    ["--trajectories", options.trajectories],
    ["--ode-peers", options.odePeers],
    ["--rounds", options.rounds],
    ["--steps", options.steps],
    ["--python", options.python],
    ["--adapter", options.adapter === "auto" ? undefined : options.adapter],
  ];
  const words = named.flatMap(([option, value]) => (value === undefined ? [] : [`${option} ${shellQuote(value)}`]));
  return ["deeplimit bench", ...words, ...(options.quick ? ["--quick"] : [])].join(" ");
}

/** In the order they run, whatever the order they were named in. */
function suiteList(text: string | undefined): SuiteName[] {
  const names = text === undefined ? SUITE_NAMES : list(text);
  const unknown = names.find((name) => !(SUITE_NAMES as string[]).includes(name));
  if (unknown !== undefined) throw unknownName("--suite", unknown, SUITE_NAMES);
  if (names.length === 0) throw new ConfigError("--suite", `must name some of ${SUITE_NAMES.join(", ")}`, text);
  return SUITE_NAMES.filter((name) => names.includes(name));
}

function peerList(
  option: string,
  text: string | undefined,
  peersByName: Readonly<Record<string, Peer>>,
): string[] | undefined {
  if (text === undefined) return undefined;
  const peers = list(text);
  const known = Object.keys(peersByName);
  if (peers.length === 0) throw new ConfigError(option, `must name some of ${known.join(", ")}`, text);
  for (const peer of peers) {
    const name = peer.split(/[:@]/, 1)[0]!;
    if (!known.includes(name)) throw unknownName(option, name, known);
  }
  try {
    parsePeers(peers, peersByName);
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(option, error.rule, error.value);
    throw error;
  }
  return peers;
}

function unknownName(option: string, name: string, known: readonly string[]): ConfigError {
  return new ConfigError(option, `must be of ${known.join(", ")}${suggestion(name, known)}`, name);
}

/** Increasing, each once. */
function integers(option: string, text: string | undefined, least = 1): number[] | undefined {
  if (text === undefined) return undefined;
  const values = list(text).map(parseInteger);
  // The comparison is written so that a NaN is refused.
  if (values.length === 0 || !values.every((value) => value >= least))
    throw new ConfigError(option, `must be integers of at least ${least}, separated by commas`, text);
  return [...new Set(values)].sort((a, b) => a - b);
}

function integer(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = parseInteger(text);
  if (Number.isNaN(value)) throw new ConfigError(option, "must be an integer of at least 1", text);
  return value;
}

function parseInteger(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return value >= 1 && Number.isSafeInteger(value) ? value : Number.NaN;
}

function list(text: string): string[] {
  return text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}
