/** Writing files so that a crash leaves the old one or the new one. Node only. */
import { mkdir, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DataError } from "../config/errors.ts";

/**
 * Writes beside the target, then renames over it: a reader sees the old file or the new one, and a crash leaves no half of either.
 * Directories on the way are made.
 * @throws DataError naming the path and the reason
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array | Iterable<string>): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${basename(path)}.${process.pid}.tmp`);
  try {
    await mkdir(directory, { recursive: true });
    const file = await open(temporary, "w");
    try {
      await writeFile(file, data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(directory);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw new DataError(path, `cannot be written: ${reasonOf(error)}`);
  }
}

/** Deletes what a killed process left of files it was writing with `writeFileAtomic`; a missing directory is no error. */
export async function removeHalfWritten(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => [] as string[]);
  for (const name of names)
    if (/^\..+\.\d+\.tmp$/.test(name)) await rm(join(directory, name), { force: true }).catch(() => undefined);
}

/** A rename survives a power cut only once its directory is on disk; Windows and some network drives do not offer that. */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } catch (error) {
    if (!["EINVAL", "ENOTSUP", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  } finally {
    await directory.close();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or directory",
  ENOTDIR: "a part of its path is a file, not a directory",
  EEXIST: "a part of its path is a file, not a directory",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is used up",
  ENAMETOOLONG: "the name is too long",
  EISDIR: "it is a directory",
};

/** What the system said, in words a user knows. */
export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return REASONS[code ?? ""] ?? (error instanceof Error ? error.message : String(error));
}
