import { describe, expect, it } from "vitest";
import { z } from "zod";
import { chooseConfig } from "../../src/cli/choose.ts";
import { parseDescription } from "../../src/cli/run_description.ts";
import { exampleFile, experimentSchema, runSchema } from "../../src/cli/run_schema.ts";
import { flatten } from "../../src/cli/settings.ts";
import { SourceError } from "../../src/config/errors.ts";
import type { Experiment } from "../../src/experiment/experiment.ts";
import { EXPERIMENTS } from "../../src/experiment/index.ts";

const schema = z
  .strictObject({
    rate: z.number().positive().describe("η"),
    depths: z.array(z.int().min(1)).describe("L"),
    largest: z.int(),
    clip: z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("none") }),
      z.strictObject({ kind: z.literal("norm"), bound: z.number().positive() }),
    ]),
    stop: z.strictObject({ time: z.number().optional() }).optional(),
  })
  .refine(({ depths, largest }) => Math.max(...depths) <= largest, {
    path: ["largest"],
    message: "must be no less than any of depths",
  });
const base = { rate: 0.1, depths: [4, 8], largest: 8, clip: { kind: "norm" as const, bound: 2 } };
const experiment = {
  ...{ name: "made-up", title: "Made up", summary: "", schema, defaultPreset: "smoke" },
  presets: { paper: base, reduced: base, smoke: base },
} as unknown as Experiment<unknown>;

const configOf = (text: string, set: readonly string[] = []) =>
  chooseConfig(experiment, { set, description: parseDescription(text, "run.yaml") }).config;

function errorOf(text: string, set: readonly string[] = []): Error {
  try {
    configOf(text, set);
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

describe("a described configuration", () => {
  it("is the preset's where the file says nothing; objects by field, lists as a whole", () => {
    expect(configOf("config: {rate: 0.5, depths: [2], clip: {bound: 3}}")).toEqual({
      ...base,
      rate: 0.5,
      depths: [2],
      clip: { kind: "norm", bound: 3 },
    });
    expect(configOf("config:\n")).toEqual(base);
    expect(configOf("preset: paper\n")).toEqual(base);
  });

  it("of another kind has nothing of the preset's, and an object that the preset lacks begins empty", () => {
    expect(configOf("config: {clip: {kind: none}, stop: {time: 1.5}}")).toEqual({
      ...base,
      clip: { kind: "none" },
      stop: { time: 1.5 },
    });
  });

  it("gives way to settings of the command line", () => {
    expect(configOf("config: {rate: 0.5}", ["rate=0.7"])).toMatchObject({ rate: 0.7 });
    // Wrong alone, right with the setting.
    expect(configOf("config: {depths: [16]}", ["largest=16"])).toMatchObject({ depths: [16], largest: 16 });
  });

  it("may be JSON, with tabs, aliases and a schema's address", () => {
    const json = JSON.stringify({ $schema: "./run.schema.json", experiment: "x", config: { rate: 1e-3 } }, null, "\t");
    expect(configOf(json)).toEqual({ ...base, rate: 1e-3 });
    expect(configOf("config: {largest: &l 32, depths: [1, *l]}")).toMatchObject({ depths: [1, 32] });
  });
});

describe("errors in a file", () => {
  it.each([
    ["config:\n  rat: 1\n", "run.yaml:2:3: config.rat: is no key, did you mean rate?"],
    ["config:\n  clip:\n    bund: 1\n", "run.yaml:3:5: config.clip.bund: is no key, did you mean clip.bound?"],
    ["config:\n  rate: fast\n", 'run.yaml:2:9: config.rate must be a number, got "fast"'],
    ["config:\n  depths:\n    - 4\n    - 0\n", "run.yaml:4:7: config.depths.1 must be >= 1, got 0"],
    ["config:\n  depths: 4\n", "run.yaml:2:11: config.depths must be a list, got 4"],
    // A rule on several fields is shown at the nearest thing that the file has.
    ["config:\n  depths: [16]\n", "run.yaml:1:1: config.largest must be no less than any of depths, got 8"],
    ["prest: smoke\n", "run.yaml:1:1: prest: is no key; did you mean preset?"],
    ["preset: smok\n", "run.yaml:1:9: preset must be one of paper, reduced, smoke (did you mean smoke?)"],
    ["adapter: hardwar\n", "run.yaml:1:10: adapter must be one of auto, hardware,"],
    ["check: yes\n", 'run.yaml:1:8: check must be true or false, got "yes"'],
    ["config: 3\n", "run.yaml:1:9: config must be an object, got 3"],
    ["", "run.yaml:1:1: a run: must be described by keys and values"],
    ["config: {rate: 1, rate: 2}\n", "run.yaml:1:19: cannot be read: Map keys must be unique"],
    ["config: [1\n", "run.yaml:2:1: cannot be read: "],
    ["config: !!js/function x\n", "run.yaml:1:9: cannot be read: Unresolved tag"],
    ["preset: smoke\n---\npreset: paper\n", "cannot be read: Source contains multiple documents"],
    ["config: {__proto__: {rate: 1}}\n", "run.yaml:1:10: config.__proto__: is no key"],
  ])("%j", (text, message) => {
    const error = errorOf(text);
    expect(error).toBeInstanceOf(SourceError);
    expect(error.message).toContain(message);
  });

  it("show the line with a caret below what is wrong", () => {
    expect(errorOf("config:\n  rate: -12 # too small\n").message.split("\n").slice(1)).toEqual([
      "    2 |   rate: -12 # too small",
      "      |         ^^^",
    ]);
  });

  it("of a setting are not the file's", () => {
    expect(errorOf("config: {rate: 0.5}", ["rate=-1"]).message).toBe("rate must be > 0, got -1");
  });
});

describe("init", () => {
  it("of every experiment and preset describes exactly that run", () => {
    for (const known of EXPERIMENTS)
      for (const preset of Object.keys(known.presets)) {
        const text = exampleFile(known, preset, "run.yaml");
        const description = parseDescription(text, "run.yaml");
        expect(description.asked).toMatchObject({ experiment: known.name, preset });
        expect(chooseConfig(known, { set: [], description })).toEqual({
          preset,
          config: known.schema.parse(known.presets[preset]),
        });
      }
  });

  it("explains fields by the schema's words and rules", () => {
    const text = exampleFile(experiment, "smoke", "run.yaml");
    expect(text).toContain("# size of the experiment: paper, reduced, smoke\npreset: smoke\n");
    expect(text).toContain("  # η; a number > 0\n  rate: 0.1\n");
    expect(text).toContain("  # L; a list, each an integer ≥ 1\n  depths: [4, 8]\n");
  });
});

describe("the JSON Schema", () => {
  it("has every field of every preset, and asks for none of them", () => {
    for (const known of EXPERIMENTS) {
      const { properties } = experimentSchema(known) as {
        properties: Record<string, { const?: string; enum?: string[]; required?: unknown; properties: object }>;
      };
      expect(properties.experiment!.const).toBe(known.name);
      expect(properties.preset!.enum).toEqual(Object.keys(known.presets));
      expect(properties.config!.required).toBeUndefined();
      for (const preset of Object.values(known.presets))
        for (const [key] of flatten(preset)) expect(properties.config!.properties).toHaveProperty(key.split(".")[0]!);
    }
  });

  it("of all experiments depends on the name", () => {
    const all = runSchema(EXPERIMENTS) as {
      required: string[];
      allOf: { if: object; then: { properties: Record<string, object> } }[];
    };
    expect(all.required).toEqual(["experiment"]);
    expect(all.allOf.map((rule) => rule.if)).toEqual(
      EXPERIMENTS.map(({ name }) => ({ properties: { experiment: { const: name } } })),
    );
    for (const rule of all.allOf) expect(Object.keys(rule.then.properties)).toEqual(["experiment", "preset", "config"]);
  });
});
