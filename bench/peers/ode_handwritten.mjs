// Plain loops over one trajectory after the other, in float64 on one thread: what one writes first without a library.
// The classical method of order 4 with equal steps, and the pair of Dormand and Prince with adaptive ones.
import { measureSolves, readOdeOptions } from "./ode_protocol.mjs";
import { cpuName } from "./protocol.mjs";

const options = readOdeOptions(["cpu"], { fixed: ["rk4"], adaptive: ["dopri5"] });
const { trajectories, sigma, beta, rho, initial, start, end } = options.problem;
const states = new Float64Array(3 * trajectories);

function rk4(steps) {
  const h = (end - start) / steps;
  for (let j = 0; j < trajectories; j++) {
    const r = rho[j];
    let [x, y, z] = initial;
    for (let i = 0; i < steps; i++) {
      const ax = sigma * (y - x);
      const ay = x * (r - z) - y;
      const az = x * y - beta * z;
      let u = x + 0.5 * h * ax;
      let v = y + 0.5 * h * ay;
      let w = z + 0.5 * h * az;
      const bx = sigma * (v - u);
      const by = u * (r - w) - v;
      const bz = u * v - beta * w;
      u = x + 0.5 * h * bx;
      v = y + 0.5 * h * by;
      w = z + 0.5 * h * bz;
      const cx = sigma * (v - u);
      const cy = u * (r - w) - v;
      const cz = u * v - beta * w;
      u = x + h * cx;
      v = y + h * cy;
      w = z + h * cz;
      const dx = sigma * (v - u);
      const dy = u * (r - w) - v;
      const dz = u * v - beta * w;
      x += (h / 6) * (ax + 2 * (bx + cx) + dx);
      y += (h / 6) * (ay + 2 * (by + cy) + dy);
      z += (h / 6) * (az + 2 * (bz + cz) + dz);
    }
    states[3 * j] = x;
    states[3 * j + 1] = y;
    states[3 * j + 2] = z;
  }
  return states;
}

const norm = (a, b, c) => Math.sqrt((a * a + b * b + c * c) / 3);

/** The first step of Hairer, Nørsett and Wanner, II.4, for order 5. */
function firstStep(x, y, z, r, tolerance) {
  const [sx, sy, sz] = [x, y, z].map((value) => tolerance * (1 + Math.abs(value)));
  const ax = sigma * (y - x);
  const ay = x * (r - z) - y;
  const az = x * y - beta * z;
  const d0 = norm(x / sx, y / sy, z / sz);
  const d1 = norm(ax / sx, ay / sy, az / sz);
  const h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : (0.01 * d0) / d1;
  const [u, v, w] = [x + h0 * ax, y + h0 * ay, z + h0 * az];
  const bx = sigma * (v - u);
  const by = u * (r - w) - v;
  const bz = u * v - beta * w;
  const d2 = norm((bx - ax) / sx, (by - ay) / sy, (bz - az) / sz) / h0;
  const largest = Math.max(d1, d2);
  const h1 = largest <= 1e-15 ? Math.max(1e-6, h0 * 1e-3) : (0.01 / largest) ** 0.2;
  return Math.min(100 * h0, h1);
}

function dopri5(tolerance) {
  for (let j = 0; j < trajectories; j++) {
    const r = rho[j];
    let [x, y, z] = initial;
    let t = start;
    let h = firstStep(x, y, z, r, tolerance);
    let ax = sigma * (y - x);
    let ay = x * (r - z) - y;
    let az = x * y - beta * z;
    while (t < end) {
      const last = t + 1.01 * h >= end;
      if (last) h = end - t;
      let u = x + h * (ax / 5);
      let v = y + h * (ay / 5);
      let w = z + h * (az / 5);
      const bx = sigma * (v - u);
      const by = u * (r - w) - v;
      const bz = u * v - beta * w;
      u = x + h * ((3 / 40) * ax + (9 / 40) * bx);
      v = y + h * ((3 / 40) * ay + (9 / 40) * by);
      w = z + h * ((3 / 40) * az + (9 / 40) * bz);
      const cx = sigma * (v - u);
      const cy = u * (r - w) - v;
      const cz = u * v - beta * w;
      u = x + h * ((44 / 45) * ax - (56 / 15) * bx + (32 / 9) * cx);
      v = y + h * ((44 / 45) * ay - (56 / 15) * by + (32 / 9) * cy);
      w = z + h * ((44 / 45) * az - (56 / 15) * bz + (32 / 9) * cz);
      const dx = sigma * (v - u);
      const dy = u * (r - w) - v;
      const dz = u * v - beta * w;
      u = x + h * ((19372 / 6561) * ax - (25360 / 2187) * bx + (64448 / 6561) * cx - (212 / 729) * dx);
      v = y + h * ((19372 / 6561) * ay - (25360 / 2187) * by + (64448 / 6561) * cy - (212 / 729) * dy);
      w = z + h * ((19372 / 6561) * az - (25360 / 2187) * bz + (64448 / 6561) * cz - (212 / 729) * dz);
      const ex = sigma * (v - u);
      const ey = u * (r - w) - v;
      const ez = u * v - beta * w;
      u = x + h * ((9017 / 3168) * ax - (355 / 33) * bx + (46732 / 5247) * cx + (49 / 176) * dx - (5103 / 18656) * ex);
      v = y + h * ((9017 / 3168) * ay - (355 / 33) * by + (46732 / 5247) * cy + (49 / 176) * dy - (5103 / 18656) * ey);
      w = z + h * ((9017 / 3168) * az - (355 / 33) * bz + (46732 / 5247) * cz + (49 / 176) * dz - (5103 / 18656) * ez);
      const fx = sigma * (v - u);
      const fy = u * (r - w) - v;
      const fz = u * v - beta * w;
      u = x + h * ((35 / 384) * ax + (500 / 1113) * cx + (125 / 192) * dx - (2187 / 6784) * ex + (11 / 84) * fx);
      v = y + h * ((35 / 384) * ay + (500 / 1113) * cy + (125 / 192) * dy - (2187 / 6784) * ey + (11 / 84) * fy);
      w = z + h * ((35 / 384) * az + (500 / 1113) * cz + (125 / 192) * dz - (2187 / 6784) * ez + (11 / 84) * fz);
      const gx = sigma * (v - u);
      const gy = u * (r - w) - v;
      const gz = u * v - beta * w;
      const [e1, e3, e4, e5, e6, e7] = ERROR;
      const error = norm(
        (h * (e1 * ax + e3 * cx + e4 * dx + e5 * ex + e6 * fx + e7 * gx)) /
          (tolerance * (1 + Math.max(Math.abs(x), Math.abs(u)))),
        (h * (e1 * ay + e3 * cy + e4 * dy + e5 * ey + e6 * fy + e7 * gy)) /
          (tolerance * (1 + Math.max(Math.abs(y), Math.abs(v)))),
        (h * (e1 * az + e3 * cz + e4 * dz + e5 * ez + e6 * fz + e7 * gz)) /
          (tolerance * (1 + Math.max(Math.abs(z), Math.abs(w)))),
      );
      const accepted = error < 1;
      if (accepted) {
        t = last ? end : t + h;
        [x, y, z] = [u, v, w];
        [ax, ay, az] = [gx, gy, gz];
      }
      const factor = 0.9 * Math.max(error, 1e-10) ** -0.2;
      h *= accepted ? Math.min(10, Math.max(1, factor)) : Math.max(0.2, Math.min(0.9, factor));
    }
    states[3 * j] = x;
    states[3 * j + 1] = y;
    states[3 * j + 2] = z;
  }
  return states;
}
/** Weights of order 5 less those of order 4, of all stages but the second, whose weight is 0. */
const ERROR = [71 / 57600, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40];

await measureSolves({
  options,
  peer: "handwritten",
  version: `node ${process.versions.node}`,
  device: `${cpuName()}, 1 thread`,
  arithmetic: "float64",
  note:
    options.kind === "fixed"
      ? "loops over scalars"
      : "loops over scalars, integral controller, first step by Hairer et al.",
  solve: options.kind === "fixed" ? rk4 : dopri5,
});
