/** What a file that describes a run may say: as JSON Schema for editors, and as a commented example. */
import { Document, isMap, isScalar, isSeq } from "yaml";
import { z } from "zod";
import { formatNumber } from "../report/format.ts";
import { wrap } from "../report/text.ts";
import type { AnyExperiment } from "./choose.ts";
import { descriptionSchema } from "./run_description.ts";
import { type JsonSchema, jsonSchemaOf } from "./settings.ts";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";
const COMMENT_WIDTH = 96;

/** JSON Schema of a file that describes a run of one experiment. */
export function experimentSchema(experiment: AnyExperiment): JsonSchema {
  const { properties, ...rest } = baseSchema();
  return {
    $schema: DIALECT,
    title: `deeplimit run ${experiment.name}`,
    description: experiment.title,
    ...rest,
    properties: { ...properties, ...fieldsOf(experiment) },
  };
}

/** JSON Schema of any file that describes a run: which fields `config` has depends on `experiment`. */
export function runSchema(experiments: readonly AnyExperiment[]): JsonSchema {
  const { properties, ...rest } = baseSchema();
  return {
    $schema: DIALECT,
    title: "deeplimit run",
    ...rest,
    properties: { ...properties, experiment: { ...properties.experiment, enum: experiments.map(({ name }) => name) } },
    required: ["experiment"],
    allOf: experiments.map((experiment) => ({
      if: { properties: { experiment: { const: experiment.name } } },
      // biome-ignore lint/suspicious/noThenProperty: the name is JSON Schema's
      then: { properties: fieldsOf(experiment) },
    })),
  };
}

/** What every experiment shares; `$schema` of a file is for its editor. */
function baseSchema() {
  const { $schema: _, required: __, ...schema } = jsonSchemaOf(descriptionSchema);
  return schema as JsonSchema & { readonly properties: Readonly<Record<string, JsonSchema>> };
}

function fieldsOf({ name, presets, schema }: AnyExperiment): Record<string, JsonSchema> {
  const { properties } = baseSchema();
  const { $schema: _, ...config } = jsonSchemaOf(schema);
  return {
    experiment: { ...properties.experiment, const: name },
    preset: { ...properties.preset, enum: Object.keys(presets) },
    config: { ...optional(config), description: properties.config!.description },
  };
}

/** The preset has what is left out. An object in a list replaces the preset's, and must be whole. */
function optional(schema: JsonSchema): JsonSchema {
  const { required: _, ...rest } = schema;
  const entries = Object.entries(rest).map(([key, value]): [string, unknown] => {
    if (key === "properties")
      return [key, Object.fromEntries(Object.entries(value as object).map(([name, inner]) => [name, optional(inner)]))];
    return [key, ["anyOf", "oneOf", "allOf"].includes(key) ? (value as JsonSchema[]).map(optional) : value];
  });
  return Object.fromEntries(entries);
}

/** A file that describes a run at a preset, every field of its configuration written out and explained. */
export function exampleFile(experiment: AnyExperiment, preset: string, file: string): string {
  const { name, title, presets, schema } = experiment;
  const shape = descriptionSchema.shape;
  const head = [
    ...wrap(title, COMMENT_WIDTH),
    `Run it with: deeplimit run ${file}`,
    `Schema for editors: deeplimit schema ${name}`,
  ];
  const document = new Document({ experiment: name, preset, config: presets[preset] });
  document.commentBefore = comment(head);
  if (isMap(document.contents)) {
    explain(document.contents, {
      preset: {
        description: `${shape.preset.description}: ${Object.keys(presets).join(", ")}`,
      },
      config: { description: shape.config.description },
    });
    explainAll(document.get("config"), jsonSchemaOf(schema));
  }
  const options = (["adapter", "out", "data", "check"] as const)
    .filter((key) => key !== "data" || Object.hasOwn(presets[preset] as object, "data"))
    .map((key) => `# ${key}: ${EXAMPLES[key]}  # ${describe(z.toJSONSchema(shape[key]) as JsonSchema)}`);
  return `${document.toString({ lineWidth: 0, flowCollectionPadding: false })}\n# Options of the command line: take the first # away\n${options.join("\n")}\n`;
}

const EXAMPLES = { adapter: "auto", out: "runs/trial", data: "DIR", check: "true" } as const;

/** Comments above the fields of a mapping, from their schemas; lists on one line. */
function explainAll(node: unknown, schema: JsonSchema): void {
  if (!isMap(node)) return;
  const properties = (schema.properties ?? {}) as Readonly<Record<string, JsonSchema>>;
  explain(node, properties);
  for (const { key, value } of node.items) {
    if (isSeq(value)) value.flow = true;
    if (isScalar(key)) explainAll(value, properties[String(key.value)] ?? {});
  }
}

function explain(node: unknown, schemas: Readonly<Record<string, JsonSchema>>): void {
  if (!isMap(node)) return;
  for (const { key } of node.items) {
    if (!isScalar(key)) continue;
    const text = describe(schemas[String(key.value)] ?? {});
    if (text !== "") key.commentBefore = comment(wrap(text, COMMENT_WIDTH));
  }
}

function comment(lines: readonly string[]): string {
  return lines.map((line) => ` ${line}`).join("\n");
}

/** What a field means and which values it may have. */
function describe(schema: JsonSchema): string {
  const { description } = schema;
  return [...(typeof description === "string" ? [description] : []), ...ruleOf(schema)].join("; ");
}

function ruleOf(schema: JsonSchema): string[] {
  const { type, enum: values, items, minimum, exclusiveMinimum, maximum, exclusiveMaximum } = schema;
  if (Array.isArray(values)) return [`one of ${values.join(", ")}`];
  if (type === "array") {
    const [inner] = ruleOf((items ?? {}) as JsonSchema);
    return [inner === undefined ? "a list" : `a list, each ${inner}`];
  }
  const word = type === "integer" ? "an integer" : type === "number" ? "a number" : undefined;
  if (word === undefined) return [];
  const bounds = [
    ...bound("≥", minimum),
    ...bound(">", exclusiveMinimum),
    ...bound("≤", maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum),
    ...bound("<", exclusiveMaximum),
  ];
  return [[word, ...(bounds.length === 0 ? [] : [bounds.join(", ")])].join(" ")];
}

function bound(sign: string, limit: unknown): string[] {
  return typeof limit === "number" && Number.isFinite(limit) ? [`${sign} ${formatNumber(limit)}`] : [];
}
