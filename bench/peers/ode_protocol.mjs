// What every JavaScript peer of the ODE benchmark shares: its command line, the clock, and the one line of JSON it prints.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { median, peakRssBytes, positiveInteger, print, warmUp } from "./protocol.mjs";

/**
 * Read the command line and the case. `--settings` are numbers of equal steps with `--kind fixed`, and relative = absolute
 * tolerances with `--kind adaptive`. The case holds { trajectories: n, sigma, beta, rho: [n], initial: [3], start, end,
 * checked: indices of the trajectories whose answers are printed }, all numbers exact in float32.
 * `methods` = { fixed: names, adaptive: names } that the peer has.
 */
export function readOdeOptions(backends, methods) {
  const { values } = parseArgs({
    options: {
      case: { type: "string" },
      kind: { type: "string", default: "adaptive" },
      method: { type: "string" },
      settings: { type: "string", default: "1e-6" },
      solves: { type: "string", default: "5" },
      backend: { type: "string", default: backends[0] },
      adapter: { type: "string", default: "auto" },
      budget: { type: "string", default: "Infinity" },
    },
  });
  if (values.case === undefined)
    throw new Error("--case FILE.json is required (bench/peers/make_ode_case.mjs writes one)");
  const { kind, method = methods[kind]?.[0], backend } = values;
  if (!methods[kind]?.includes(method)) throw new Error(`there is no ${method} with ${kind} steps here`);
  if (!backends.includes(backend)) throw new Error(`--backend must be one of ${backends.join(", ")}, got ${backend}`);
  return {
    problem: JSON.parse(readFileSync(values.case, "utf8")),
    kind,
    method,
    settings: values.settings.split(",").map(Number),
    solves: positiveInteger("solves", values.solves),
    backend,
    adapter: values.adapter,
    budgetMs: 1000 * Number(values.budget),
  };
}

/**
 * For each setting warm up, time whole solves and keep the answers; then print the result line. `solve(setting)` integrates
 * the ensemble from arrays on the host and returns its final states on the host, flat [n, 3]. Once the budget is spent no
 * further solve starts after the first timed one of a setting, and no further setting; nor after one that throws.
 */
export async function measureSolves({ options, peer, version, device, arithmetic, note, solve }) {
  const { problem, settings, solves, budgetMs } = options;
  const begin = performance.now();
  const late = () => performance.now() - begin > budgetMs;
  const results = [];
  for (const setting of settings) {
    if (results.length > 0 && late()) break;
    let warm;
    try {
      warm = (await warmUp(() => solve(setting))).ms;
    } catch (error) {
      // Tolerances beyond its arithmetic end a solver; what was reached before is a result.
      if (results.length === 0) throw error;
      break;
    }
    const msPerSolve = [];
    let states;
    while (msPerSolve.length < solves && !(msPerSolve.length > 0 && late())) {
      const start = performance.now();
      states = await solve(setting);
      msPerSolve.push(performance.now() - start);
    }
    results.push({
      setting,
      msPerSolve,
      median: median(msPerSolve),
      firstMs: warm[0],
      warmup: warm.length,
      answers: problem.checked.flatMap((j) => [states[3 * j], states[3 * j + 1], states[3 * j + 2]]),
    });
  }
  const { kind, method } = options;
  print({ peer, kind, method, version, device, arithmetic, note, results, peakRssBytes: peakRssBytes() });
}
