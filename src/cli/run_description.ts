/** A run described by a file: YAML, of which JSON is a part. */
import { readFile } from "node:fs/promises";
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type Scalar,
} from "yaml";
import { z } from "zod";
import { ConfigError, DataError, SourceError, type SourcePlace } from "../config/errors.ts";
import { ADAPTER_CHOICES, type AdapterChoice } from "../gpu/node_adapter.ts";
import { reasonOf } from "../report/files.ts";
import { type AnyExperiment, chooseExperiment } from "./choose.ts";
import { suggestion } from "./nearest.ts";
import { type Complaint, check, type Overrides } from "./settings.ts";

export const descriptionSchema = z.strictObject({
  $schema: z.string().optional().describe("where the JSON Schema of this file is, for editors"),
  experiment: z.string().optional().describe("name of the experiment, see `deeplimit list`"),
  preset: z.string().optional().describe("size of the experiment"),
  config: z
    .record(z.string(), z.unknown())
    .nullable()
    .optional()
    .describe("fields of the configuration; those left out are the preset's"),
  adapter: z.enum(ADAPTER_CHOICES).optional().describe("device; auto takes hardware if there is any"),
  out: z.string().min(1).optional().describe("directory of the run, from where the command is given"),
  data: z.string().optional().describe("directory of the dataset, for experiments that read one"),
  check: z.boolean().optional().describe("compare the first steps with the float64 reference"),
});

/** Options that the command line has as well. */
export interface DescribedOptions {
  readonly adapter?: AdapterChoice;
  readonly out?: string;
  readonly data?: string;
  readonly check?: boolean;
}

export interface RunDescription {
  readonly asked: z.infer<typeof descriptionSchema>;
  /** What the file says beside the configuration, under the names of the options of `deeplimit run`. */
  readonly options: DescribedOptions;
  /** What the file says of the configuration. */
  overrides(): Overrides;
  /** A complaint about the file with its place: of what is at `path`, or of the nearest value around it. */
  locate(complaint: Complaint): SourceError;
}

/** Whether a word on the command line names a file rather than an experiment. */
export function namesFile(word: string): boolean {
  return /\.(ya?ml|json)$/i.test(word);
}

/** @throws DataError when the file cannot be read; SourceError as {@link parseDescription} */
export async function readDescription(file: string): Promise<RunDescription> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new DataError(file, `cannot be read: ${reasonOf(error)}`);
  }
  return parseDescription(text, file);
}

/**
 * @param file name of the text, for errors
 * @throws SourceError for the first error: of the syntax, an unknown key, or a value that is none of those that are allowed
 */
export function parseDescription(text: string, file: string): RunDescription {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const placeOf = (from: number, to: number): SourcePlace => {
    const { line, col } = lines.linePos(from);
    const [first = ""] = text.slice(from, to).split("\n");
    return { line, column: col, length: Math.max(1, first.length) };
  };
  const wrong = document.errors[0] ?? document.warnings[0];
  if (wrong) throw new SourceError(file, `cannot be read: ${wrong.message}`, text, placeOf(...wrong.pos));

  const locate = ({ path, error, about = "value" }: Complaint): SourceError => {
    const found = rangeOf(document, path, about);
    // The error knows the field within the configuration.
    const prefix = path[0] === "config" && path.length > 1 ? "config." : "";
    return new SourceError(file, `${prefix}${error.message}`, text, placeOf(...(found ?? [0, 1])));
  };
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    throw new SourceError(file, `cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  const given =
    mapping(value) ??
    fail(
      locate({
        path: [],
        error: new ConfigError("a run", "must be described by keys and values, e.g. `experiment: NAME`"),
      }),
    );
  const known = Object.keys(descriptionSchema.shape);
  for (const key of Object.keys(given))
    if (!known.includes(key)) {
      const error = new ConfigError(key, `is no key${suggestion(key, known)} (keys: ${known.join(", ")})`);
      throw locate({ path: [key], error, about: "key" });
    }
  const checked = check(descriptionSchema, given);
  if ("complaint" in checked) throw locate(checked.complaint);
  const asked = checked.value;
  const { adapter, out, data, check: compare } = asked;
  return {
    asked,
    options: {
      ...(adapter !== undefined && { adapter }),
      ...(out !== undefined && { out }),
      ...(data !== undefined && { data }),
      ...(compare !== undefined && { check: compare }),
    },
    overrides: () => ({
      // As it was written: zod leaves out a key __proto__, which is as wrong as any other.
      config: mapping(given.config) ?? {},
      locate: (complaint) => locate({ ...complaint, path: ["config", ...complaint.path] }),
    }),
    locate,
  };
}

/**
 * The experiment that is meant, and the file that describes its run if there is one.
 * @param word name of an experiment or of a file
 * @param file beside the name of an experiment
 * @throws ConfigError or SourceError with the nearest name; DataError and SourceError as {@link readDescription}
 */
export async function chooseRun(
  experiments: readonly AnyExperiment[],
  word: string,
  file?: string,
): Promise<{ readonly experiment: AnyExperiment; readonly description?: RunDescription }> {
  if (file === undefined && !namesFile(word)) return { experiment: chooseExperiment(experiments, word) };
  if (file !== undefined && namesFile(word))
    throw new ConfigError("--config", `must not be given beside a file, ${word}`, file);
  const description = await readDescription(file ?? word);
  const { experiment = file === undefined ? undefined : word } = description.asked;
  try {
    if (experiment === undefined) throw new ConfigError("experiment", "must be given");
    if (file !== undefined && experiment !== word)
      throw new ConfigError("experiment", `must be ${word}, as on the command line`, experiment);
    return { experiment: chooseExperiment(experiments, experiment), description };
  } catch (error) {
    const { asked, locate } = description;
    const ofFile = error instanceof ConfigError && (file === undefined || asked.experiment !== undefined);
    throw ofFile ? locate({ path: ["experiment"], error }) : error;
  }
}

/** Offsets of what is at a path, or of the nearest thing around it that the file has. */
function rangeOf(
  document: Document.Parsed,
  path: readonly PropertyKey[],
  about: "key" | "value",
): [from: number, to: number] | undefined {
  let found: [number, number] | undefined;
  let node: unknown = document.contents;
  for (const [i, name] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(name));
      if (pair === undefined) break;
      const { key, value } = pair as Pair<Scalar, Node | null>;
      // Of what takes several lines, or nothing at all, the key is shown.
      const plain = isScalar(value) && value.source !== "" && !(about === "key" && i === path.length - 1);
      found = offsets(plain ? value : key);
      node = value;
    } else if (isSeq(node)) {
      node = node.items[Number(name)];
      if (!isNode(node)) break;
      found = offsets(node);
    } else break;
  }
  return found;
}

function offsets({ range }: Node): [number, number] | undefined {
  return range ? [range[0], range[1]] : undefined;
}

function mapping(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function fail(error: Error): never {
  throw error;
}
