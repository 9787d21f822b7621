/** `--set key=value` on a preset's configuration, and zod's complaints as one line. */
import { z } from "zod";
import { ConfigError, show } from "../config/errors.ts";
import { nearest } from "./nearest.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

/** What a file says of a configuration. */
export interface Overrides {
  /** Fields that differ from the preset's: objects field by field, lists and other values as a whole. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The complaint with its place in the file. */
  locate(complaint: Complaint): Error;
}

export interface Complaint {
  readonly path: readonly PropertyKey[];
  readonly error: ConfigError;
  /** What is wrong with the field at `path`: its value (default), or that there is such a field. */
  readonly about?: "key" | "value";
}

/**
 * A copy of `base` with the overrides of a file, then every setting applied, checked by the schema as a whole (fields may depend on each other).
 * A setting's value is JSON if it parses as such, otherwise text; `depths=16,64` fills a list.
 * @throws ConfigError naming the key, the rule and the value, or what `overrides.locate` makes of it
 */
export function applySettings<C>(schema: z.ZodType<C>, base: C, settings: readonly string[], overrides?: Overrides): C {
  const config = structuredClone(base);
  const json = jsonSchemaOf(schema);
  if (overrides) override(config, [json], overrides.config, [], { root: json, locate: overrides.locate });
  for (const setting of settings) setOne(config, json, setting);
  const checked = check(schema, config);
  if ("value" in checked) return checked.value;
  const { path, error } = checked.complaint;
  // A setting may have changed what the file says; a rule on several fields names one that the file may not have.
  const said = valueAt(overrides?.config, path);
  const fromFile = settings.length === 0 || (said !== undefined && said === valueAt(config, path));
  throw overrides && fromFile ? overrides.locate(checked.complaint) : error;
}

/** The JSON Schema of what may be written. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema;
}

/** @throws ConfigError for the first field that breaks a rule */
export function validate<C>(schema: z.ZodType<C>, config: unknown): C {
  const checked = check(schema, config);
  if ("value" in checked) return checked.value;
  throw checked.complaint.error;
}

/** What the schema makes of a configuration, or the first rule that it breaks. */
export function check<C>(schema: z.ZodType<C>, config: unknown): { value: C } | { complaint: Complaint } {
  const parsed = schema.safeParse(config);
  if (parsed.success) return { value: parsed.data };
  const issue = parsed.error.issues[0]!;
  const { path } = issue;
  const error = issueError(issue, valueAt(config, path));
  return {
    complaint:
      issue.code === "unrecognized_keys" ? { path: [...path, issue.keys[0]!], error, about: "key" } : { path, error },
  };
}

/** Dotted key and value of every leaf of a configuration; lists are leaves. */
export function flatten(config: unknown, prefix = ""): [key: string, value: unknown][] {
  if (!isRecord(config)) return [[prefix, config]];
  return Object.entries(config).flatMap(([key, value]) => flatten(value, prefix === "" ? key : `${prefix}.${key}`));
}

/** Writes the fields of `given` over those of `target`, an object of one of `schemas`. */
function override(
  target: unknown,
  schemas: readonly JsonSchema[],
  given: Readonly<Record<string, unknown>>,
  path: readonly string[],
  file: Pick<Overrides, "locate"> & { readonly root: JsonSchema },
): void {
  if (!isRecord(target)) return;
  const fields = fieldMap(schemas);
  const known = [...new Set([...fields.keys(), ...Object.keys(target)])];
  for (const [name, value] of Object.entries(given)) {
    const here = [...path, name];
    if (!known.includes(name))
      throw file.locate({
        ...{ path: here, about: "key" },
        error: unknownKey(here, path.length, known, keysOf([file.root], undefined)),
      });
    const old = target[name];
    const inner = fields.get(name) ?? [];
    if (!isRecord(value) || fieldMap(inner).size === 0) {
      target[name] = value;
      continue;
    }
    // Another kind of thing has nothing of the preset's.
    const other = "kind" in value && isRecord(old) && old.kind !== value.kind;
    if (!isRecord(old) || other) target[name] = {};
    override(target[name], inner, value, here, file);
  }
}

function valueAt(config: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined,
    config,
  );
}

function setOne(config: unknown, root: JsonSchema, setting: string): void {
  const equals = setting.indexOf("=");
  if (equals < 1) throw new ConfigError("--set", "must be key=value", setting);
  const path = setting.slice(0, equals).split(".");
  let target = config;
  let schemas: readonly JsonSchema[] = [root];
  for (const [depth, name] of path.entries()) {
    const fields = fieldMap(schemas);
    // The preset has a field that the schema does not describe only where the schema is opaque.
    const known = [...new Set([...fields.keys(), ...(isRecord(target) ? Object.keys(target) : [])])];
    if (!isRecord(target) || !known.includes(name)) throw unknownKey(path, depth, known, keysOf([root], config));
    schemas = fields.get(name) ?? [];
    if (depth === path.length - 1) {
      target[name] = parseValue(setting.slice(equals + 1), schemas, target[name]);
      return;
    }
    // An optional object that the preset leaves out begins empty.
    if (target[name] === undefined && fieldMap(schemas).size > 0) target[name] = {};
    target = target[name];
  }
}

/** Suggests among the fields at the place of the error, then a field of that name elsewhere. */
function unknownKey(
  path: readonly string[],
  depth: number,
  known: readonly string[],
  all: readonly string[],
): ConfigError {
  const key = path.join(".");
  const parent = path.slice(0, depth);
  const full = known.map((name) => [...parent, name].join("."));
  const near =
    nearest([...parent, path[depth]!].join("."), full) ??
    all.find((candidate) => candidate.split(".").at(-1) === path.at(-1)) ??
    nearest(key, all);
  return new ConfigError(
    key,
    `is no key${near === undefined ? "" : `, did you mean ${near}?`} (keys: ${all.join(", ")})`,
  );
}

/** Dotted keys of every leaf that the schema or the configuration has. */
function keysOf(schemas: readonly JsonSchema[], config: unknown): string[] {
  const fields = fieldMap(schemas);
  const names = [...new Set([...fields.keys(), ...(isRecord(config) ? Object.keys(config) : [])])];
  return names.flatMap((name) => {
    const inner = keysOf(fields.get(name) ?? [], isRecord(config) ? config[name] : undefined);
    return inner.length === 0 ? [name] : inner.map((key) => `${name}.${key}`);
  });
}

function parseValue(text: string, schemas: readonly JsonSchema[], old: unknown): unknown {
  const types = schemas.flatMap((schema) => typesOf(schema));
  const isText = types.length > 0 && types.every((type) => type === "string");
  if (isText && !text.startsWith('"')) return text;
  const value = jsonOr(text);
  const wantsList = Array.isArray(old) || (types.length > 0 && types.every((type) => type === "array"));
  if (!wantsList || Array.isArray(value) || value === null) return value;
  return text === "" ? [] : text.split(",").map((part) => jsonOr(part.trim()));
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Alternatives of a union count as one object with the fields of all. */
function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  const inner = [schema.anyOf, schema.oneOf, schema.allOf].filter(Array.isArray).flat() as JsonSchema[];
  return [schema, ...inner.flatMap(alternatives)];
}

function fieldsOf(schema: JsonSchema): [string, JsonSchema][] {
  return alternatives(schema).flatMap((alternative) =>
    isRecord(alternative.properties) ? (Object.entries(alternative.properties) as [string, JsonSchema][]) : [],
  );
}

/** Every field of the schemas, with all schemas it may have. */
function fieldMap(schemas: readonly JsonSchema[]): Map<string, JsonSchema[]> {
  const fields = new Map<string, JsonSchema[]>();
  for (const [name, schema] of schemas.flatMap(fieldsOf)) {
    const found = fields.get(name);
    if (found) found.push(schema);
    else fields.set(name, [schema]);
  }
  return fields;
}

function typesOf(schema: JsonSchema): string[] {
  return alternatives(schema).flatMap(({ type }) => (typeof type === "string" ? [type] : []));
}

function issueError(issue: z.core.$ZodIssue, value: unknown): ConfigError {
  const field = issue.path.map(String).join(".") || "config";
  const given = (rule: string) =>
    value === undefined ? new ConfigError(field, `${rule}, but is not given`) : new ConfigError(field, rule, value);
  switch (issue.code) {
    case "invalid_type":
      return given(`must be ${TYPE_NAMES[issue.expected] ?? issue.expected}`);
    case "too_small":
      return given(bound(issue.origin, issue.inclusive === false ? ">" : ">=", "at least", issue.minimum));
    case "too_big":
      return given(bound(issue.origin, issue.inclusive === false ? "<" : "<=", "at most", issue.maximum));
    case "not_multiple_of":
      return given(`must be a multiple of ${issue.divisor}`);
    case "invalid_value": {
      const near = typeof value === "string" ? nearest(value, issue.values.map(String)) : undefined;
      const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
      const rule =
        issue.values.length === 1
          ? `must be ${String(issue.values[0])}`
          : `must be one of ${issue.values.map(String).join(", ")}`;
      return given(rule + hint);
    }
    case "invalid_union": {
      const options = (issue as { options?: readonly unknown[] }).options;
      return given(
        options ? `must be one of ${options.map(String).join(", ")}` : "matches none of the forms it may have",
      );
    }
    case "unrecognized_keys": {
      const inner = [...issue.path.map(String), issue.keys[0]!].join(".");
      const context = isRecord(value) && "kind" in value ? ` with kind ${show(value.kind)}` : "";
      return new ConfigError(inner, `is no field here${context}`);
    }
    default:
      return issue.path.length === 0 ? new ConfigError(field, issue.message) : given(issue.message);
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  int: "an integer",
  number: "a number",
  string: "text",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
  null: "null",
};

function bound(origin: string, sign: string, words: string, limit: number | bigint): string {
  if (origin === "array" || origin === "set")
    return `must have ${words} ${limit} ${Number(limit) === 1 ? "entry" : "entries"}`;
  if (origin === "string") return `must have ${words} ${limit} characters`;
  return `must be ${sign} ${limit}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
