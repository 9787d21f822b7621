/** The few choices worth measuring for a shape on a device. Pure. */
import type { DenseShape } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import type { DenseLayout } from "./dense.ts";
import { paddedWidth, type ResolvedChoice, resolveChoice, rowsTiles } from "./dense_choice.ts";
import type { DeviceProfile } from "./device_profile.ts";
import { MATMUL_VARIANTS } from "./matmul.ts";
import type { DenseChoice } from "./tuning.ts";

export const MOST_CANDIDATES = 8;
/** Below this a product a layer is less work than its dispatch. */
const LEAST_PRODUCT = 4096;
/** Rows an invocation that are tried in the rows layout, in the order of their estimates. */
const ROWS_TRIED = 4;

/**
 * The plan's own choice first, then the other layouts as the plan would make them, then the neighbours of its own.
 * A choice that the device cannot run is left out.
 */
export function denseCandidates(
  shape: DenseShape,
  profile: DeviceProfile,
  rows: number,
  training = true,
): readonly ResolvedChoice[] {
  const { tuning: _, ...untuned } = profile;
  const options = { rows, training };
  const own = resolveChoice(shape, untuned, options).choice;
  const width = paddedWidth(shape.width, profile);
  const layouts: DenseLayout[] = ["tile", "rows"];
  if (width * shape.hidden >= LEAST_PRODUCT) layouts.push("matmul");
  const wanted = [...layouts.map((layout) => ({ layout })), ...neighbours(own, width, rows, untuned)];
  const found = new Map([[JSON.stringify(own), own]]);
  for (const choice of wanted) {
    try {
      const { choice: complete } = resolveChoice(shape, untuned, { ...options, choice });
      found.set(JSON.stringify(complete), complete);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
    }
  }
  return [...found.values()].slice(0, MOST_CANDIDATES);
}

function neighbours(own: ResolvedChoice, width: number, rows: number, profile: DeviceProfile): readonly DenseChoice[] {
  if (own.layout === "matmul")
    // On a software adapter a barrier costs as much as 40 multiply-adds (SwiftShader 5.0, 2026-11).
    return profile.kind === "software" ? [] : MATMUL_VARIANTS.map((product) => ({ ...own, product }));
  if (own.layout === "rows")
    return rowsTiles(width, rows, profile)
      .slice(0, ROWS_TRIED)
      .map((tile) => ({ ...own, rows: tile }));
  const { rows: tile, workgroup, gradientRows, gradientUnits } = own;
  return [
    { layout: "tile", rows: 2 * tile },
    { ...own, workgroup: 2 * workgroup },
    { ...own, gradientUnits: Math.ceil(gradientUnits / 2) },
    ...(tile > 1 ? [{ layout: "tile", rows: tile / 2 } as const] : []),
    { ...own, gradientRows: 2 * gradientRows },
    { ...own, workgroup: workgroup / 2 },
    { layout: "tile", rows: 4 * tile },
  ];
}
