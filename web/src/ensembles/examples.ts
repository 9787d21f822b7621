/** Vector fields to start from: the text, and ranges that show what it does. */
import { FIELDS, type FieldName } from "../../../src/ode/fields.ts";
import type { Range } from "./protocol.ts";

export interface Example {
  /** Word in the link. */
  readonly id: string;
  readonly title: string;
  readonly source: string;
  /** y(0), a range a component. */
  readonly initial: readonly Range[];
  /** By name; the others have one value, that of the text. */
  readonly parameters: Readonly<Record<string, Range>>;
  readonly interval: number;
  readonly end: number;
  /** Components on the axes. */
  readonly axes: readonly [x: number, y: number];
}

/** A built-in field without its derivatives. */
function textOf(name: FieldName): string {
  const { equations, components, parameters, defaults, source } = FIELDS[name];
  const values = parameters.map((parameter, i) => `${parameter} = ${Number(defaults[i]!.toPrecision(7))}`);
  return `// ${equations}
// components: ${components.join(", ")}
// parameters: ${values.join(", ")}

${source.slice(0, source.indexOf("fn vector_field_vjp"))}`;
}

const FORCED_PENDULUM = `// θ' = ω, ω' = −sin θ − c ω + a cos(2t/3): damped and driven
// components: θ, ω
// parameters: c = 0.5, a = 1.15

fn vector_field(t: f32, y: State, p: Params) -> State {
  return State(y[1], -sin(y[0]) - p[0] * y[1] + p[1] * cos(2.0 * t / 3.0));
}
`;

export const EXAMPLES: readonly Example[] = [
  {
    id: "lorenz",
    title: "Lorenz",
    source: textOf("lorenz"),
    initial: [
      [-20, 20],
      [-20, 20],
      [0, 50],
    ],
    parameters: {},
    interval: 0.01,
    end: 50,
    axes: [0, 2],
  },
  {
    id: "rossler",
    title: "Rössler",
    source: textOf("rossler"),
    initial: [
      [-10, 10],
      [-10, 10],
      [0, 1],
    ],
    parameters: {},
    interval: 0.04,
    end: 200,
    axes: [0, 1],
  },
  {
    id: "lotka-volterra",
    title: "Lotka–Volterra",
    source: textOf("lotka-volterra"),
    initial: [
      [2, 4],
      [0.5, 1],
    ],
    parameters: {},
    interval: 0.02,
    end: 100,
    axes: [0, 1],
  },
  {
    id: "van-der-pol",
    title: "Van der Pol",
    source: textOf("van-der-pol"),
    initial: [
      [-4, 4],
      [-4, 4],
    ],
    parameters: { μ: [0.5, 2] },
    interval: 0.02,
    end: 50,
    axes: [0, 1],
  },
  {
    id: "pendulum",
    title: "Driven pendulum",
    source: FORCED_PENDULUM,
    initial: [
      [-3, 3],
      [-3, 3],
    ],
    parameters: {},
    interval: 0.04,
    end: 200,
    axes: [0, 1],
  },
  {
    id: "brusselator",
    title: "Brusselator",
    source: textOf("brusselator"),
    initial: [
      [0, 5],
      [0, 5],
    ],
    parameters: { B: [1.5, 3.5] },
    interval: 0.02,
    end: 60,
    axes: [0, 1],
  },
  {
    id: "fitzhugh-nagumo",
    title: "FitzHugh–Nagumo",
    source: textOf("fitzhugh-nagumo"),
    initial: [
      [-2.5, 2.5],
      [-1, 2],
    ],
    parameters: { I: [0, 1] },
    interval: 0.1,
    end: 300,
    axes: [0, 1],
  },
  {
    id: "kepler",
    title: "Kepler",
    source: textOf("kepler"),
    initial: [
      [0.9, 1.1],
      [-0.1, 0.1],
      [-0.1, 0.1],
      [0.8, 1.2],
    ],
    parameters: {},
    interval: 0.03,
    end: 100,
    axes: [0, 1],
  },
];
