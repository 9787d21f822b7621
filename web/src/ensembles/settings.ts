/** What the ensembles tab solves, as inputs and links have it. */
import { FieldError, type SourcePlace } from "../../../src/config/errors.ts";
import { FIXED_STEP_METHODS, SOLVE_METHODS, type SolveMethod } from "../../../src/config/ode.ts";
import { fieldHeader } from "../../../src/ode/field_source.ts";
import { EXAMPLES, type Example } from "./examples.ts";
import type { EnsembleChoice, Range } from "./protocol.ts";

/** Name of the field in errors. */
export const FIELD_NAME = "field";
export const MOST_TRAJECTORIES = 1_000_000;

/** Values by key: those of DEFAULTS, and `y.NAME.from`, `y.NAME.to` of a component, `p.NAME.from`, `p.NAME.to` of a parameter. */
export type Values = Readonly<Record<string, string>>;

/** All that is chosen. */
export interface EnsembleText {
  /** Id of the example that the rest began with. */
  readonly example: string;
  readonly source: string;
  readonly values: Values;
}

const DEFAULTS: Values = {
  n: "100000",
  method: "tsit5",
  tolerance: "1e-5",
  steps: "4",
  interval: "",
  end: "",
  seed: "0",
  x: "",
  y: "",
  trail: "0.8",
};

/** What the head of a text says it has. */
export type Outline =
  | {
      readonly components: readonly string[];
      readonly parameters: readonly { readonly name: string; readonly value: number }[];
    }
  | { readonly message: string; readonly place: SourcePlace | undefined };

export function outlineOf(source: string): Outline {
  try {
    const { components, parameters } = fieldHeader(source, FIELD_NAME);
    if (!components)
      return {
        message: "the head must name the components, as in: // components: x, y",
        place: { line: 1, column: 1, length: (source.split("\n")[0] ?? "").length },
      };
    return { components, parameters: (parameters ?? []).map(({ name, value = 1 }) => ({ name, value })) };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return { message: error.rule, place: error.place };
  }
}

export function exampleOf(id: string): Example | undefined {
  return EXAMPLES.find((example) => example.id === id);
}

/** An example as it stands. */
export function textOfExample(example: Example): EnsembleText {
  const { id, source, interval, end } = example;
  return withNames({
    example: id,
    source,
    values: { ...DEFAULTS, interval: String(interval), end: String(end) },
  });
}

/** Adds values for the names of the text that have none yet; those of names that are gone are dropped. */
export function withNames({ example, source, values }: EnsembleText): EnsembleText {
  const outline = outlineOf(source);
  if ("message" in outline) return { example, source, values };
  const from = exampleOf(example);
  const given: Record<string, string> = {};
  for (const key of Object.keys(DEFAULTS)) given[key] = values[key] ?? DEFAULTS[key]!;
  const put = (key: string, [low, high]: Range) => {
    given[`${key}.from`] = values[`${key}.from`] ?? String(low);
    given[`${key}.to`] = values[`${key}.to`] ?? String(high);
  };
  outline.components.forEach((name, i) => {
    put(`y.${name}`, from?.initial[i] ?? [-1, 1]);
  });
  for (const { name, value } of outline.parameters) put(`p.${name}`, from?.parameters[name] ?? [value, value]);
  const { components } = outline;
  for (const [i, axis] of (["x", "y"] as const).entries())
    if (!components.includes(given[axis]!))
      given[axis] = components[Math.min(from?.axes[i] ?? i, components.length - 1)]!;
  return { example, source, values: given };
}

export type Problems = Readonly<Record<string, string>>;

/** The ensemble that the choices mean, or what is wrong with them, by key. */
export function choiceOf({
  source,
  values,
}: EnsembleText): { readonly choice: EnsembleChoice } | { readonly problems: Problems } {
  const outline = outlineOf(source);
  if ("message" in outline) return { problems: { source: outline.message } };
  const problems: Record<string, string> = {};
  const number = (key: string, holds: (value: number) => boolean, rule: string): number => {
    const text = values[key]?.trim();
    const value = text ? Number(text) : Number.NaN;
    if (!holds(value)) problems[key] = rule;
    return value;
  };
  const whole = (low: number, high: number) => (value: number) =>
    Number.isInteger(value) && value >= low && value <= high;
  const range = (key: string): Range => [
    number(`${key}.from`, Number.isFinite, "must be a number"),
    number(`${key}.to`, Number.isFinite, "must be a number"),
  ];
  const method = values.method as SolveMethod;
  if (!SOLVE_METHODS.includes(method)) problems.method = `must be one of ${SOLVE_METHODS.join(", ")}`;
  const positive = (value: number) => value > 0 && value < Number.POSITIVE_INFINITY;
  const fixed = isFixed(method);
  const choice: EnsembleChoice = {
    source,
    components: outline.components,
    parameters: outline.parameters.map(({ name }) => name),
    initialRanges: outline.components.map((name) => range(`y.${name}`)),
    parameterRanges: outline.parameters.map(({ name }) => range(`p.${name}`)),
    trajectories: number("n", whole(1, MOST_TRAJECTORIES), `must be a whole number from 1 to ${MOST_TRAJECTORIES}`),
    method,
    tolerance: fixed ? 1e-5 : number("tolerance", (value) => value >= 1e-8 && value <= 1, "must be from 1e-8 to 1"),
    stepsPerPicture: fixed ? number("steps", whole(1, 1000), "must be a whole number from 1 to 1000") : 1,
    interval: number("interval", positive, "must be above 0"),
    end: number("end", positive, "must be above 0"),
    seed: number("seed", whole(0, Number.MAX_SAFE_INTEGER), "must be a whole number, 0 or more"),
  };
  number("trail", (value) => value >= 0 && value < 1, "must be from 0 to below 1");
  return Object.keys(problems).length > 0 ? { problems } : { choice };
}

export function isFixed(method: string): boolean {
  return (FIXED_STEP_METHODS as readonly string[]).includes(method);
}

/** `example=lorenz&n=100000…`, with the text where it is not the example's. */
export function linkOf({ example, source, values }: EnsembleText): URLSearchParams {
  const query = new URLSearchParams({ example });
  if (source !== exampleOf(example)?.source) query.set("text", encodeText(source));
  for (const [key, value] of Object.entries(values)) query.set(key, value);
  return query;
}

/** The choices of a link; what it leaves out is the example's, and what is not known is named. */
export function textOfLink(query: URLSearchParams): {
  readonly text: EnsembleText;
  readonly unknown: readonly string[];
} {
  const unknown: string[] = [];
  const example = exampleOf(query.get("example") ?? EXAMPLES[0]!.id);
  if (!example) unknown.push(`example=${query.get("example")}`);
  const start = textOfExample(example ?? EXAMPLES[0]!);
  const encoded = query.get("text");
  const source = encoded === null ? start.source : decodeText(encoded);
  if (source === undefined) unknown.push("text");
  const values: Record<string, string> = { ...start.values };
  const names = new Set<string>();
  const outline = outlineOf(source ?? start.source);
  if (!("message" in outline)) {
    for (const name of outline.components) names.add(`y.${name}.from`).add(`y.${name}.to`);
    for (const { name } of outline.parameters) names.add(`p.${name}.from`).add(`p.${name}.to`);
  }
  for (const [key, value] of query) {
    if (key === "example" || key === "text") continue;
    // Ranges of a text whose head is wrong wait until it is mended.
    if (key in DEFAULTS || names.has(key) || ("message" in outline && /^[yp]\./.test(key))) values[key] = value;
    else unknown.push(key);
  }
  return { text: withNames({ example: start.example, source: source ?? start.source, values }), unknown };
}

/** UTF-8 in base64url. */
function encodeText(text: string): string {
  const bytes = Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte));
  return btoa(bytes.join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function decodeText(text: string): string | undefined {
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
