/** Which layout a dense pass takes, and how large its tiles are: what was asked, else what was measured, else a heuristic. Pure. */
import type { DenseShape } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import type { DenseLayout } from "./dense.ts";
import type { DeviceProfile } from "./device_profile.ts";
import { offersMatmul } from "./matmul.ts";
import { ceilTo, powerOfTwo } from "./rounding.ts";
import { choiceText, type DenseChoice, findTuned, shapeClass } from "./tuning.ts";

/** The rows layout keeps coordinates in quads of chunks of four. */
const ROWS_WIDTH = 16;
const MAX_REGISTER_CHUNKS = 28; // ROWS · WIDTH/4 vec4 a lane; more costs seconds of compilation (SwiftShader, 2026-11)

interface Sizes {
  readonly rows: number;
  readonly replicas: number;
}

type Of<L extends DenseLayout> = Extract<DenseChoice, { layout: L }>;
/** A choice without gaps. */
export type ResolvedChoice = Required<Of<"rows">> | Required<Of<"tile">> | Of<"matmul">;

/** What `resolveChoice` looks at of a pass's options. */
export interface ChoiceOptions {
  readonly rows: number;
  readonly replicas?: number;
  readonly training: boolean;
  readonly layout?: DenseLayout;
  readonly choice?: DenseChoice;
}

/**
 * @returns the choice, and a note when it is a measured one or a measured one does not fit
 * @throws ConfigError when what was asked does not fit the shape or the device
 */
export function resolveChoice(
  shape: DenseShape,
  profile: DeviceProfile,
  { rows, replicas = 1, training, layout, choice }: ChoiceOptions,
): { readonly choice: ResolvedChoice; readonly note?: string } {
  const sizes = { rows, replicas };
  const asked = choice ?? (layout && { layout });
  if (asked) return { choice: complete(asked, shape, profile, sizes) };
  // What was tuned for one stack fills the device with one: replicas share it out differently.
  const tuned =
    replicas === 1
      ? findTuned(profile.tuning, shapeClass(paddedWidth(shape.width, profile), shape.hidden, rows, training))
      : undefined;
  const planned = () => complete({ layout: chooseLayout(shape, profile, rows) }, shape, profile, sizes);
  if (!tuned) return { choice: planned() };
  const text = choiceText(tuned.choice);
  try {
    const instead = tuned.plannedMilliseconds === null ? "" : ` instead of ${tuned.plannedMilliseconds}`;
    const note = `tuned choice: ${text} (${tuned.milliseconds} ms a step at depth ${tuned.depth}${instead}, ${tuned.date})`;
    return { choice: complete(tuned.choice, shape, profile, sizes), note };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { choice: planned(), note: `the tuned choice is left out (${text}): ${error.message}` };
  }
}

/** Floats that hold one row of q coordinates: q rounded up to 16 where the rows layout is used, else to 4. */
export function paddedWidth(width: number, profile: DeviceProfile): number {
  const quads = ceilTo(width, ROWS_WIDTH);
  return usesRows(profile) && quads / 4 <= MAX_REGISTER_CHUNKS ? quads : ceilTo(width, 4);
}

function usesRows(profile: DeviceProfile): boolean {
  return profile.kind === "software" && profile.subgroups;
}

function chooseLayout(shape: DenseShape, profile: DeviceProfile, rows: number): DenseLayout {
  const width = paddedWidth(shape.width, profile);
  if (usesRows(profile) && width / 4 <= MAX_REGISTER_CHUNKS) return "rows";
  const fits = 4 * (2 * width + Math.max(2, shape.hidden)) <= profile.maxWorkgroupStorageBytes;
  const work = width * shape.hidden;
  // On a software adapter barriers cost more than a dispatch a product. A step without subgroups at q = 16, m = 32, n = 100,
  // L = 64: by tiles 229 ms, by products 46 (SwiftShader 5.0), 53 and 39 (lavapipe 25.0.7); at q = 4, m = 8, n = 12:
  // 8.7 and 19.5, 1.2 and 23 (2026-11-23). On hardware a layer's weights deserve more reuse than one workgroup's rows
  // give from 128 × 128 on.
  const tiled = profile.kind === "software" ? rows * work < 8192 : work < 16_384 || rows < 64;
  return fits && tiled ? "tile" : "matmul";
}

/** Fills the gaps of a choice and checks it against the device. */
function complete(choice: DenseChoice, shape: DenseShape, profile: DeviceProfile, sizes: Sizes): ResolvedChoice {
  const width = paddedWidth(shape.width, profile);
  if (choice.layout === "rows") return completeRows(choice, width, profile, sizes);
  if (choice.layout === "tile") return completeTile(choice, width, shape.hidden, profile, sizes);
  if (choice.product !== undefined && !offersMatmul(choice.product, profile))
    throw new ConfigError("choice", `the product ${choice.product} exceeds the device's workgroups`);
  return choice;
}

function completeRows(choice: Of<"rows">, width: number, profile: DeviceProfile, sizes: Sizes): Required<Of<"rows">> {
  if (!profile.subgroups || width % ROWS_WIDTH !== 0 || width / 4 > MAX_REGISTER_CHUNKS)
    throw new ConfigError(
      "layout",
      `rows needs subgroups and a width padded to ${ROWS_WIDTH} of at most ${4 * MAX_REGISTER_CHUNKS}`,
    );
  const workgroup = choice.workgroup ?? rowsWorkgroup(profile);
  if (![4, 8, 16].includes(workgroup) || workgroup > profile.subgroupSize)
    throw new ConfigError(
      "choice.workgroup",
      `must be 4, 8 or 16 within a subgroup (${profile.subgroupSize})`,
      workgroup,
    );
  const tile = choice.rows ?? rowsTiles(width, sizes.rows, profile, sizes.replicas)[0]!;
  if (tile > mostRows(width))
    throw new ConfigError("choice.rows", `must be at most ${mostRows(width)} at width ${width}`, tile);
  return { layout: "rows", rows: tile, workgroup };
}

/** Invocations of a workgroup in the rows layout: a subgroup, so that every lane of the processor's vectors has a row. */
function rowsWorkgroup(profile: DeviceProfile): number {
  return Math.min(16, Math.max(4, profile.subgroupSize));
}

function mostRows(width: number): number {
  return Math.min(7, Math.floor(MAX_REGISTER_CHUNKS / (width / 4)));
}

/** Rows an invocation, from the least (waves of workgroups) × (cost shared by a quad + cost of its rows). */
export function rowsTiles(width: number, rows: number, profile: DeviceProfile, replicas = 1): number[] {
  // Nanoseconds of a hidden unit in a whole step, measured at WIDTH 16 on SwiftShader 5.0 (2026-11-23).
  const shared = 70 * width;
  const perRow = 16 * width;
  const cost = (tile: number) => {
    const waves = Math.ceil((replicas * Math.ceil(rows / (rowsWorkgroup(profile) * tile))) / profile.parallelGroups);
    return waves * (shared + tile * perRow);
  };
  return Array.from({ length: mostRows(width) }, (_, i) => i + 1).sort((a, b) => cost(a) - cost(b) || a - b);
}

function completeTile(
  choice: Of<"tile">,
  width: number,
  hidden: number,
  profile: DeviceProfile,
  { rows, replicas }: Sizes,
): Required<Of<"tile">> {
  const floats = Math.floor(profile.maxWorkgroupStorageBytes / 4);
  const sweepFloats = (tile: number) => tile * (2 * width + hidden);
  let tile = choice.rows ?? 1;
  if (choice.rows === undefined)
    while (
      tile < 16 &&
      2 * tile * profile.parallelGroups <= replicas * rows &&
      tile < rows &&
      sweepFloats(2 * tile) <= floats
    )
      tile *= 2;
  const workgroup =
    choice.workgroup ?? Math.min(profile.maxInvocations, Math.max(32, powerOfTwo(tile * Math.max(hidden, width / 4))));
  const gradientUnits =
    choice.gradientUnits ??
    Math.max(1, Math.min(hidden, 64, Math.floor((8 * workgroup) / (width / 4)), Math.floor(floats / 2) - width));
  const gradientFloats = (rowsAtOnce: number) => rowsAtOnce * (2 * width + 2 * gradientUnits);
  let gradientRows = choice.gradientRows ?? 8;
  if (choice.gradientRows === undefined)
    while (gradientRows > 1 && gradientFloats(gradientRows) > floats) gradientRows /= 2;
  if (Math.max(tile, gradientRows) % Math.min(tile, gradientRows) !== 0)
    throw new ConfigError("choice.gradientRows", `must divide rows (${tile}) or be a multiple of it`, gradientRows);
  if (sweepFloats(tile) > floats || gradientFloats(gradientRows) > floats || workgroup > profile.maxInvocations)
    throw new ConfigError(
      "layout",
      `tile at width ${width} and hidden ${hidden} needs more than the device's ${profile.maxWorkgroupStorageBytes} bytes of workgroup memory or ${profile.maxInvocations} invocations`,
    );
  return { layout: "tile", rows: tile, workgroup, gradientRows, gradientUnits };
}
