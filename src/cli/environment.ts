/** What a number needs beside it to be believed: device, software, machine, date, command. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import type { Gpu } from "../gpu/device.ts";
import { PACKAGE_ROOT, packageFacts, webgpuVersion } from "./package_facts.ts";

/** Versions and machine, without a device. */
export function hostFacts() {
  const commit = gitCommit();
  return {
    deeplimit: packageFacts().version,
    ...(commit === undefined ? {} : { commit }),
    webgpu: webgpuVersion(),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    system: release(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
  };
}

/** Adapter, its features, and every limit the device was given. */
export function deviceFacts(gpu: Gpu) {
  const limits: Record<string, number> = {};
  // The limits are getters of the prototype: a plain copy would be empty.
  for (const name in gpu.device.limits) {
    const value = gpu.device.limits[name as keyof GPUSupportedLimits];
    if (typeof value === "number") limits[name] = value;
  }
  return { adapter: gpu.facts, features: gpu.features, timestamps: gpu.timestamps, profile: gpu.profile, limits };
}

/** Content of `environment.json`, with the memory taken so far. */
export function environment(gpu: Gpu, command: string): Record<string, unknown> {
  const memory = { peakDeviceBytes: gpu.peakBytes, peakHostBytes: 1024 * process.resourceUsage().maxRSS };
  return { ...hostFacts(), ...deviceFacts(gpu), ...memory, date: new Date().toISOString(), command };
}

/** Commit of the checkout that this code runs from; undefined when installed as a package. */
function gitCommit(): string | undefined {
  if (!existsSync(join(PACKAGE_ROOT, ".git"))) return undefined;
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", PACKAGE_ROOT, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 5000,
    }).trim();
  try {
    const commit = git("rev-parse", "HEAD");
    // Results of earlier benchmarks are no change of the code.
    const changes = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results");
    return changes === "" ? commit : `${commit} with local changes`;
  } catch {
    return undefined;
  }
}
