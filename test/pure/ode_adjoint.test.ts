import { expect, it } from "vitest";
import type { DenseShape } from "../../src/config/dense.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { METHOD_NAMES, METHODS, type MethodName } from "../../src/ode/tableaus.ts";
import { activation, activationDerivative } from "../../src/reference/activations.ts";
import { denseForward, denseGradients } from "../../src/reference/dense.ts";
import { integrate } from "../../src/reference/ode.ts";
import { type Cotangents, type Replay, replayGradient, replayMesh } from "../../src/reference/ode_adjoint.ts";
import type { OdeSystem } from "../../src/reference/ode_steps.ts";
import { GRADIENT_PROBLEMS, LANDING, landing, matrixExponential, WEIGHTED_GROWTH } from "../support/ode_gradients.ts";

/** Uneven steps from 0 to `length`. */
function mesh(length: number, count: number): Float64Array {
  const steps = Float64Array.from({ length: count }, (_, i) => 1 + 0.4 * Math.sin(3 * i));
  const sum = steps.reduce((total, h) => total + h, 0);
  return steps.map((h) => (h * length) / sum);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);
}

/** Derivative at 0 of `of`, by central differences extrapolated to O(h⁴): about 1e-11 of the function's size. */
function derivative(of: (move: number) => number, h = 3e-4): number {
  const central = (step: number) => (of(step) - of(-step)) / (2 * step);
  return (4 * central(h) - central(2 * h)) / 3;
}

function moved(values: ArrayLike<number>, at: number, by: number): Float64Array {
  const out = Float64Array.from(values);
  out[at] += by;
  return out;
}

/** Expects the gradient to be that of the discrete loss, by differences, in every number it has. */
function expectDiscreteGradient(system: OdeSystem, replay: Replay, cotangents: Cotangents, tolerance: number): void {
  const loss = (change: Partial<Replay>): number => {
    const { y, states } = replayMesh(system, { ...replay, ...change });
    return dot(cotangents.y, y) + dot(cotangents.states ?? [], states);
  };
  const gradient = replayGradient(system, replay, cotangents);
  const scale = Math.max(1, ...gradient.y0.map(Math.abs), ...gradient.parameters.map(Math.abs));
  const close = (value: number, difference: number, what: string) =>
    expect(Math.abs(value - difference), what).toBeLessThan(tolerance * scale);
  gradient.y0.forEach((value, i) => {
    close(
      value,
      derivative((by) => loss({ y0: moved(replay.y0, i, by) })),
      `y0[${i}]`,
    );
  });
  const parameters = replay.parameters ?? [];
  expect(gradient.parameters.length).toBe(parameters.length);
  gradient.parameters.forEach((value, i) => {
    close(
      value,
      derivative((by) => loss({ parameters: moved(parameters, i, by) })),
      `parameters[${i}]`,
    );
  });
  // A node moves: the step before it grows, the step after it shrinks.
  const last = replay.steps.length;
  for (const node of [0, 1, last - 1, last]) {
    const nodeMoved = (by: number): Partial<Replay> => {
      const steps = Float64Array.from(replay.steps);
      if (node > 0) steps[node - 1] += by;
      if (node < last) steps[node] -= by;
      return { steps, t0: replay.t0 + (node === 0 ? by : 0) };
    };
    close(
      gradient.mesh[node],
      derivative((by) => loss(nodeMoved(by))),
      `node ${node}`,
    );
  }
  expect([gradient.t0, gradient.t1]).toEqual([gradient.mesh[0], gradient.mesh[last]]);
}

it.each(METHOD_NAMES)("%s: the gradient is that of the discrete map (G8)", (method) => {
  const steps = mesh(1.2, 5);
  const cases: readonly { system: OdeSystem; y0: number[]; parameters: readonly number[]; c: number[] }[] =
    method === "leapfrog"
      ? [
          { system: FIELDS.pendulum, y0: [1, 0.3], parameters: [1.7], c: [0.4, -1] },
          { system: DRIVEN, y0: [0.5, -0.2], parameters: [1.2, 0.8], c: [1, 0.6] },
        ]
      : [
          { system: FIELDS["lotka-volterra"], y0: [1, 1.4], parameters: [1.5, 1, 3, 1], c: [1, -0.7] },
          { system: FIELDS["van-der-pol"], y0: [2, 0.3], parameters: [1.4], c: [0.4, 1] },
          { system: DRIVEN, y0: [0.5, -0.2], parameters: [1.2, 0.8], c: [1, 0.6] },
        ];
  for (const { system, y0, parameters, c } of cases) {
    expectDiscreteGradient(system, { method, t0: 0.3, y0, parameters, steps }, { y: c }, 1e-8);
  }
});

/** q' = p, p' = −k sin q + a cos(t q): depends on time, and is no polynomial. */
const DRIVEN: OdeSystem = {
  dimension: 2,
  evaluate: (t, y, p, dydt) => {
    dydt[0] = y[1];
    dydt[1] = -p[0] * Math.sin(y[0]) + p[1] * Math.cos(t * y[0]);
  },
  vjp: (t, y, p, w, gradY, gradParameters) => {
    const bend = -p[1] * Math.sin(t * y[0]) * w[1];
    gradY[0] = -p[0] * Math.cos(y[0]) * w[1] + t * bend;
    gradY[1] = w[0];
    gradParameters[0] = -Math.sin(y[0]) * w[1];
    gradParameters[1] = Math.cos(t * y[0]) * w[1];
    return y[0] * bend;
  },
};

it.each(METHOD_NAMES)("%s: gradients through output times", (method) => {
  const steps = mesh(1.2, 4);
  const nodes = [0.3];
  for (const h of steps) nodes.push(nodes[nodes.length - 1] + h);
  const structured = method === "leapfrog" || method === "reversible-heun";
  // Nodes would move with the mesh: the differences keep inner times only, the next test has nodes.
  const times = structured ? [] : [0.4, 0.41, 0.9, 1.2, 1.49];
  const states = Float64Array.from({ length: 2 * times.length }, (_, i) => Math.cos(2 * i));
  const replay: Replay = { method, t0: 0.3, y0: [0.5, -0.2], parameters: [1.2, 0.8], steps, times };
  expectDiscreteGradient(DRIVEN, replay, { y: [0.3, 1], states }, 1e-8);
  // A cotangent at a node is one of the state there: at the end it is the end's, at the start it passes through.
  const atNodes = replayGradient(
    DRIVEN,
    { ...replay, times: [nodes[0], nodes[2], nodes[4]] },
    { y: [0, 0], states: [1, 2, 0, 0, 0.3, 1] },
  );
  const atEnd = replayGradient(DRIVEN, { ...replay, times: [] }, { y: [0.3, 1] });
  atNodes.y0.forEach((value, i) => {
    expect(value).toBeCloseTo(atEnd.y0[i] + [1, 2][i], 12);
  });
  expect(Array.from(atNodes.parameters)).toEqual(Array.from(atEnd.parameters));
});

it.each(["tsit5", "vern7", "dopri8", "rodas5p", "kvaerno5"] as const)("%s: closed-form gradients G1–G6", (method) => {
  // The weights of G4 have kinks at nodes: no ∂f/∂t there, and a stage of Kværnø 5(4) lies beyond its step.
  const problems = GRADIENT_PROBLEMS.filter(({ id }) => METHODS[method].kind === "explicit" || id !== "G4");
  for (const entry of problems) {
    const { id, system, t0, t1, y0, parameters, cotangent, loss, gradY0, gradParameters } = entry;
    // The knots of G4 are nodes, so that w is smooth within a step.
    const steps = new Float64Array(80).fill((t1 - t0) / 80);
    const replay: Replay = { method, t0, y0, parameters, steps };
    const { y } = replayMesh(system, replay);
    const gradient = replayGradient(system, replay, { y: cotangent });
    const close = (value: number, exact: number) => expect(Math.abs(value - exact), id).toBeLessThan(1e-9);
    close(dot(cotangent, y), loss);
    gradient.y0.forEach((value, i) => {
      close(value, gradY0[i]);
    });
    gradient.parameters.forEach((value, i) => {
      close(value, gradParameters[i]);
    });
    const f = new Float64Array(y.length);
    system.evaluate(t1, y, parameters, f, (x) => x);
    close(gradient.t1, dot(cotangent, f));
    system.evaluate(t0, Float64Array.from(y0), parameters, f, (x) => x);
    close(gradient.t0, -dot(gradY0, f));
    // Moving an inner node changes the error of the method only.
    if (id !== "G4") for (const value of gradient.mesh.slice(1, -1)) close(value, 0);
  }
});

it("a recorded adaptive solve is replayed, and its gradient is that of the solution", () => {
  for (const method of ["dopri5", "tsit5", "dopri8", "rodas4", "kvaerno5"] as const) {
    const { system, t1, y0, parameters, cotangent, gradY0, gradParameters } = GRADIENT_PROBLEMS[5];
    const tolerances = { kind: "adaptive", rtol: 1e-9, atol: 1e-9 } as const;
    const recorded = integrate(system, { method, t0: 0, t1, y0, parameters, steps: tolerances });
    expect(recorded.status).toBe("done");
    const replay: Replay = { method, t0: 0, y0, parameters, steps: recorded.steps };
    const { y, mesh: nodes } = replayMesh(system, replay);
    expect(Math.abs(nodes[nodes.length - 1] - t1)).toBeLessThan(1e-14);
    y.forEach((value, i) => {
      expect(Math.abs(value - recorded.y[i])).toBeLessThan(method === "kvaerno5" ? 1e-9 : 1e-13);
    });
    const gradient = replayGradient(system, replay, { y: cotangent });
    expect(Math.abs(gradient.y0[0] - gradY0[0])).toBeLessThan(1e-6);
    expect(Math.abs(gradient.parameters[0] - gradParameters[0])).toBeLessThan(1e-6);
  }
});

it("the gradient on a mesh recorded in float32 is near that on its own mesh", () => {
  const { lorenz } = FIELDS;
  const steps = { kind: "adaptive", rtol: 1e-5, atol: 1e-5 } as const;
  const solve = (round?: (x: number) => number) =>
    integrate(lorenz, {
      method: "tsit5",
      t0: 0,
      t1: 1,
      y0: [1, 0, 0],
      parameters: [10, 28, 8 / 3],
      steps,
      ...(round && { round }),
    });
  const gradientOn = (lengths: Float64Array) =>
    replayGradient(
      lorenz,
      { method: "tsit5", t0: 0, y0: [1, 0, 0], parameters: [10, 28, 8 / 3], steps: lengths },
      { y: [1, 1, 1] },
    ).parameters;
  const [single, double] = [gradientOn(solve(Math.fround).steps), gradientOn(solve().steps)];
  // Both meshes solve to 1e-5 per step; the gradient is as sensitive as the state squared.
  expect(Math.hypot(...single.map((value, i) => value - double[i])) / Math.hypot(...double)).toBeLessThan(1e-3);
});

it("G7: the time and the state of an event, differentiated", () => {
  const [x0, g] = [10, 8];
  const wanted = landing(x0, g);
  expect(wanted.time).toBeCloseTo(1.5811388300841898, 14);
  expect(wanted.speed).toBeCloseTo(-12.649110640673518, 13);
  const field = FIELDS["falling-body"];
  for (const method of ["tsit5", "rk4", "dopri8", "rosenbrock23", "rodas5p", "kvaerno5"] as const) {
    const steps = { kind: "fixed", dt: 0.35 } as const;
    const recorded = integrate(field, { method, t0: 0, t1: 3, y0: [x0, 0], parameters: [g], steps, events: [LANDING] });
    expect([method, recorded.status]).toEqual([method, "event"]);
    expect(recorded.t).toBeCloseTo(wanted.time, 12);
    expect(recorded.y[1]).toBeCloseTo(wanted.speed, 11);
    const replay: Replay = {
      method,
      t0: 0,
      y0: [x0, 0],
      parameters: [g],
      steps: recorded.steps,
      theta: recorded.ended!.theta,
    };
    expect(replayMesh(field, replay).y[1]).toBeCloseTo(wanted.speed, 11);
    const ofTime = replayGradient(field, replay, { y: [0, 0], event: { event: LANDING, time: 1 } });
    expect(ofTime.y0[0]).toBeCloseTo(wanted.timeByX0, 10);
    expect(ofTime.parameters[0]).toBeCloseTo(wanted.timeByG, 10);
    // The landing time shifts with the start, and no other node matters.
    expect(ofTime.t0).toBeCloseTo(1, 9);
    for (const value of ofTime.mesh.slice(1)) expect(value).toBeCloseTo(0, 9);
    const ofState = replayGradient(field, replay, { y: [1, 1], event: { event: LANDING, time: 0 } });
    expect(ofState.y0[0]).toBeCloseTo(wanted.speedByX0, 9);
    expect(ofState.parameters[0]).toBeCloseTo(wanted.speedByG, 9);
  }
});

it("an event of a curved orbit: the discrete gradient by differences, the event found again each time", () => {
  const field = FIELDS["lotka-volterra"];
  const event = {
    terminal: true,
    direction: -1 as const,
    value: (t: number, y: Float64Array, p: ArrayLike<number>) => y[0] - 2 * p[0] + 0.1 * t,
    gradient: (
      _t: number,
      _y: Float64Array,
      _p: ArrayLike<number>,
      gradY: Float64Array,
      gradParameters: Float64Array,
    ) => {
      gradY.set([1, 0]);
      gradParameters.fill(0);
      gradParameters[0] = -2;
      return 0.1;
    },
  };
  for (const method of ["tsit5", "vern7", "rodas4", "kvaerno3"] as const) {
    const steps = { kind: "fixed", dt: 0.2 } as const;
    const newton = { rtol: 1e-13, atol: 1e-13, kappa: 0.1, iterations: 50 };
    const solve = (x: number, alpha: number) => {
      const options = {
        method,
        t0: 0.1,
        t1: 6,
        y0: [x, 1],
        parameters: [alpha, 1, 3, 1],
        steps,
        events: [event],
        newton,
      };
      return integrate(field, options);
    };
    const [x, alpha] = [4, 1.5];
    const recorded = solve(x, alpha);
    expect(recorded.status).toBe("event");
    const loss = ({ t, y }: ReturnType<typeof solve>) => 0.5 * y[0] - y[1] + 2 * t;
    const gradient = replayGradient(
      field,
      {
        method,
        t0: 0.1,
        y0: [x, 1],
        parameters: [alpha, 1, 3, 1],
        steps: recorded.steps,
        theta: recorded.ended!.theta,
      },
      { y: [0.5, -1], event: { event, time: 2 } },
    );
    expect(gradient.y0[0]).toBeCloseTo(
      derivative((by) => loss(solve(x + by, alpha))),
      7,
    );
    expect(gradient.parameters[0]).toBeCloseTo(
      derivative((by) => loss(solve(x, alpha + by))),
      7,
    );
  }
});

/** Layers h + s V σ(W h) as y' = f with weights constant within each of `depth` equal parts of [0, 1]. */
function residualSystem({ width, hidden, depth, activation: name }: DenseShape): OdeSystem {
  const layerAt = (t: number) => Math.min(Math.floor(t * depth), depth - 1);
  const [V, W] = [0, depth * width * hidden];
  const inside = (k: number, y: Float64Array, p: ArrayLike<number>) =>
    Float64Array.from({ length: hidden }, (_, i) => {
      let sum = 0;
      for (let j = 0; j < width; j++) sum += p[W + (k * hidden + i) * width + j] * y[j];
      return sum;
    });
  return {
    dimension: width,
    evaluate: (t, y, p, dydt) => {
      const k = layerAt(t);
      const active = inside(k, y, p).map((z) => activation(name, z));
      for (let i = 0; i < width; i++) {
        dydt[i] = 0;
        for (let j = 0; j < hidden; j++) dydt[i] += p[V + (k * width + i) * hidden + j] * active[j];
      }
    },
    vjp: (t, y, p, w, gradY, gradParameters) => {
      const k = layerAt(t);
      const z = inside(k, y, p);
      gradY.fill(0);
      gradParameters.fill(0);
      for (let j = 0; j < hidden; j++) {
        let back = 0;
        for (let i = 0; i < width; i++) {
          back += p[V + (k * width + i) * hidden + j] * w[i];
          gradParameters[V + (k * width + i) * hidden + j] = w[i] * activation(name, z[j]);
        }
        back *= activationDerivative(name, z[j]);
        for (let i = 0; i < width; i++) {
          gradY[i] += p[W + (k * hidden + j) * width + i] * back;
          gradParameters[W + (k * hidden + j) * width + i] = back * y[i];
        }
      }
      return 0;
    },
  };
}

it("G9: a residual network with 1/L is Euler's method with h = 1/L, bit for bit, and so are its gradients", () => {
  const shape: DenseShape = {
    inputs: 3,
    width: 3,
    hidden: 5,
    outputs: 3,
    depth: 8,
    activation: "tanh",
    widthFactors: "code",
    beta: 1,
  };
  const identity = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
  const random = (length: number, phase: number) =>
    Float64Array.from({ length }, (_, i) => Math.sin(12.9898 * (i + 1) + phase));
  const count = shape.depth * shape.width * shape.hidden;
  const weights = { A: identity, V: random(count, 0.3), W: random(count, 1.1), B: identity };
  const y0 = [0.4, -1.2, 0.9];
  const { output } = denseForward(shape, weights, y0, 1);
  const system = residualSystem(shape);
  const parameters = [...weights.V, ...weights.W];
  const steps = new Float64Array(shape.depth).fill(1 / shape.depth);
  const replay: Replay = { method: "euler", t0: 0, y0, parameters, steps };
  expect(Array.from(replayMesh(system, replay).y)).toEqual(Array.from(output));
  const targets = [0.1, 0.2, -0.3];
  const { dV, dW, dA } = denseGradients(shape, weights, { n: 1, inputs: y0, targets }, "squared-norm");
  const cotangent = output.map((value, i) => 2 * (value - targets[i]));
  const gradient = replayGradient(system, replay, { y: cotangent });
  [...dV, ...dW].forEach((value, i) => {
    expect(Math.abs(gradient.parameters[i] - value)).toBeLessThan(1e-14);
  });
  // ∂loss/∂A = (∂loss/∂h_0) xᵀ.
  gradient.y0.forEach((value, i) => {
    expect(Math.abs(value * y0[0] - dA[i * 3])).toBeLessThan(1e-14);
  });
});

it.each(METHOD_NAMES)("%s: steps of length 0 change neither values nor gradients (G10)", (method) => {
  const steps = mesh(1, 4);
  const padded = [0, steps[0], steps[1], 0, 0, steps[2], steps[3], 0];
  const base = { method, t0: 0.2, y0: [0.5, -0.2], parameters: [1.2, 0.8] };
  const plain = replayGradient(DRIVEN, { ...base, steps }, { y: [1, 0.6] });
  const more = replayGradient(DRIVEN, { ...base, steps: padded }, { y: [1, 0.6] });
  expect(Array.from(replayMesh(DRIVEN, { ...base, steps: padded }).y)).toEqual(
    Array.from(replayMesh(DRIVEN, { ...base, steps }).y),
  );
  expect(Array.from(more.y0)).toEqual(Array.from(plain.y0));
  expect(Array.from(more.parameters)).toEqual(Array.from(plain.parameters));
});

it("a second derivative in time of the weights' interpolation is pinned by the knots (G4) for few steps too", () => {
  // With knots at the nodes and one step an interval, the trapezium rule is exact for w, so only e^∫w carries an error.
  const parameters = [0.3, -0.8, 1.1, 0.4, -0.2];
  const gradientOf = (method: MethodName, count: number) => {
    const steps = new Float64Array(count).fill(1 / count);
    return replayGradient(WEIGHTED_GROWTH, { method, t0: 0, y0: [1.5], parameters, steps }, { y: [1] }).parameters;
  };
  const fine = gradientOf("dopri8", 64);
  for (const method of ["tsit5", "dopri8"] as const) {
    const error = (count: number) => Math.max(...gradientOf(method, count).map((x, i) => Math.abs(x - fine[i])));
    // Steps of 1/5 straddle the knots: the order is lost there, not with steps of 1/4.
    expect(error(4)).toBeLessThan(error(5) / 10);
  }
});

it("the matrix exponential: rotation, nilpotent, and a product of its halves", () => {
  const rotation = matrixExponential([0, -2, 2, 0], 2);
  [Math.cos(2), -Math.sin(2), Math.sin(2), Math.cos(2)].forEach((value, i) => {
    expect(rotation[i]).toBeCloseTo(value, 14);
  });
  expect(Array.from(matrixExponential([0, 3, 0, 0], 2))).toEqual([1, 3, 0, 1]);
});

it("what a gradient needs is asked for by name", () => {
  const { evaluate } = FIELDS.exponential;
  const replay: Replay = { method: "tsit5", t0: 0, y0: [1], parameters: [1], steps: [0.5] };
  expect(() => replayGradient({ dimension: 1, evaluate }, replay, { y: [1] })).toThrow("system.vjp");
  expect(() => replayMesh(FIELDS.exponential, { ...replay, steps: [] })).toThrow("steps");
  expect(() => replayMesh(FIELDS.exponential, { ...replay, times: [0.7] })).toThrow("times[0]");
  const between: Replay = { ...replay, method: "leapfrog", y0: [1, 0], times: [0.2] };
  expect(() => replayGradient(FIELDS.pendulum, between, { y: [1, 0], states: [1, 0] })).toThrow("times");
  expect(METHODS.leapfrog.kind).toBe("symplectic");
});
