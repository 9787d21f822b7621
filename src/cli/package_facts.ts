import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** The package's directory: two levels above this file both in `src/` and in `dist/`. */
export const PACKAGE_ROOT = fileURLToPath(new URL("../../", import.meta.url));

export function packageFacts(): { readonly version: string } {
  const { version } = readJson(new URL("../../package.json", import.meta.url));
  return { version };
}

/** Version of the installed package `webgpu` (Dawn for Node); `absent` where it is not installed. */
export function webgpuVersion(): string {
  try {
    return (createRequire(import.meta.url)("webgpu/package.json") as { version: string }).version;
  } catch {
    return "absent";
  }
}

function readJson(url: URL): { version: string } {
  return JSON.parse(readFileSync(url, "utf8")) as { version: string };
}
