import type { UserField } from "../../src/config/ode.ts";
import type { OdeSystem } from "../../src/reference/ode_steps.ts";
import { linearSystem, QUADRATIC_DECAY, RELAXATION } from "./ode_gradients.ts";

/** A field with its derivatives, and the same for the reference. */
export type SystemField = UserField & { readonly system: OdeSystem };

/** G2. */
export const DECAY: SystemField = {
  name: "decay",
  dimension: 1,
  parameters: 1,
  source: `fn vector_field(t: f32, y: State, p: Params) -> State { return State(-(p[0] * (y[0] * y[0]))); }
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(State(-2.0 * p[0] * y[0] * w[0]), Params(-(y[0] * y[0]) * w[0]), 0.0);
}`,
  system: QUADRATIC_DECAY,
};

/** G5. */
export const LINEAR: SystemField = {
  name: "linear",
  dimension: 3,
  parameters: 9,
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  var result = State();
  for (var i = 0u; i < 3u; i++) { for (var j = 0u; j < 3u; j++) { result[i] += p[3u * i + j] * y[j]; } }
  return result;
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  var result = Pullback();
  for (var i = 0u; i < 3u; i++) {
    for (var j = 0u; j < 3u; j++) {
      result.y[j] += p[3u * i + j] * w[i];
      result.p[3u * i + j] = y[j] * w[i];
    }
  }
  return result;
}`,
  system: linearSystem(3),
};

/** G11. */
export const RELAXING: SystemField = {
  name: "relaxation",
  dimension: 1,
  parameters: 1,
  source: `fn vector_field(t: f32, y: State, p: Params) -> State { return State(p[0] * (1.0 - y[0])); }
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(State(-(p[0] * w[0])), Params((1.0 - y[0]) * w[0]), 0.0);
}`,
  system: RELAXATION,
};

/** x' = p t x. */
export const SWELL: SystemField = {
  name: "swell",
  dimension: 1,
  parameters: 1,
  source: `fn vector_field(t: f32, y: State, p: Params) -> State { return State(p[0] * t * y[0]); }
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(State(p[0] * t * w[0]), Params(t * y[0] * w[0]), p[0] * y[0] * w[0]);
}`,
  system: {
    dimension: 1,
    evaluate: (t, y, p, dydt, round) => {
      dydt[0] = round(round(p[0] * t) * y[0]);
    },
    vjp: (t, y, p, w, gradY, gradParameters) => {
      gradY[0] = p[0] * t * w[0];
      gradParameters[0] = t * y[0] * w[0];
      return p[0] * y[0] * w[0];
    },
  },
};

const WIDTH = 3;

/** y' = tanh(W y + b) with W [3, 3] and b [3] behind each other: a layer of a neural ODE. */
export const LAYER: SystemField = {
  name: "layer",
  dimension: WIDTH,
  parameters: WIDTH * WIDTH + WIDTH,
  source: `const WIDTH = ${WIDTH}u;
fn activation(y: State, p: Params) -> State {
  var result = State();
  for (var i = 0u; i < WIDTH; i++) {
    var sum = p[WIDTH * WIDTH + i];
    for (var j = 0u; j < WIDTH; j++) { sum += p[WIDTH * i + j] * y[j]; }
    result[i] = tanh(sum);
  }
  return result;
}
fn vector_field(t: f32, y: State, p: Params) -> State { return activation(y, p); }
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  let f = activation(y, p);
  var result = Pullback();
  for (var i = 0u; i < WIDTH; i++) {
    let slope = (1.0 - f[i] * f[i]) * w[i];
    result.p[WIDTH * WIDTH + i] = slope;
    for (var j = 0u; j < WIDTH; j++) {
      result.y[j] += p[WIDTH * i + j] * slope;
      result.p[WIDTH * i + j] = slope * y[j];
    }
  }
  return result;
}`,
  system: {
    dimension: WIDTH,
    autonomous: true,
    evaluate: (_t, y, p, dydt, round) => {
      for (let i = 0; i < WIDTH; i++) {
        let sum = p[WIDTH * WIDTH + i];
        for (let j = 0; j < WIDTH; j++) sum = round(sum + round(p[WIDTH * i + j] * y[j]));
        dydt[i] = round(Math.tanh(sum));
      }
    },
    vjp: (_t, y, p, w, gradY, gradParameters) => {
      gradY.fill(0);
      for (let i = 0; i < WIDTH; i++) {
        let sum = p[WIDTH * WIDTH + i];
        for (let j = 0; j < WIDTH; j++) sum += p[WIDTH * i + j] * y[j];
        const slope = (1 - Math.tanh(sum) ** 2) * w[i];
        gradParameters[WIDTH * WIDTH + i] = slope;
        for (let j = 0; j < WIDTH; j++) {
          gradY[j] += p[WIDTH * i + j] * slope;
          gradParameters[WIDTH * i + j] = slope * y[j];
        }
      }
      return 0;
    },
  },
};
