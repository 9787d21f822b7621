import { ConfigError } from "../config/errors.ts";
import {
  type EnsembleConfig,
  type EnsembleInput,
  ensembleSchema,
  fieldSchema,
  MOST_FIXED_STEPS,
  type UserField,
} from "../config/ode.ts";
import type { Gpu } from "../gpu/device.ts";
import type { ShaderPart } from "../gpu/specialise.ts";
import type { EnsembleShape } from "../plan/ode.ts";
import type { EnsembleProblem } from "./ensemble_types.ts";
import type { FieldFunction, FieldText } from "./field_source.ts";
import { FIELDS } from "./fields.ts";
import type { Method } from "./method.ts";
import { traitsOf } from "./method_constants.ts";
import { METHODS } from "./tableaus.ts";

export interface Field {
  readonly dimension: number;
  readonly parameters: number;
  readonly defaults: readonly number[] | undefined;
  readonly part: ShaderPart;
  /** Its text with the functions that it brings; `user` is what a user wrote, whose derivatives are not known to be right. */
  readonly source: string;
  readonly functions: readonly FieldFunction[];
  readonly user: (UserField & FieldText) | undefined;
  readonly hasEvent: boolean;
  /** Known not to depend on t. */
  readonly autonomous: boolean;
}

/** What a problem and a configuration come to, checked; numbers as the device has them. */
export interface Setup {
  readonly config: EnsembleConfig;
  readonly field: Field;
  readonly method: Method;
  readonly n: number;
  readonly initial: Float32Array;
  /** [n, parameters], or [parameters]. */
  readonly parameters: Float32Array;
  readonly sharedParameters: boolean;
  readonly start: (j: number) => number;
  readonly end: (j: number) => number;
  readonly rtol: (j: number) => number;
  readonly atol: (j: number, component: number) => number;
  readonly initialStep: (j: number) => number;
  /** Length and number of the steps, with fixed ones. */
  readonly mesh: (j: number) => { readonly dt: number; readonly count: number };
  /** Times of a grid: one list of all trajectories, or one of each. */
  readonly times: Float32Array | readonly Float32Array[] | undefined;
  /** The interpolant is used. */
  readonly dense: boolean;
  readonly shape: EnsembleShape;
}

const DEFAULT_CAPACITY = 256;

function expect(holds: boolean, field: string, rule: string, value?: unknown): void {
  if (!holds) throw new ConfigError(field, rule, value);
}

/** @throws ConfigError for the first field of the problem or the configuration that breaks a rule. */
export function setUp(problem: EnsembleProblem, field: Field, input: EnsembleInput): Setup {
  const config = parse(ensembleSchema, input, "");
  const method: Method = METHODS[config.method];
  const traits = traitsOf(method);
  const { dimension } = field;
  expect(
    dimension <= (traits.mostComponents ?? dimension),
    "method",
    `must be explicit with ${dimension} components: implicit methods take at most ${traits.mostComponents}`,
    method.name,
  );
  expect(
    method.kind !== "symplectic" || dimension % 2 === 0,
    "method",
    `must not be symplectic with ${dimension} components: y = (q, p)`,
    method.name,
  );
  const { initial } = problem;
  expect(
    initial.length > 0 && initial.length % dimension === 0,
    "initial",
    `must hold ${dimension} numbers for each trajectory`,
    initial.length,
  );
  const n = initial.length / dimension;
  const { parameters, sharedParameters } = parametersOf(problem, field, n);
  const start = perTrajectory("start", problem.start, n, Number.isFinite, "must be finite");
  const end = perTrajectory("end", problem.end, n, Number.isFinite, "must be finite");
  const { steps, save } = config;
  const notNegative = (x: number) => x >= 0 && x < Number.POSITIVE_INFINITY;
  if (steps.kind === "fixed") {
    for (const name of ["rtol", "atol", "initialStep"] as const) {
      expect(problem[name] === undefined, name, "must be left out with fixed steps");
    }
  } else if (Array.isArray(steps.atol)) {
    expect(
      steps.atol.length === dimension,
      "steps.atol",
      `must be one number, or one for each of ${dimension} components`,
      steps.atol,
    );
  }
  const adaptive = steps.kind === "adaptive" ? steps : { rtol: 0, atol: 0, initialStep: undefined };
  const rule = "must be finite and at least 0";
  const rtol = perTrajectory("rtol", problem.rtol ?? adaptive.rtol, n, notNegative, rule);
  const atolOf = problem.atol && perTrajectory("atol", problem.atol, n, notNegative, rule);
  const { atol: given } = adaptive;
  const initialStep = perTrajectory(
    "initialStep",
    problem.initialStep ?? adaptive.initialStep ?? 0,
    n,
    notNegative,
    rule,
  );
  const mesh = meshes(config, n, start, end);
  const times = save.kind === "grid" ? gridOf(save.times, n, start, end) : undefined;
  const event = config.event;
  expect(
    !event || field.hasEvent,
    "event",
    "needs a field that declares fn event_value(t: f32, y: State, p: Params) -> f32",
  );
  const dense = event !== undefined || save.kind === "grid" || save.kind === "statistics";
  return {
    config,
    field,
    method,
    n,
    initial,
    parameters,
    sharedParameters,
    start,
    end,
    rtol,
    atol: atolOf ?? ((_, component) => (typeof given === "number" ? given : given[component]!)),
    initialStep,
    mesh,
    times,
    dense,
    shape: {
      trajectories: n,
      dimension,
      parameters: field.parameters,
      sharedParameters,
      adaptive: steps.kind === "adaptive",
      keepsSlope: steps.kind === "adaptive" || traits.keepsSlope(dense),
      keepsAuxiliary: traits.keepsAuxiliary,
      atolRows: typeof given === "number" || atolOf ? 1 : dimension,
      ...savedShape(config, times, dimension, n, mesh),
      watched: event !== undefined || save.kind !== "end",
      events: event?.maximum ?? 0,
      evaluations: traits.cost(dimension),
    },
  };
}

function savedShape(
  { save, steps }: EnsembleConfig,
  times: Setup["times"],
  dimension: number,
  n: number,
  mesh: Setup["mesh"],
): Pick<EnsembleShape, "points" | "pointWords"> {
  switch (save.kind) {
    case "end":
      return { points: 0, pointWords: 0 };
    case "statistics":
      return { points: 1, pointWords: 4 * dimension + 1 };
    case "grid": {
      if (times instanceof Float32Array) return { points: times.length, pointWords: dimension };
      const offsets = new Uint32Array(n + 1);
      times!.forEach((list, j) => {
        offsets[j + 1] = offsets[j]! + list.length;
      });
      return { points: offsets, pointWords: dimension };
    }
    case "steps": {
      let points = save.capacity ?? DEFAULT_CAPACITY;
      if (save.capacity === undefined && steps.kind === "fixed") {
        points = 1;
        for (let j = 0; j < n; j++) points = Math.max(points, Math.floor(mesh(j).count / save.every));
      }
      return { points, pointWords: dimension + 1 };
    }
  }
}

/**
 * The field in WGSL; a user's is compiled on its own first, so that errors are those of its text.
 * @throws ConfigError for an unknown name, FieldError for a text that is no field.
 */
export async function resolveField(gpu: Gpu, field: EnsembleProblem["field"]): Promise<Field> {
  if (typeof field === "string") {
    expect(Object.hasOwn(FIELDS, field), "field", `must be one of ${Object.keys(FIELDS).join(", ")}`, field);
    const { dimension, parameters, defaults, source } = FIELDS[field];
    return {
      dimension,
      parameters: parameters.length,
      defaults,
      part: shaderPart(source),
      source,
      functions: ["vector_field", "vector_field_vjp", "jacobian"],
      user: undefined,
      hasEvent: false,
      autonomous: true,
    };
  }
  // A page that solves built-in fields does not load the checks of a user's.
  const { checkField } = await import("./field_source.ts");
  const user = await checkField(gpu, parse(fieldSchema, field, "field"));
  const { source, dimension, parameters, functions } = user;
  return {
    dimension,
    parameters: typeof parameters === "number" ? parameters : parameters.length,
    defaults: undefined,
    part: shaderPart(source),
    source,
    functions,
    user,
    hasEvent: functions.includes("event_value"),
    autonomous: false,
  };
}

/**
 * ∂f/∂y that an implicit method takes from a user's text is compared with differences first.
 * @throws FieldError where it is not that of the right-hand side
 */
export async function requireJacobian(gpu: Gpu, problem: EnsembleProblem, { method, field }: Setup): Promise<void> {
  if (!traitsOf(method).implicit || !field.user?.functions.includes("jacobian")) return;
  const functions = field.user.functions.filter((name) => name !== "vector_field_vjp");
  const { requireDerivatives } = await import("./check_vjp.ts");
  await requireDerivatives(gpu, { ...field.user, functions }, problem);
}

/** A field in a kernel, with the type that derivatives it brings name whether the kernel has a use for them or not. */
export function shaderPart(source: string): ShaderPart {
  return {
    source: `struct Pullback { y: State, p: Params, t: f32 } ${source}`,
    replaces: ["Pullback", "vector_field", "event_value", "vector_field_vjp", "jacobian"],
  };
}

function parametersOf(
  problem: EnsembleProblem,
  field: Field,
  n: number,
): { parameters: Float32Array; sharedParameters: boolean } {
  const count = field.parameters;
  const parameters = problem.parameters ?? Float32Array.from(field.defaults ?? []);
  // With one trajectory, or none of them, both readings are the same.
  const sharedParameters = parameters.length === count;
  expect(
    sharedParameters || parameters.length === n * count,
    "parameters",
    `must hold ${count} numbers, or ${n} × ${count}`,
    parameters.length,
  );
  return { parameters, sharedParameters };
}

/** The number of a trajectory, in float32. */
function perTrajectory(
  field: string,
  value: number | Float32Array,
  n: number,
  holds: (x: number) => boolean,
  rule: string,
): (j: number) => number {
  if (typeof value === "number") {
    const rounded = Math.fround(value);
    expect(holds(rounded), field, rule, value);
    return () => rounded;
  }
  expect(value.length === n, field, `must be one number, or one for each of ${n} trajectories`, value.length);
  const wrong = value.findIndex((x) => !holds(x));
  if (wrong >= 0) throw new ConfigError(`${field}[${wrong}]`, rule, value[wrong]);
  return (j) => value[j]!;
}

/** Steps i = 0 … count − 1 begin at t0 + i dt; the last ends at t1, which may lie up to 8 ε of the count before it. */
function meshes(config: EnsembleConfig, n: number, start: Setup["start"], end: Setup["end"]): Setup["mesh"] {
  const { steps } = config;
  if (steps.kind !== "fixed") return () => ({ dt: 0, count: 0 });
  const round = Math.fround;
  const mesh = (j: number) => {
    const span = round(end(j) - start(j));
    if (span === 0) return { dt: 0, count: 0 };
    if (steps.dt === undefined) return { dt: round(span / steps.count!), count: steps.count! };
    const dt = round(steps.dt);
    return { dt: Math.sign(span) * dt, count: Math.ceil(round(Math.abs(span) / dt) * (1 - 8 * 2 ** -23)) };
  };
  for (let j = 0; j < n; j++) {
    const { count } = mesh(j);
    expect(count <= MOST_FIXED_STEPS, "steps.dt", `must make at most ${MOST_FIXED_STEPS} steps of a span`, steps.dt);
  }
  return mesh;
}

function gridOf(
  given: Extract<EnsembleConfig["save"], { kind: "grid" }>["times"],
  n: number,
  start: Setup["start"],
  end: Setup["end"],
): NonNullable<Setup["times"]> {
  if (given instanceof Float32Array || typeof given[0] === "number" || given.length === 0) {
    const times = Float32Array.from(given as ArrayLike<number>);
    // Spans are often the same: each is looked at once.
    const seen = new Set<string>();
    for (let j = 0; j < n; j++) {
      const span = `${start(j)} ${end(j)}`;
      if (seen.has(span)) continue;
      seen.add(span);
      expectGrid("save.times", times, start(j), end(j));
    }
    return times;
  }
  expect(given.length === n, "save.times", `must be one list, or one for each of ${n} trajectories`, given.length);
  return Array.from(given as readonly ArrayLike<number>[], (list, j) => {
    const times = Float32Array.from(list);
    expectGrid(`save.times[${j}]`, times, start(j), end(j));
    return times;
  });
}

function expectGrid(field: string, times: Float32Array, t0: number, t1: number): void {
  const forward = t1 >= t0;
  for (let i = 0; i < times.length; i++) {
    const before = i === 0 ? t0 : times[i - 1]!;
    const inOrder = forward ? times[i]! >= before : times[i]! <= before;
    expect(inOrder, field, `must run from t0 = ${t0} to t1 = ${t1}`, times[i]);
  }
  const last = times.at(-1) ?? t1;
  expect(forward ? last <= t1 : last >= t1, field, `must run from t0 = ${t0} to t1 = ${t1}`, last);
}

interface Schema<T> {
  safeParse(
    value: unknown,
  ):
    | { success: true; data: T }
    | { success: false; error: { issues: readonly { path: PropertyKey[]; message: string }[] } };
}

export function parse<T>(schema: Schema<T>, value: unknown, name: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues as [{ path: PropertyKey[]; message: string }];
  const at = path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value);
  throw new ConfigError([name, ...path].filter((part) => part !== "").join("."), message, at);
}
