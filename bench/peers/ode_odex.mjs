// odex: Gragg–Bulirsch–Stoer extrapolation, one trajectory after the other, as its documentation does it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { measureSolves, readOdeOptions } from "./ode_protocol.mjs";
import { cpuName, INSTALL_HINT, importInstalled, reportMissing } from "./protocol.mjs";

const options = readOdeOptions(["cpu"], { adaptive: ["gbs"] });
const odex = await importInstalled("odex");
if (odex === undefined) {
  reportMissing("odex", `odex is not installed: ${INSTALL_HINT}`);
  process.exit(0);
}
const { Solver } = odex.default ?? odex;
const { trajectories, sigma, beta, rho, initial, start, end } = options.problem;
const states = new Float64Array(3 * trajectories);
const solver = new Solver(3);
let r = 0;
const field = (_t, [x, y, z]) => [sigma * (y - x), x * (r - z) - y, x * y - beta * z];

await measureSolves({
  options,
  peer: "odex",
  version: JSON.parse(readFileSync(createRequire(import.meta.url).resolve("odex/package.json"), "utf8")).version,
  device: `${cpuName()}, 1 thread`,
  arithmetic: "float64",
  note: "defaults but for the tolerances",
  solve: (tolerance) => {
    solver.relativeTolerance = tolerance;
    solver.absoluteTolerance = tolerance;
    for (let j = 0; j < trajectories; j++) {
      r = rho[j];
      states.set(solver.solve(field, start, initial, end).y, 3 * j);
    }
    return states;
  },
});
