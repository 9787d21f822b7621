/** The file in which `deeplimit tune` keeps what it measured. Node only. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { MATMUL_VARIANTS } from "../plan/matmul.ts";
import type { Tuning } from "../plan/tuning.ts";
import type { Gpu } from "./device.ts";

const count = z.int().min(1);
const choiceSchema = z.discriminatedUnion("layout", [
  z.object({ layout: z.literal("rows"), rows: count.optional(), workgroup: count.optional() }),
  z.object({
    layout: z.literal("tile"),
    rows: count.optional(),
    workgroup: count.optional(),
    gradientRows: count.optional(),
    gradientUnits: count.optional(),
  }),
  z.object({ layout: z.literal("matmul"), product: z.enum(MATMUL_VARIANTS).optional() }),
]);
export const tuningSchema = z.array(
  z.object({
    width: count,
    hidden: count,
    rows: count,
    training: z.boolean(),
    choice: choiceSchema,
    milliseconds: z.number().positive(),
    plannedMilliseconds: z.number().positive().nullable(),
    depth: count,
    date: z.string(),
  }),
) as z.ZodType<Tuning>;

/** What a measured choice holds for: the adapter with its driver (in the description), what plans know of it, and this version. */
const identitySchema = z.object({
  vendor: z.string(),
  architecture: z.string(),
  device: z.string(),
  description: z.string(),
  subgroups: z.boolean(),
  parallelGroups: count,
  deeplimit: z.string(),
});
export type DeviceIdentity = z.infer<typeof identitySchema>;

const fileSchema = z.object({ devices: z.array(z.object({ identity: identitySchema, tuning: tuningSchema })) });
export type TuningFile = z.infer<typeof fileSchema>;

/** `deeplimit/tuning.json` in $XDG_CACHE_HOME, else in ~/.cache. */
export function tuningPath(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "deeplimit", "tuning.json");
}

export function deviceIdentity({ facts, profile }: Gpu): DeviceIdentity {
  const { vendor, architecture, device, description } = facts;
  const { subgroups, parallelGroups } = profile;
  const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };
  return { vendor, architecture, device, description, subgroups, parallelGroups, deeplimit: version };
}

/** The file, empty where there is none; `problem`: one line that says why what is there is ignored. */
export function readTuning(path: string): { readonly file: TuningFile; readonly problem?: string } {
  const empty: TuningFile = { devices: [] };
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return { file: empty };
    return { file: empty, problem: `${path} cannot be read (${code}) and is ignored` };
  }
  try {
    return { file: fileSchema.parse(JSON.parse(text)) };
  } catch {
    return {
      file: empty,
      problem: `${path} is not a file of deeplimit tune and is ignored; deeplimit tune writes it anew`,
    };
  }
}

export function tuningOf({ devices }: TuningFile, identity: DeviceIdentity): Tuning {
  return devices.find((entry) => sameDevice(entry.identity, identity))?.tuning ?? [];
}

/** The file with `tuning` as the device's; a device without choices is left out. */
export function withDevice({ devices }: TuningFile, identity: DeviceIdentity, tuning: Tuning): TuningFile {
  const others = devices.filter((entry) => !sameDevice(entry.identity, identity));
  return { devices: tuning.length > 0 ? [...others, { identity, tuning }] : others };
}

function sameDevice(a: DeviceIdentity, b: DeviceIdentity): boolean {
  return Object.keys(identitySchema.shape).every(
    (key) => a[key as keyof DeviceIdentity] === b[key as keyof DeviceIdentity],
  );
}
