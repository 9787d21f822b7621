/** deeplimit in Node: the browser-safe surface, and adapters, files, experiments and reports. */

export { RunDirectory, type RunDirectoryOptions, type RunFile } from "./cli/run_directory.ts";
export { type NumberTable, parseCsv } from "./data/csv.ts";
export { type Digits, digitsFile, readDigits } from "./data/digits.ts";
export { readImageDataset } from "./data/image_files.ts";
export { decodeNpy, encodeNpy, type NpyArray } from "./data/npy.ts";
export { EXPERIMENTS } from "./experiment/index.ts";
export {
  ADAPTER_CHOICES,
  type AdapterAttempt,
  type AdapterChoice,
  type OpenNodeOptions,
  openNode,
} from "./gpu/node_adapter.ts";
export * from "./index.ts";
export { claimsText, type TextOptions } from "./report/text.ts";
export { readRecord, writeReport } from "./report/write.ts";
