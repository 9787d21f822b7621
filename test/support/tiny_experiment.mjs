// An experiment of a few milliseconds: cells that count steps, checkpoint each, and can be told to fail.
import { z } from "zod";
import { DeviceError } from "../../dist/gpu/errors.js";

export const tinySchema = z.strictObject({
  depths: z.array(z.int().min(1)).min(1),
  steps: z.int().min(1),
  pauseMs: z.number().min(0),
  activation: z.enum(["gelu", "relu", "tanh"]),
  name: z.string(),
  flow: z.strictObject({
    rate: z.number().positive(),
    clip: z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("none") }),
      z.strictObject({ kind: z.literal("norm"), bound: z.number().positive() }),
    ]),
    stop: z.strictObject({ time: z.number().positive().optional() }).optional(),
  }),
  /** How the last cell ends. */
  end: z.enum(["done", "device_lost", "out_of_memory", "bug", "diverged"]),
});
const smoke = {
  depths: [4, 8],
  steps: 3,
  pauseMs: 0,
  activation: "gelu",
  name: "tiny",
  flow: { rate: 0.1, clip: { kind: "none" } },
  end: "done",
};

export const tiny = {
  name: "tiny",
  title: "Counts steps, to try the door",
  summary: "Cells that count steps.",
  schema: tinySchema,
  presets: { paper: { ...smoke, depths: [64, 128], steps: 1000 }, reduced: { ...smoke, depths: [4, 8, 16] }, smoke },
  defaultPreset: "smoke",
  plan: (config) => ({
    trainings: config.depths.map((depth) => ({
      label: `${config.activation} L=${depth}`,
      count: 1,
      steps: config.steps,
      layout: "rows",
      segments: 1,
      states: "stored",
      dispatchesPerStep: 4,
      tensors: { weights: 4096 * depth, states: 1024 * depth },
      notes: depth > 8 ? ["states are recomputed"] : [],
    })),
    peakBytes: 5120 * Math.max(...config.depths),
    layerSteps: config.steps * config.depths.reduce((sum, depth) => sum + depth, 0),
  }),
  async run({ gpu, config, signal, cells, progress }) {
    const tensor = gpu.tensor("tiny", 4096);
    const rows = [];
    let resumed = 0;
    let done = 0;
    const result = (status, statusDetail) => ({
      status,
      ...(statusDetail && { statusDetail }),
      tables: [
        {
          name: "counts",
          description: "Steps of each cell",
          columns: [
            { name: "depth", description: "L" },
            { name: "steps", description: "steps taken" },
          ],
          rows,
        },
      ],
      figures: [
        {
          name: "counts",
          title: "Steps",
          caption: "Steps of each cell.",
          table: "counts",
          kind: "line",
          x: { field: "depth", label: "L" },
          y: { field: "steps", label: "steps" },
        },
      ],
      claims: [
        {
          id: "all-steps",
          statement: "Every cell takes all of its steps",
          source: "measured for this project",
          measured: rows.length,
          passes: { min: config.depths.length },
          verdict: rows.length === config.depths.length ? "holds" : "fails",
        },
      ],
      notes: [`cells taken up in the middle: ${resumed}`],
    });
    for (const [i, depth] of config.depths.entries()) {
      const id = `L${depth}`;
      const last = i === config.depths.length - 1;
      if (last && config.end === "bug") throw new Error("a bug\nwith two lines");
      if (last && (config.end === "device_lost" || config.end === "out_of_memory"))
        throw new DeviceError(config.end, "the cable was pulled", "tiny");
      let cell = await cells.load(id);
      if (!cell) {
        const checkpoint = await cells.loadCheckpoint(id);
        let step = Number(checkpoint?.metadata.step ?? 0);
        if (checkpoint) resumed++;
        while (step < config.steps) {
          if (signal.aborted) return result("cancelled", `in cell ${id}`);
          step++;
          await new Promise((resolve) => setTimeout(resolve, config.pauseMs));
          const data = new Float32Array([step]);
          await cells.saveCheckpoint(id, { tensors: { step: { shape: [1], data } }, metadata: { step: String(step) } });
          progress({ done: done + depth * step, total: 1e6, label: id, loss: 1 / step });
        }
        cell = { steps: step, loss: Number.NaN };
        await cells.save(id, cell);
      }
      if (!Number.isNaN(cell.loss)) throw new Error("a cell must come back as it was saved");
      done += depth * config.steps;
      rows.push({ depth, steps: cell.steps });
    }
    gpu.release(tensor);
    return result(config.end === "diverged" ? "diverged" : "done", config.end === "diverged" ? "at step 3" : undefined);
  },
};
