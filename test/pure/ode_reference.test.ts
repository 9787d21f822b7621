import { expect, it } from "vitest";
import { ConfigError } from "../../src/config/errors.ts";
import type { Round } from "../../src/ode/controllers.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { METHOD_NAMES, METHODS, type MethodName } from "../../src/ode/tableaus.ts";
import { integrate, type OdeEvent, type OdeOptions } from "../../src/reference/ode.ts";
import {
  CLOSED_FORMS,
  DETEST,
  type OdeProblem,
  REFERENCE_VALUES,
  type ReferenceValue,
  ROBERTSON_VALUES,
} from "../../src/reference/ode_problems.ts";
import {
  newtonConverged,
  type OdeSystem,
  type ReversibleState,
  undoReversibleHeun,
} from "../../src/reference/ode_steps.ts";
import { RELAXATION } from "../support/ode_gradients.ts";

const problem = (id: string): OdeProblem => [...DETEST, ...CLOSED_FORMS].find((entry) => entry.id === id)!;
const systemOf = ({ system, field }: ReferenceValue): OdeSystem => system ?? FIELDS[field as keyof typeof FIELDS];
/** Newton's method to the end, so that it adds no error of its own. */
const newton = { rtol: 1e-12, atol: 1e-12 };

function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let worst = 0;
  for (let i = 0; i < b.length; i++) worst = Math.max(worst, Number.isNaN(a[i]) ? Infinity : Math.abs(a[i] - b[i]));
  return worst;
}

/** Slope of log error against log h over the finest halving whose finer error stands above `floor`. */
function slope(errorOf: (count: number) => number, floor = 3e-13): number {
  let coarse = errorOf(3);
  let found = Number.NaN;
  for (const count of [6, 12, 24, 48, 96, 192]) {
    const fine = errorOf(count);
    if (fine < floor) break;
    found = Math.log2(coarse / fine);
    coarse = fine;
  }
  return found;
}

it.each(METHOD_NAMES)("%s converges with its order, on autonomous and other problems", (method) => {
  const ids = method === "leapfrog" ? ["D2"] : ["B4", "A3", "N1"];
  for (const id of ids) {
    const { system, y0, exact } = problem(id);
    const t1 = id === "N1" ? 1 : 3;
    const measured = slope(
      (count) => {
        const steps = { kind: "fixed", count } as const;
        const { status, y } = integrate(system, { method, t0: 0, t1, y0, steps, newton });
        return status === "done" ? difference(y, exact(t1)) : Number.POSITIVE_INFINITY;
        // A Rosenbrock method keeps the error of its Jacobian, here by differences.
      },
      METHODS[method].kind === "rosenbrock" ? 1e-9 : undefined,
    );
    expect(measured).toBeGreaterThan(METHODS[method].order - 0.35);
  }
});

it.each(METHOD_NAMES)("%s: values between the steps converge with the order of the interpolant", (method) => {
  const { system, y0, exact } = problem(method === "leapfrog" ? "D2" : "A3");
  const entry = METHODS[method];
  const interpolant = "dense" in entry ? entry.dense.order + 1 : 3;
  const measured = slope((count) => {
    const times = Array.from({ length: count }, (_, i) => (3 * (i + 0.37)) / count);
    const steps = { kind: "fixed", count } as const;
    const save = { kind: "grid", times } as const;
    const { status, states } = integrate(system, { method, t0: 0, t1: 3, y0, steps, newton, save });
    if (status !== "done") return Number.POSITIVE_INFINITY;
    return difference(
      states,
      times.flatMap((t) => exact(t)),
    );
  });
  expect(measured).toBeGreaterThan(Math.min(entry.order, interpolant) - 0.3);
});

it.each(["tsit5", "dopri8"] as const)("%s at tolerance 1e-12 solves DETEST and the other closed forms", (method) => {
  for (const { id, system, t0, t1, y0, exact } of [...DETEST, ...CLOSED_FORMS]) {
    const steps = { kind: "adaptive", rtol: 1e-12, atol: 1e-12 } as const;
    const { status, t, y } = integrate(system, { method, t0, t1, y0, steps });
    expect([id, status, t]).toEqual([id, "done", t1]);
    expect(difference(y, exact(t1)), id).toBeLessThan(1e-9 * Math.max(1, ...exact(t1).map(Math.abs)));
  }
});

it("stated end values of closed forms", () => {
  const ends: Readonly<Record<string, readonly number[]>> = {
    A2: [0.2182178902359924],
    A3: [2.4916502718504145],
    A4: [17.73016648131484],
    B5: [-0.9396570798729196, -0.3421177754000773, 0.7414126596199985],
    D5: [-1.2952662509875725, 0.4003938963792324, -0.6775390924707579, -0.1270838154278682],
    E5: [14.117973905426254, 2.4],
    S1: [1.4664040060843666],
    N1: [5.440780193310424, 3.627186795540282],
    T2: [9737.322744780608],
  };
  for (const [id, end] of Object.entries(ends)) {
    const { exact, t1, y0, t0 } = problem(id);
    expect(difference(exact(t1), end)).toBeLessThan(2e-15 * Math.max(10, ...end.map(Math.abs)));
    expect(difference(exact(t0), y0), id).toBeLessThan(1e-15);
  }
});

it.each(REFERENCE_VALUES)("reference value $id", (reference) => {
  const { parameters, y0, t, y } = reference;
  const steps = { kind: "adaptive", rtol: 1e-13, atol: 1e-14 } as const;
  const solution = integrate(systemOf(reference), { method: "dopri8", t0: 0, t1: t, y0, parameters, steps });
  // Errors along the Lorenz attractor grow by e^{0.9 t}.
  expect(difference(solution.y, y)).toBeLessThan(reference.id === "lorenz, t = 10" ? 1e-8 : 2e-12);
});

it.each(["rosenbrock23", "rodas4", "rodas5p", "kvaerno3", "kvaerno5"] as const)("%s solves Robertson", (method) => {
  for (const { parameters, y0, t, y } of ROBERTSON_VALUES) {
    const steps = { kind: "adaptive", rtol: 1e-7, atol: 1e-11 } as const;
    const solution = integrate(FIELDS.robertson, { method, t0: 0, t1: t, y0, parameters, steps });
    expect(solution.status).toBe("done");
    solution.y.forEach((value, i) => {
      expect(Math.abs(value / y[i] - 1)).toBeLessThan(1e-5);
    });
  }
});

it("stiff methods take steps that do not depend on the stiffness", () => {
  // y' = −λ (y − cos t): an explicit method needs h λ < 3 or so.
  const relaxed = (lambda: number): OdeSystem => ({
    dimension: 1,
    evaluate: (t, y, _p, dydt) => {
      dydt[0] = -lambda * (y[0] - Math.cos(t));
    },
  });
  const stepsOf = (method: MethodName, lambda: number): number => {
    const steps = { kind: "adaptive", rtol: 1e-4, atol: 1e-6 } as const;
    const { accepted, rejected, y } = integrate(relaxed(lambda), { method, t0: 0, t1: 3, y0: [1], steps });
    expect(Math.abs(y[0] - Math.cos(3))).toBeLessThan(2 / lambda + 1e-3);
    return accepted + rejected;
  };
  for (const method of ["rosenbrock23", "rodas4", "rodas5p", "kvaerno3", "kvaerno5"] as const) {
    expect(stepsOf(method, 1e6)).toBeLessThan(3 * stepsOf(method, 1e3));
  }
  expect(stepsOf("tsit5", 1e4)).toBeGreaterThan(1e4);
});

it("Jacobians from differences, from products and given ones lead to the same solution", () => {
  const { evaluate, vjp, jacobian } = FIELDS.brusselator;
  const steps = { kind: "fixed", count: 40 } as const;
  for (const method of ["rodas5p", "kvaerno5"] as const) {
    const solve = (part: Partial<OdeSystem>) =>
      integrate(
        { dimension: 2, evaluate, autonomous: true, ...part },
        { method, t0: 0, t1: 2, y0: [1.5, 3], parameters: [1, 3], steps, newton },
      );
    const given = solve({ jacobian });
    expect(difference(solve({ vjp }).y, given.y)).toBeLessThan(1e-13);
    const differences = solve({});
    // √ε of the Jacobian, times h and the size of the correction.
    expect(difference(differences.y, given.y)).toBeLessThan(1e-8);
    expect(differences.evaluations).toBeGreaterThan(given.evaluations + 2 * 40 - 1);
  }
});

it("backwards in time every method returns, and time is hit exactly", () => {
  for (const method of METHOD_NAMES) {
    const field = FIELDS["harmonic-oscillator"];
    const steps = { kind: "fixed", dt: 0.01 } as const;
    const options = { method, parameters: [1.3], steps, newton };
    const there = integrate(field, { ...options, t0: -0.2, t1: 1.537, y0: [1, 0.4] });
    const back = integrate(field, { ...options, t0: 1.537, t1: -0.2, y0: there.y });
    expect([there.t, back.t, back.accepted]).toEqual([1.537, -0.2, 174]);
    const { order } = METHODS[method];
    expect(difference(back.y, [1, 0.4])).toBeLessThan(20 * 0.01 ** order + 1e-13);
  }
});

it("fixed steps: t0 + i dt, the last one to t1, in float32 too", () => {
  const seen: number[] = [];
  const clock: OdeSystem = {
    dimension: 1,
    evaluate: (t, _y, _p, dydt) => {
      seen.push(t);
      dydt[0] = 1;
    },
  };
  const solve = (t0: number, t1: number, dt: number, round?: (x: number) => number) => {
    seen.length = 0;
    return integrate(clock, {
      method: "euler",
      t0,
      t1,
      y0: [0],
      steps: { kind: "fixed", dt },
      ...(round && { round }),
    });
  };
  expect(Array.from(solve(0, 1, 0.3).steps)).toEqual([0.3, 0.3, 0.3, 1 - 3 * 0.3]);
  expect(Array.from(solve(0, 0.01, 0.1).steps)).toEqual([0.01]);
  expect(solve(0, 1.1, 0.1).accepted).toBe(11);
  expect(solve(1, 0, 0.125).accepted).toBe(8);
  const single = solve(0, 1, 0.001, Math.fround);
  // Added up in float32, 1000 steps of 0.001 end at 0.9999907.
  expect([single.accepted, single.t, seen[999]]).toEqual([1000, 1, Math.fround(999 * Math.fround(0.001))]);
});

it("adaptive time does not drift in float32, and nothing is evaluated outside the span", () => {
  const seen: number[] = [];
  const field = FIELDS["harmonic-oscillator"];
  const watched: OdeSystem = {
    dimension: 2,
    evaluate: (t, y, p, dydt, round) => {
      seen.push(t);
      field.evaluate(t, y, p, dydt, round);
    },
  };
  const steps = { kind: "adaptive", rtol: 1e-5, atol: 1e-5, dtMax: 0.01 } as const;
  for (const [t0, t1] of [
    [0, 20],
    [20, 0],
  ]) {
    seen.length = 0;
    const options = { method: "tsit5", t0, t1, y0: [1, 0], parameters: [1], steps, round: Math.fround } as const;
    const { status, t, accepted, y } = integrate(watched, options);
    expect([status, t, accepted]).toEqual(["done", t1, 2000]);
    expect(Math.min(...seen)).toBe(0);
    expect(Math.max(...seen)).toBe(20);
    // Rounding of 2,000 steps, not a shift of the phase: adding up t would end 1e-4 off.
    expect(difference(y, [Math.cos(20), Math.sin(20) * (t1 > t0 ? -1 : 1)])).toBeLessThan(2e-5);
  }
});

it("work: stages a step, first stage shared, one more for the first step's length", () => {
  const field = FIELDS["lotka-volterra"];
  const stagesAStep: readonly [MethodName, number, number][] = [
    ["euler", 1, 0],
    ["rk4", 4, 0],
    ["vern7", 10, 0],
    ["bosh3", 3, 1],
    ["dopri5", 6, 1],
    ["tsit5", 6, 1],
    ["dopri8", 13, 1],
    ["rosenbrock23", 2, 1],
    ["reversible-heun", 1, 1],
  ];
  for (const [method, stages, once] of stagesAStep) {
    const options: OdeOptions = {
      method,
      t0: 0,
      t1: 1,
      y0: [1, 1],
      parameters: [1.5, 1, 3, 1],
      steps: { kind: "fixed", count: 7 },
    };
    expect([method, integrate(field, options).evaluations]).toEqual([method, 7 * stages + once]);
  }
  const steps = { kind: "adaptive", rtol: 1e-3, atol: 1e-6 } as const;
  const { accepted, rejected, evaluations } = integrate(field, {
    method: "tsit5",
    t0: 0,
    t1: 10,
    y0: [1, 1],
    parameters: [1.5, 1, 3, 1],
    steps,
  });
  expect(rejected).toBeGreaterThan(0);
  expect(evaluations).toBe(6 * (accepted + rejected) + 2);
  // The same slopes serve the next step where only the interpolant needed them.
  const times = Array.from({ length: 50 }, (_, i) => i / 50 + 0.01);
  const grid = integrate(field, {
    method: "rk4",
    t0: 0,
    t1: 1,
    y0: [1, 1],
    parameters: [1.5, 1, 3, 1],
    steps: { kind: "fixed", count: 7 },
    save: { kind: "grid", times },
  });
  expect(grid.evaluations).toBe(4 * 7 + 1);
});

it("step counts of an independent emulation, and in float32 nearly the same", () => {
  // Tsit5, diffrax's I law, first step 1e-3, rtol = atol = 1e-7, in float64: 74 accepted, 8 rejected, relative error 3.3e-8.
  const lorenz = REFERENCE_VALUES.find(({ id }) => id === "lorenz, t = 1")!;
  const steps = { kind: "adaptive", rtol: 1e-7, atol: 1e-7, dt0: 1e-3 } as const;
  const { parameters, y0, y } = lorenz;
  const options: OdeOptions = { method: "tsit5", t0: 0, t1: 1, y0, parameters, steps };
  const double = integrate(FIELDS.lorenz, options);
  expect([double.accepted, double.rejected]).toEqual([74, 8]);
  expect(Math.hypot(...double.y.map((value, i) => value - y[i])) / Math.hypot(...y)).toBeCloseTo(3.3e-8, 9);
  for (const tolerance of [1e-3, 1e-4, 1e-5, 1e-6]) {
    const at = { ...options, steps: { ...steps, rtol: tolerance, atol: tolerance } };
    const single = integrate(FIELDS.lorenz, { ...at, round: Math.fround });
    expect(Math.abs(single.accepted - integrate(FIELDS.lorenz, at).accepted)).toBeLessThanOrEqual(2);
    expect(Array.from(single.y)).toEqual(Array.from(single.y, Math.fround));
  }
});

it("a compensated state keeps float32 nearer to the solution over many steps", () => {
  const { parameters, y0, y } = REFERENCE_VALUES.find(({ id }) => id === "lorenz, t = 1")!;
  for (const method of ["tsit5", "rodas4"] as const) {
    const error = (compensated: boolean): number => {
      const steps = { kind: "fixed", count: 1000 } as const;
      const options = { method, t0: 0, t1: 1, y0, parameters, steps, round: Math.fround, compensated };
      return difference(integrate(FIELDS.lorenz, options).y, y);
    };
    expect(error(true)).toBeLessThan(error(false) / 3);
  }
  const steps = { kind: "fixed", count: 3 } as const;
  expect(() =>
    integrate(FIELDS.pendulum, { method: "leapfrog", t0: 0, t1: 1, y0: [1, 0], steps, compensated: true }),
  ).toThrow(ConfigError);
});

it("saving: end, grid with both ends, every n-th step; an empty span", () => {
  const field = FIELDS.exponential;
  const base = {
    method: "tsit5",
    t0: 0,
    t1: 2,
    y0: [1],
    parameters: [-1],
    steps: { kind: "fixed", count: 8 },
  } as const;
  const end = integrate(field, base);
  expect([end.times.length, end.states.length]).toEqual([0, 0]);
  const times = [0, 0, 0.1, 0.25, 0.9, 2, 2];
  const grid = integrate(field, { ...base, save: { kind: "grid", times } });
  expect(Array.from(grid.times)).toEqual(times);
  expect([grid.states[0], grid.states[1], grid.states[5], grid.states[6]]).toEqual([1, 1, end.y[0], end.y[0]]);
  expect(
    difference(
      grid.states,
      times.map((t) => Math.exp(-t)),
    ),
  ).toBeLessThan(1e-6);
  const every = integrate(field, { ...base, save: { kind: "steps", every: 3 } });
  expect(Array.from(every.times)).toEqual([0.75, 1.5]);
  const backwards = integrate(field, { ...base, t0: 2, t1: 0, save: { kind: "grid", times: [1.7, 0.3, 0] } });
  expect(
    difference(
      backwards.states,
      [1.7, 0.3, 0].map((t) => Math.exp(2 - t)),
    ),
  ).toBeLessThan(1e-5);
  for (const steps of [base.steps, { kind: "adaptive", rtol: 1e-3, atol: 1e-3 } as const]) {
    const none = integrate(field, { ...base, t1: 0, steps, save: { kind: "grid", times: [0] } });
    expect([none.status, none.t, none.accepted, none.y[0], none.states[0]]).toEqual(["done", 0, 0, 1, 1]);
  }
});

it("events: counted and terminal, by direction, located on the interpolant", () => {
  const field = FIELDS["harmonic-oscillator"];
  const zero = (direction: -1 | 0 | 1, terminal: boolean): OdeEvent => ({
    value: (_t, y) => y[0],
    direction,
    terminal,
  });
  const steps = { kind: "adaptive", rtol: 1e-11, atol: 1e-11 } as const;
  const options = { method: "dopri8", t0: 0, t1: 10, y0: [1, 0], parameters: [1], steps } as const;
  const counted = integrate(field, { ...options, events: [zero(0, false), zero(1, false), zero(-1, false)] });
  expect(counted.status).toBe("done");
  const crossings = [1, 3, 5].map((k) => (k * Math.PI) / 2);
  const wanted = [crossings, [crossings[1]], [crossings[0], crossings[2]]];
  counted.events.forEach(({ count, times }, i) => {
    expect(count).toBe(wanted[i].length);
    expect(difference(times, wanted[i])).toBeLessThan(1e-9);
  });
  const grid = { kind: "grid", times: [1, 2, 4, 4.7, 4.8, 9] } as const;
  const stopped = integrate(field, { ...options, events: [zero(-1, false), zero(1, true)], save: grid });
  expect([stopped.status, stopped.events[0].count, stopped.ended!.event]).toEqual(["event", 1, 1]);
  expect(stopped.t).toBeCloseTo((3 * Math.PI) / 2, 9);
  expect(difference(stopped.y, [0, 1])).toBeLessThan(1e-9);
  expect(Array.from(stopped.times)).toEqual([1, 2, 4, 4.7]);
  // Backwards the same crossings are met with the other sign of the change.
  const back = integrate(field, {
    ...options,
    t0: 10,
    t1: 0,
    y0: [Math.cos(10), -Math.sin(10)],
    events: [zero(1, true)],
  });
  expect(back.t).toBeCloseTo(crossings[2], 8);
  // A solve that starts on the event does not stop there.
  const start = integrate(field, { ...options, y0: [0, 1], events: [zero(0, true)] });
  expect(start.t).toBeCloseTo(Math.PI, 9);
});

it("float32 events lie within rounding of the time", () => {
  const event: OdeEvent = { value: (_t, y) => y[0], direction: -1, terminal: true };
  const { status, t, y } = integrate(FIELDS["falling-body"], {
    method: "tsit5",
    t0: 0,
    t1: 2,
    y0: [10, 0],
    parameters: [8],
    steps: { kind: "fixed", count: 5 },
    events: [event],
    round: Math.fround,
  });
  expect(status).toBe("event");
  // Coefficients of the interpolant up to 88, times h v = 0.4·12.6 for the place, over v for the time; h g for the speed.
  expect(Math.abs(t - Math.sqrt(20 / 8))).toBeLessThan(88 * 2 ** -24 * 0.4);
  expect(Math.abs(y[1] + Math.sqrt(160))).toBeLessThan(88 * 2 ** -24 * 0.4 * 8);
});

/** y' = 1 + y², which is infinite at t = π/2 from y0 = 0. */
const TANGENT: OdeSystem = {
  dimension: 1,
  evaluate: (_t, y, _p, dydt, round) => {
    dydt[0] = y[0] > 1e6 ? Number.NaN : round(1 + round(y[0] * y[0]));
  },
};

it("statuses come with the last good state", () => {
  const base = {
    method: "dopri5",
    t0: 0,
    t1: 3,
    y0: [0],
    steps: { kind: "adaptive", rtol: 1e-8, atol: 1e-8 },
  } as const;
  const nan = integrate(TANGENT, base);
  expect(nan.status).toBe("non_finite");
  expect(nan.t).toBeLessThan(Math.PI / 2);
  expect(nan.t).toBeGreaterThan(1.57);
  expect(nan.y[0]).toBeLessThanOrEqual(1e6);
  const wall: OdeSystem = { dimension: 1, evaluate: (t, _y, _p, dydt) => void dydt.fill(t > 1 ? Number.NaN : 1) };
  for (const [round, epsilon] of [[(x: number) => x, 2 ** -52] as const, [Math.fround, 2 ** -23] as const]) {
    const { status, t, y, rejected } = integrate(wall, { ...base, round });
    expect(status).toBe("non_finite");
    expect(Math.abs(1 - t)).toBeLessThan(8 * epsilon);
    expect(Math.abs(1 - y[0])).toBeLessThan(100 * epsilon);
    expect(rejected).toBeLessThan(100);
  }
  const fixed = integrate(TANGENT, { ...base, steps: { kind: "fixed", dt: 0.125 } });
  expect([fixed.status, fixed.t]).toEqual(["non_finite", fixed.accepted * 0.125]);
  expect(Number.isFinite(fixed.y[0])).toBe(true);
  const few = integrate(TANGENT, { ...base, maxSteps: 5 });
  expect([few.status, few.accepted + few.rejected]).toEqual(["max_steps", 5]);
  expect(few.t).toBeCloseTo(
    few.steps.reduce((sum, h) => sum + h, 0),
    14,
  );
  const short = integrate(TANGENT, { ...base, steps: { ...base.steps, dtMin: 0.05 } });
  expect([short.status, short.t < 1.57]).toEqual(["dt_min", true]);
  const always = {
    ...TANGENT,
    evaluate: (_t: number, _y: unknown, _p: unknown, dydt: Float64Array) => void dydt.fill(Number.NaN),
  };
  const never = integrate(always, base);
  expect([never.status, never.t, never.accepted, never.y[0]]).toEqual(["non_finite", 0, 0, 0]);
  const implicit = integrate(FIELDS["van-der-pol"], {
    method: "kvaerno3",
    t0: 0,
    t1: 10,
    y0: [2, 0.3],
    parameters: [1000],
    steps: { kind: "fixed", dt: 5 },
  });
  expect([implicit.status, implicit.t]).toEqual(["newton_fail", 0]);
});

it("Newton's method stops by the estimated distance, and fails where corrections do not shrink", () => {
  const judge = (now: number, before: number, rounding = 0) => newtonConverged(now, before, 0.01, rounding, (x) => x);
  expect([judge(0, 0), judge(0.01, 0), judge(0.02, 0)]).toEqual(["yes", "yes", "no"]);
  // Rate 0.1: a distance of 0.1/0.9 of the correction.
  expect([judge(0.08, 0.8), judge(0.1, 1)]).toEqual(["yes", "no"]);
  expect([judge(1, 1), judge(2, 1), judge(Number.NaN, 1), judge(Number.NaN, 0)]).toEqual(Array(4).fill("failed"));
  // At the level of rounding, also where corrections no longer shrink.
  expect([judge(1, 0.5, 1), judge(1, 0.5, 0.9)]).toEqual(["yes", "failed"]);
});

it("Newton's method does not ask float32 for more than it has", () => {
  const steps = (round?: Round) => {
    const { status, accepted, rejected } = integrate(FIELDS.robertson, {
      method: "kvaerno5",
      t0: 0,
      t1: 100,
      y0: [1, 0, 0],
      parameters: FIELDS.robertson.defaults,
      steps: { kind: "adaptive", rtol: 1e-6, atol: 1e-10 },
      ...(round && { round }),
    });
    expect(status).toBe("done");
    return accepted + rejected;
  };
  expect(Math.abs(steps(Math.fround) - steps())).toBeLessThanOrEqual(2);
});

it("options that make no sense are refused by name", () => {
  const base: OdeOptions = {
    method: "tsit5",
    t0: 0,
    t1: 1,
    y0: [1],
    parameters: [1],
    steps: { kind: "fixed", count: 2 },
  };
  const refused = (change: Partial<OdeOptions>, field: string) =>
    expect(() => integrate(FIELDS.exponential, { ...base, ...change })).toThrow(field);
  refused({ y0: [1, 2] }, "y0");
  refused({ t1: Number.NaN }, "t0, t1");
  refused({ steps: { kind: "fixed" } }, "steps");
  refused({ steps: { kind: "fixed", dt: -1 } }, "steps.dt");
  refused({ method: "rk4", steps: { kind: "adaptive", rtol: 1e-3, atol: 1e-3 } }, "method");
  refused({ save: { kind: "grid", times: [0.5, 0.2] } }, "save.times");
  refused({ save: { kind: "steps", every: 0 } }, "save.every");
  refused({ method: "leapfrog" }, "dimension");
});

it("invariants are kept", () => {
  const steps = { kind: "adaptive", rtol: 1e-11, atol: 1e-12 } as const;
  for (const field of Object.values(FIELDS)) {
    const { initial: y0, defaults: parameters, span, invariants } = field;
    const method = field.name === "robertson" ? "rodas5p" : "vern7";
    const { y, status } = integrate(field, { method, t0: span[0], t1: span[1], y0, parameters, steps });
    expect([field.name, status]).toEqual([field.name, "done"]);
    for (const { value } of invariants) {
      const before = value(Float64Array.from(y0), parameters);
      expect(Math.abs(value(y, parameters) - before)).toBeLessThan(1e-9 * Math.max(1, Math.abs(before)));
    }
  }
});

it("leapfrog keeps the energy of an orbit, Heun does not", () => {
  const field = FIELDS.kepler;
  const y0 = [0.5, 0, 0, Math.sqrt(3)];
  const energy = (y: Float64Array) => field.invariants[0].value(y, [1]);
  const drift = (method: MethodName): number => {
    const steps = { kind: "fixed", dt: 0.05 } as const;
    const options = { method, t0: 0, t1: 100, y0, parameters: [1], steps, save: { kind: "steps", every: 20 } } as const;
    const { states } = integrate(field, options);
    let worst = 0;
    for (let i = 0; i < states.length; i += 4)
      worst = Math.max(worst, Math.abs(energy(states.subarray(i, i + 4)) + 0.5));
    return worst;
  };
  expect(drift("leapfrog")).toBeLessThan(0.01);
  expect(drift("heun")).toBeGreaterThan(0.05);
});

it("reversible Heun undone gives y0 back; in float32 not where errors grow by e^15 (G11)", () => {
  const recovered = (lambda: number, round: (x: number) => number): number => {
    const parameters = [lambda];
    const options = { method: "reversible-heun", t0: 0, t1: 1, y0: [0], parameters, round } as const;
    const { y, steps } = integrate(RELAXATION, { ...options, steps: { kind: "fixed", count: 400 } });
    // The whole state at the end: y, ŷ and f(ŷ), by the same steps.
    let state: ReversibleState = {
      y: Float64Array.of(0),
      auxiliary: Float64Array.of(0),
      slope: Float64Array.of(round(lambda)),
    };
    const undo = (h: number) => undoReversibleHeun(RELAXATION, parameters, 0, h, state, round);
    for (const h of steps) state = undo(-h);
    expect(state.y[0]).toBe(y[0]);
    for (const h of steps.toReversed()) state = undo(h);
    return Math.abs(state.y[0]);
  };
  expect(recovered(5, (x) => x)).toBeLessThan(1e-12);
  expect(recovered(5, Math.fround)).toBeLessThan(1e-3);
  expect(recovered(15, Math.fround)).toBeGreaterThan(0.1);
  // Integrating backwards does no better.
  const steps = { kind: "fixed", count: 400 } as const;
  const backsolve = (lambda: number): number => {
    const options = { method: "rk4", parameters: [lambda], steps, round: Math.fround } as const;
    const there = integrate(RELAXATION, { ...options, t0: 0, t1: 1, y0: [0] });
    return Math.abs(integrate(RELAXATION, { ...options, t0: 1, t1: 0, y0: there.y }).y[0]);
  };
  expect(backsolve(5)).toBeLessThan(1e-5);
  expect(backsolve(15)).toBeGreaterThan(0.5);
});

// The slope that an ESDIRK step leaves is off by the tolerance of Newton's method; divided by √ε that is no Jacobian.
it.each(["kvaerno3", "kvaerno5"] as const)("%s: differences start from f, whatever Newton's method left", (method) => {
  const { system, y0, exact } = problem("N1");
  const steps = { kind: "fixed", count: 11 } as const;
  const given: OdeSystem = { ...system, jacobian: (t, _y, _p, matrix) => matrix.set([t, 1, 0, t]) };
  const { vjp: _, ...without } = system;
  const options = { method, t0: 0, t1: 1, y0, steps };
  const [a, b] = [integrate(without, options), integrate(given, options)];
  expect([a.status, b.status]).toEqual(["done", "done"]);
  // κ times the tolerance, 1e-8, of each stage.
  expect(difference(a.y, b.y)).toBeLessThan(1e-6);
  expect(difference(a.y, exact(1))).toBeLessThan(2e-3);
});
