// dopri (mrc-ide): the pair of Dormand and Prince, one trajectory after the other, as its documentation does it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { measureSolves, readOdeOptions } from "./ode_protocol.mjs";
import { cpuName, INSTALL_HINT, importInstalled, reportMissing } from "./protocol.mjs";

const options = readOdeOptions(["cpu"], { adaptive: ["dopri5"] });
const dopri = await importInstalled("dopri");
if (dopri === undefined) {
  reportMissing("dopri", `dopri is not installed: ${INSTALL_HINT}`);
  process.exit(0);
}
const { Dopri } = dopri.default ?? dopri;
const { trajectories, sigma, beta, rho, initial, start, end } = options.problem;
const states = new Float64Array(3 * trajectories);
let r = 0;
function field(_t, y, dydt) {
  dydt[0] = sigma * (y[1] - y[0]);
  dydt[1] = y[0] * (r - y[2]) - y[1];
  dydt[2] = y[0] * y[1] - beta * y[2];
}

await measureSolves({
  options,
  peer: "dopri",
  version: JSON.parse(readFileSync(createRequire(import.meta.url).resolve("dopri/package.json"), "utf8")).version,
  device: `${cpuName()}, 1 thread`,
  arithmetic: "float64",
  note: "tcrit at the end, otherwise defaults but for the tolerances",
  solve: (tolerance) => {
    const solver = new Dopri(field, 3, { rtol: tolerance, atol: tolerance, tcrit: [end] });
    for (let j = 0; j < trajectories; j++) {
      r = rho[j];
      states.set(solver.initialise(start, initial).run(end)([end])[0], 3 * j);
    }
    return states;
  },
});
