/** Image datasets from a directory. Needs Node (files). */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../config/errors.ts";
import {
  decodeSplit,
  expectedFiles,
  fileNames,
  IMAGE_DATASETS,
  type ImageDataset,
  type ImageDatasetName,
  type SplitName,
} from "./image_datasets.ts";
import type { LabelledImages } from "./labelled_images.ts";

/**
 * Training and test images of a dataset whose files, gzipped or not, lie in `directory` or in the folder that the published
 * archive unpacks to.
 * @param dataset a name, or a description of files in one of the formats
 * @throws DataError: what is missing and where it is published, or which file breaks which rule
 */
export async function readImageDataset(
  directory: string,
  dataset: ImageDatasetName | ImageDataset,
): Promise<Readonly<Record<SplitName, LabelledImages>>> {
  const description = typeof dataset === "string" ? IMAGE_DATASETS[dataset] : dataset;
  const paths = await findFiles(directory, description);
  const read = async (name: string) => {
    const file = paths.get(name)!;
    try {
      return { file, bytes: await readFile(file) };
    } catch (error) {
      throw new DataError(file, `cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  return {
    train: await decodeSplit(description, "train", read),
    test: await decodeSplit(description, "test", read),
  };
}

/** Path of each file by its published name. */
async function findFiles(directory: string, dataset: ImageDataset): Promise<Map<string, string>> {
  if (!(await isKind(directory, "directory")))
    throw new DataError(directory, `must be a directory. ${expectedFiles(dataset)}`);
  const paths = new Map<string, string>();
  const missing: string[] = [];
  for (const name of fileNames(dataset)) {
    const candidates = [directory, ...(dataset.folder === undefined ? [] : [join(directory, dataset.folder)])].flatMap(
      (folder) => [join(folder, name), join(folder, `${name}.gz`)],
    );
    let found: string | undefined;
    for (const path of candidates) if (found === undefined && (await isKind(path, "file"))) found = path;
    if (found === undefined) missing.push(name);
    else paths.set(name, found);
  }
  if (missing.length > 0) throw new DataError(directory, `has no ${missing.join(", no ")}. ${expectedFiles(dataset)}`);
  return paths;
}

async function isKind(path: string, kind: "file" | "directory"): Promise<boolean> {
  try {
    const entry = await stat(path);
    return kind === "file" ? entry.isFile() : entry.isDirectory();
  } catch {
    return false;
  }
}
