/** Options of `deeplimit solve` → options of the solver. */
import { ConfigError } from "../config/errors.ts";
import {
  ADJOINTS,
  type EnsembleInput,
  FIXED_STEP_METHODS,
  SOLVE_CONTROLLERS,
  SOLVE_METHODS,
  type UserField,
} from "../config/ode.ts";
import type { AdapterChoice } from "../gpu/node_adapter.ts";
import { nearest } from "./nearest.ts";
import type { InputOptions } from "./solve_inputs.ts";

/** As commander gives them: texts, and only what was typed. */
export interface SolveOptions extends InputOptions {
  readonly method?: string;
  readonly rtol?: string;
  readonly atol?: string;
  readonly controller?: string;
  readonly maxSteps?: string;
  readonly dt?: string;
  readonly steps?: string;
  readonly save?: string;
  readonly event?: string;
  readonly cotangents?: string;
  readonly adjoint?: string;
  readonly out?: string;
  readonly format?: string;
  readonly force?: boolean;
  readonly adapter: AdapterChoice;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly list?: boolean;
}

export const FORMATS = ["csv", "npy"] as const;
export type Format = (typeof FORMATS)[number];

/** Ways to a gradient. */
export const GRADIENTS = ADJOINTS.filter((name) => name !== "none");

/** Default tolerances of the command line. */
export const RTOL = 1e-4;
export const ATOL = 1e-6;

/** A grid of all trajectories, or one of each. */
type TimesReader = (file: string) => Float32Array<ArrayBuffer> | Float32Array<ArrayBuffer>[];

const SAVES = ["end", "grid:FROM:TO:COUNT", "times:FILE", "steps:EVERY", "statistics"];

/** `readTimes` of a file is the caller's. @throws ConfigError naming the option, the rule and the value */
export function solverOptions(options: SolveOptions, readTimes: TimesReader): EnsembleInput {
  const method = oneOf("--method", options.method ?? "tsit5", SOLVE_METHODS);
  if (options.adjoint !== undefined && options.cotangents === undefined)
    throw new ConfigError("--adjoint", "must come with --cotangents", options.adjoint);
  const fixed = options.dt !== undefined || options.steps !== undefined;
  if (!fixed && FIXED_STEP_METHODS.includes(method))
    throw new ConfigError("--method", "must have an error estimate unless --dt or --steps is given", method);
  return {
    method,
    steps: fixed
      ? {
          kind: "fixed",
          ...(options.dt !== undefined && { dt: numberOf("--dt", options.dt, " > 0", (x) => x > 0) }),
          ...(options.steps !== undefined && { count: countOf("--steps", options.steps) }),
        }
      : {
          kind: "adaptive",
          rtol: tolerance("--rtol", options.rtol, RTOL),
          atol: tolerance("--atol", options.atol, ATOL),
          ...(options.controller !== undefined && {
            controller: oneOf("--controller", options.controller, SOLVE_CONTROLLERS),
          }),
          ...(options.maxSteps !== undefined && { maxSteps: countOf("--max-steps", options.maxSteps) }),
        },
    save: saveOf(options.save ?? "end", readTimes),
    ...(options.event !== undefined && { event: eventOf(options.event).event }),
    ...(options.cotangents !== undefined && { adjoint: oneOf("--adjoint", options.adjoint ?? "replay", GRADIENTS) }),
  };
}

function tolerance(option: string, text: string | undefined, usual: number): number {
  return text === undefined ? usual : numberOf(option, text, " >= 0", (x) => x >= 0);
}

function saveOf(text: string, readTimes: TimesReader): EnsembleInput["save"] {
  const [kind, ...rest] = text.split(":");
  const fail = () => {
    const near = nearest(
      kind!,
      SAVES.map((save) => save.split(":")[0]!),
    );
    const form = SAVES.find((save) => save.split(":")[0] === near);
    const hint = form === undefined ? "" : ` (did you mean ${form}?)`;
    return new ConfigError("--save", `must be one of ${SAVES.join(", ")}${hint}`, text);
  };
  switch (kind) {
    case "end":
    case "statistics":
      if (rest.length > 0) throw fail();
      return { kind };
    case "grid": {
      const [from, to, count] = rest;
      if (rest.length !== 3) throw fail();
      const [first, last] = [from!, to!].map((x) => numberOf("--save", x, "", Number.isFinite));
      const points = countOf("--save", count!);
      return { kind, times: gridTimes(first!, last!, points) };
    }
    case "times":
      // A path may have colons of its own.
      if (rest.join(":") === "") throw fail();
      return { kind: "grid", times: readTimes(rest.join(":")) };
    case "steps":
      if (rest.length > 1) throw fail();
      return { kind, every: rest[0] === undefined ? 1 : countOf("--save", rest[0]) };
    default:
      throw fail();
  }
}

/** `count` times from `from` to `to`, evenly, with both ends as they are. */
function gridTimes(from: number, to: number, count: number): Float32Array<ArrayBuffer> {
  if (count === 1) return Float32Array.of(to);
  return Float32Array.from({ length: count }, (_, i) =>
    i === count - 1 ? to : from + (i * (to - from)) / (count - 1),
  );
}

interface EventChoice {
  readonly event: NonNullable<EnsembleInput["event"]>;
  /** Component and value of `x=0`; undefined for the field's own event_value. */
  readonly crossing: { readonly component: string; readonly value: number } | undefined;
}

const EVENT_FORM = "COMPONENT=VALUE or event_value, then any of up, down, record, count=N, max=N, separated by commas";

/** @throws ConfigError */
export function eventOf(text: string): EventChoice {
  const fail = (rule = `must be ${EVENT_FORM}`) => new ConfigError("--event", rule, text);
  const [condition, ...words] = text.split(",").map((part) => part.trim());
  const [, component, value] = /^([^=\s]+)\s*=\s*(\S+)$/.exec(condition!) ?? [];
  if (component === undefined && condition !== "event_value") throw fail();
  const crossing = component === undefined ? undefined : { component, value: Number(value) };
  if (crossing && !Number.isFinite(crossing.value)) throw fail();
  let [direction, terminal, count, maximum]: [-1 | 0 | 1, boolean, number, number] = [0, true, 1, 0];
  for (const word of words) {
    const [key, number] = word.split("=");
    if (word === "up") direction = 1;
    else if (word === "down") direction = -1;
    else if (word === "record") terminal = false;
    else if (key === "count" && number !== undefined) count = countOf("--event", number);
    else if (key === "max" && number !== undefined) maximum = countOf("--event", number);
    else throw fail();
  }
  if (!terminal && count !== 1) throw fail("must not have both record and count");
  return { event: { terminal, direction, count, maximum: maximum || Math.max(count, terminal ? 1 : 16) }, crossing };
}

/** The field with an event_value that crosses zero where the component has the value. @throws ConfigError */
export function withEvent(field: UserField, components: readonly string[], text: string): UserField {
  const { crossing } = eventOf(text);
  const own = /\bfn\s+event_value\s*\(/.test(field.source.replace(/\/\/[^\n]*/g, ""));
  if (!crossing) {
    if (own) return field;
    throw new ConfigError("--event", `must be COMPONENT=VALUE, as ${field.name} declares no event_value`, text);
  }
  const indexed = /^y\[(\d+)\]$/.exec(crossing.component);
  const index = indexed ? Number(indexed[1]) : components.indexOf(crossing.component);
  if (index < 0 || index >= components.length)
    throw new ConfigError(
      "--event",
      `must name one of the components ${components.join(", ")} of ${field.name}, or y[0] to y[${components.length - 1}]`,
      crossing.component,
    );
  if (own) throw new ConfigError("--event", `must be event_value, as ${field.name} declares it`, text);
  const event = `fn event_value(t: f32, y: State, p: Params) -> f32 { return y[${index}] - f32(${crossing.value}); }`;
  return { ...field, source: `${field.source}\n${event}\n` };
}

/** Options of the command line by the solver's names for them. */
const OPTION_NAMES: readonly (readonly [start: string, option: string])[] = [
  ["method", "--method"],
  ["steps.rtol", "--rtol"],
  ["steps.atol", "--atol"],
  ["steps.dt", "--dt"],
  ["steps.count", "--steps"],
  ["steps.maxSteps", "--max-steps"],
  ["save.times", "times of --save"],
  ["save", "--save"],
  ["event", "--event"],
  ["adjoint", "--adjoint"],
  ["initial", "--y0"],
  ["parameters", "--params"],
  ["start", "--t0"],
  ["end", "--t1"],
];

/** The solver's complaint in terms of the command line. */
export function inOptions(error: unknown): unknown {
  if (!(error instanceof ConfigError)) return error;
  const found = OPTION_NAMES.find(([start]) =>
    new RegExp(`^${start.replace(".", "\\.")}(?![A-Za-z])`).test(error.field),
  );
  if (!found) return error;
  const row = /\[(\d+)\]$/.exec(error.field)?.[1];
  const rule = row === undefined ? error.rule : `of trajectory ${row} ${error.rule}`;
  return new ConfigError(found[1], rule, error.value);
}

/** @throws ConfigError with the nearest */
export function oneOf<T extends string>(option: string, text: string, known: readonly T[]): T {
  const found = known.find((candidate) => candidate === text);
  if (found !== undefined) return found;
  const near = nearest(text, known);
  const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
  throw new ConfigError(option, `must be one of ${known.join(", ")}${hint}`, text);
}

function numberOf(option: string, text: string, rule: string, holds: (x: number) => boolean): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || !holds(value)) throw new ConfigError(option, `must be a number${rule}`, text);
  return value;
}

function countOf(option: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1) throw new ConfigError(option, "must be an integer >= 1", text);
  return value;
}
