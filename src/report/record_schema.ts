/** The shape of record.json, checked when a record comes back from disk. */
import { z } from "zod";

const cell = z.union([z.number(), z.string(), z.boolean(), z.null()]);
const fileStem = z.string().regex(/^[a-z0-9][a-z0-9-]*$/, "must be kebab-case");
const axis = z.object({
  field: z.string(),
  label: z.string(),
  scale: z.enum(["linear", "log", "log2", "symlog", "ordinal"]).optional(),
});

const table = z.object({
  name: fileStem,
  description: z.string(),
  columns: z.array(z.object({ name: z.string(), unit: z.string().optional(), description: z.string() })),
  rows: z.array(z.record(z.string(), cell)),
});

const roofLine = z.object({ value: z.number(), label: z.string() });

const figure = z.object({
  name: fileStem,
  title: z.string(),
  caption: z.string(),
  table: fileStem,
  kind: z.enum(["line", "point", "box", "heatmap"]),
  x: axis,
  y: axis,
  color: axis.extend({ sequential: z.boolean().optional() }).optional(),
  dash: axis.optional(),
  columnFacet: axis.optional(),
  rowFacet: axis.optional(),
  interval: z.tuple([z.string(), z.string()]).optional(),
  guides: z.array(z.object({ slope: z.number(), label: z.string() })).optional(),
  roof: z.object({ rising: z.array(roofLine), level: z.array(roofLine) }).optional(),
  pointLabel: z.string().optional(),
  where: z.record(z.string(), cell).optional(),
});

// JSON has no infinity: an end of an interval that is not a finite number was written as null.
const intervalEnd = (open: number) =>
  z
    .number()
    .nullable()
    .transform((end) => end ?? open);

const claim = z.object({
  id: z.string(),
  statement: z.string(),
  source: z.string(),
  measured: z.number().nullable(),
  interval: z.tuple([intervalEnd(-Infinity), intervalEnd(Infinity)]).optional(),
  confidence: z.number().optional(),
  passes: z.object({ min: z.number().optional(), max: z.number().optional() }),
  verdict: z.enum(["holds", "fails", "not decided"]),
  note: z.string().optional(),
});

const section = z.object({
  name: fileStem,
  title: z.string(),
  tables: z.array(fileStem),
  figures: z.array(fileStem),
  notes: z.array(z.string()),
});

export const runRecordSchema = z.object({
  experiment: z.string(),
  title: z.string(),
  summary: z.string(),
  preset: z.string(),
  status: z.enum(["done", "diverged", "cancelled", "device_lost", "out_of_memory", "failed"]),
  statusDetail: z.string().optional(),
  config: z.record(z.string(), z.unknown()),
  environment: z.record(z.string(), z.unknown()),
  tables: z.array(table),
  figures: z.array(figure),
  claims: z.array(claim),
  notes: z.array(z.string()),
  sections: z.array(section).optional(),
  seconds: z.number(),
  command: z.string(),
});
