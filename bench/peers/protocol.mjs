// What every JavaScript peer shares: its command line, the clock, and the one line of JSON it prints.
import { readFileSync } from "node:fs";
import os from "node:os";
import { parseArgs } from "node:util";

/**
 * Read the command line and the case file. Defaults: 5 timed steps after 1 warm-up step, no time budget.
 * The case holds { n, d, m, depth, eta, X: [n·d], Y: [n·d], W0: [m·d] }, flat and row-major.
 */
export function readOptions(backends) {
  const { values } = parseArgs({
    options: {
      case: { type: "string" },
      steps: { type: "string", default: "5" },
      warmup: { type: "string", default: "1" },
      backend: { type: "string", default: backends[0] },
      adapter: { type: "string", default: "auto" },
      budget: { type: "string", default: "Infinity" },
    },
  });
  if (values.case === undefined) throw new Error("--case FILE.json is required (bench/peers/make_case.mjs writes one)");
  if (!backends.includes(values.backend)) {
    throw new Error(`--backend must be one of ${backends.join(", ")}, got ${values.backend}`);
  }
  const data = JSON.parse(readFileSync(values.case, "utf8"));
  for (const name of ["X", "Y", "W0"]) data[name] = Float32Array.from(data[name]);
  return {
    data,
    steps: count("steps", values.steps, 1),
    warmup: count("warmup", values.warmup, 0),
    backend: values.backend,
    adapter: values.adapter,
    budgetMs: 1000 * Number(values.budget),
  };
}

function count(name, text, least) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new Error(`--${name} must be an integer >= ${least}, got ${text}`);
  return value;
}

/**
 * Run warm-up and timed steps and print the result line.
 * `step()` makes one whole training step, waits until it is complete, and returns the loss *before* its update;
 * `evaluate()` returns the loss at the current weights, and is not timed.
 * Once the budget is spent, no further step starts after the first timed one.
 */
export async function measure({ options, peer, version, device, note, step, evaluate }) {
  const { data, steps, warmup, backend, budgetMs } = options;
  const losses = [];
  const msPerStep = [];
  const begin = performance.now();
  let firstStepMs = 0;
  for (let k = 0; k < warmup + steps; k++) {
    if (msPerStep.length > 0 && performance.now() - begin > budgetMs) break;
    const start = performance.now();
    losses.push(await step());
    const ms = performance.now() - start;
    if (k === 0) firstStepMs = ms;
    if (k >= warmup) msPerStep.push(ms);
  }
  losses.push(await evaluate());
  print({
    peer,
    backend,
    version,
    device,
    depth: data.depth,
    steps: msPerStep.length,
    warmup,
    losses,
    msPerStep,
    median: median(msPerStep),
    min: Math.min(...msPerStep),
    firstStepMs,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    note,
  });
}

/** Say that this peer cannot run here, and what would change that. Not a failure: the exit code stays 0. */
export function reportMissing(peer, reason) {
  print({ peer, missing: reason });
}

function print(result) {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function cpuName() {
  return os.cpus()[0]?.model.trim() ?? process.arch;
}

/** Import a package of bench/peers/package.json, or undefined when it is not installed. */
export async function importInstalled(name) {
  try {
    return await import(name);
  } catch (error) {
    if (error.code === "ERR_MODULE_NOT_FOUND" && error.message.includes(`'${name}'`)) return undefined;
    throw error;
  }
}

export const INSTALL_HINT = "run `npm ci` in bench/peers";

/**
 * Tracing in jax-js recurses over the unrolled layers, which overflows V8's default stack (about 1 MB) from a few
 * hundred layers on; Linux gives the main thread 8 MB.
 */
export const LARGE_STACK = "--stack-size=7600";
