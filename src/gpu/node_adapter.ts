import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, constants, homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";
import type { Tuning } from "../plan/tuning.ts";
import { Gpu } from "./device.ts";
import { DeviceError } from "./errors.ts";
import { deviceIdentity, readTuning, tuningOf, tuningPath } from "./tuning_cache.ts";

export const ADAPTER_CHOICES = ["auto", "hardware", "software", "lavapipe", "swiftshader"] as const;
/**
 * `auto`: hardware, else `software`: what the system offers and Dawn accepts, else Mesa's cached lavapipe folder
 * (`npm run lavapipe` puts it there; a training step there is two to five times as fast as on SwiftShader), else the SwiftShader that npm brought.
 */
export type AdapterChoice = (typeof ADAPTER_CHOICES)[number];

/** What became of one way to find an adapter. */
export interface AdapterAttempt {
  readonly way: "system" | "cached lavapipe" | "SwiftShader from npm";
  readonly found: boolean;
  readonly detail: string;
}

export interface OpenNodeOptions {
  readonly adapter?: AdapterChoice;
  /** Dawn's own flags, e.g. `["backend=vulkan"]`. */
  readonly flags?: readonly string[];
  readonly withoutSubgroups?: boolean;
  /** Measured choices of layouts: those that `deeplimit tune` cached (default, unless DEEPLIMIT_TUNING is off), none, or these. */
  readonly tuning?: boolean | Tuning;
}

/**
 * Opens a device in Node through Dawn.
 * @returns the device, every attempt made, and `notice`: a line when `auto` fell back to a software adapter, and one when
 * the cache of measured choices cannot be used.
 * @throws DeviceError `no_adapter` with the reason each way was refused.
 */
export async function openNode(
  options: OpenNodeOptions = {},
): Promise<{ gpu: Gpu; attempts: readonly AdapterAttempt[]; notice?: string }> {
  const choice = options.adapter ?? "auto";
  const { adapter, instance, via, attempts } = await findAdapter(choice, options.flags);
  const software = isSoftware(adapter);
  const gpu = await Gpu.open({
    adapter,
    keepAlive: instance,
    via,
    ...(software ? { parallelGroups: availableParallelism() } : {}),
    ...(options.withoutSubgroups ? { withoutSubgroups: true } : {}),
  });
  const notices = [
    ...(software && choice === "auto" ? [`no hardware adapter: using the software adapter ${gpu.name}`] : []),
    ...takeTuning(gpu, options.tuning ?? process.env.DEEPLIMIT_TUNING !== "off"),
  ];
  return { gpu, attempts, ...(notices.length > 0 ? { notice: notices.join("\n") } : {}) };
}

/** @returns a line when the cache cannot be used */
function takeTuning(gpu: Gpu, wanted: boolean | Tuning): string[] {
  if (wanted === false) return [];
  if (wanted !== true) {
    gpu.useTuning(wanted);
    return [];
  }
  const { file, problem } = readTuning(tuningPath());
  const tuning = tuningOf(file, deviceIdentity(gpu));
  if (tuning.length > 0) gpu.useTuning(tuning);
  return problem === undefined ? [] : [problem];
}

/**
 * Looks for an adapter without opening a device: for programs that bring their own, as `navigator.gpu` they take
 * `instance`, which must stay referenced as long as any device of it lives.
 * @throws DeviceError `no_adapter` with the reason each way was refused.
 */
export async function findAdapter(
  choice: AdapterChoice,
  flags: readonly string[] = [],
): Promise<{ adapter: GPUAdapter; instance: GPU; via: AdapterAttempt["way"]; attempts: readonly AdapterAttempt[] }> {
  const attempts: AdapterAttempt[] = [];
  const dawn = await loadDawn();
  const request = async () => {
    const instance = dawn.create([...flags]);
    return { instance, adapter: await instance.requestAdapter({ powerPreference: "high-performance" }) };
  };
  if (process.platform === "linux" && !hasVulkanLoader()) {
    // Asking Dawn without a loader would only add its own warning to stderr.
    attempts.push({ way: "system", found: false, detail: "no Vulkan loader (libvulkan.so.1) on this machine" });
  } else {
    const { instance, adapter } = await request();
    const wanted = adapter !== null && satisfies(adapter, choice);
    attempts.push({
      way: "system",
      found: wanted,
      detail: adapter
        ? `${describe(adapter)}${isSoftware(adapter) ? " (software)" : ""}${wanted ? "" : `, refused: --adapter ${choice} was asked`}`
        : "Dawn found no adapter it accepts (no Vulkan, Metal or Direct3D 12 driver, or one without the features WebGPU needs)",
    });
    if (adapter && wanted) return { adapter, instance, via: "system", attempts };
  }
  for (const { way, choices, find } of SOFTWARE_DRIVERS) {
    if (!choices.includes(choice)) continue;
    const found = find();
    if ("reason" in found) {
      attempts.push({ way, found: false, detail: found.reason });
      continue;
    }
    preloadVulkan(found);
    const { instance, adapter } = await request();
    const detail = adapter ? describe(adapter) : `Dawn refused the driver of ${found.icd}`;
    attempts.push({ way, found: adapter !== null, detail });
    if (adapter) return { adapter, instance, via: way, attempts };
  }
  const reasons = attempts.map(({ way, detail }) => `${way}: ${detail}`).join("; ");
  throw new DeviceError("no_adapter", `no ${choice === "auto" ? "WebGPU" : choice} adapter. ${reasons}`);
}

interface Dawn {
  create(flags: string[]): GPU;
  globals: Record<string, unknown>;
}

async function loadDawn(): Promise<Dawn> {
  try {
    return (await import("webgpu")) as unknown as Dawn;
  } catch (error) {
    throw new DeviceError(
      "no_adapter",
      `the npm package webgpu (Dawn) does not load on ${process.platform}-${process.arch}: ${(error as Error).message.split("\n")[0]}`,
    );
  }
}

function isSoftware(adapter: GPUAdapter): boolean {
  return adapter.info.isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe|\bcpu\b/i.test(identity(adapter));
}

function satisfies(adapter: GPUAdapter, choice: AdapterChoice): boolean {
  if (choice === "auto") return true;
  if (choice === "lavapipe") return /llvmpipe|lavapipe/i.test(identity(adapter));
  if (choice === "swiftshader") return /swiftshader/i.test(identity(adapter));
  return (choice === "software") === isSoftware(adapter);
}

function identity({ info }: GPUAdapter): string {
  return `${info.device} ${info.description} ${info.architecture}`;
}

function describe(adapter: GPUAdapter): string {
  const { info } = adapter;
  return info.description || info.device || info.vendor || "unnamed adapter";
}

function hasVulkanLoader(): boolean {
  try {
    process.dlopen({ exports: {} }, "libvulkan.so.1");
  } catch (error) {
    return !/cannot open shared object file/.test((error as Error).message);
  }
  return true;
}

/** A Vulkan driver for the processor: its manifest, and a loader for machines that have none. */
interface SoftwareDriver {
  readonly icd: string;
  readonly loader: string | undefined;
}

const SOFTWARE_DRIVERS: readonly {
  readonly way: AdapterAttempt["way"];
  readonly choices: readonly AdapterChoice[];
  readonly find: () => SoftwareDriver | { reason: string };
}[] = [
  { way: "cached lavapipe", choices: ["auto", "software", "lavapipe"], find: findLavapipe },
  { way: "SwiftShader from npm", choices: ["auto", "software", "swiftshader"], find: findSwiftShader },
];

function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "deeplimit");
}

/** Where `npm run lavapipe` (scripts/lavapipe.sh) puts the driver and its manifest. */
function findLavapipe(): SoftwareDriver | { reason: string } {
  const icd = join(cacheFolder(), "lavapipe", "lvp_icd.json");
  if (!existsSync(icd)) return { reason: "not installed (npm run lavapipe)" };
  const swiftShader = findSwiftShader();
  return { icd, loader: "reason" in swiftShader ? undefined : swiftShader.loader };
}

const SWIFTSHADER_FILES = ["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"];

/**
 * The Vulkan software driver and loader inside the npm package `@sparticuz/chromium`, unpacked once into the cache
 * folder; or those of an installed Chromium.
 */
function findSwiftShader(): SoftwareDriver | { reason: string } {
  if (process.platform !== "linux" || process.arch !== "x64")
    return { reason: `npm carries it for linux-x64 only, this is ${process.platform}-${process.arch}` };
  const complete = (directory: string) => SWIFTSHADER_FILES.every((file) => existsSync(join(directory, file)));
  const driver = (directory: string) => ({
    icd: join(directory, "vk_swiftshader_icd.json"),
    loader: join(directory, "libvulkan.so.1"),
  });
  // The package's `exports` hides the file, so it is found by path.
  const roots = createRequire(fileURLToPath(import.meta.url)).resolve.paths("@sparticuz/chromium") ?? [];
  for (const root of roots) {
    const archive = join(root, "@sparticuz/chromium/bin/swiftshader.tar.br");
    if (!existsSync(archive)) continue;
    const { size, mtimeMs } = statSync(archive);
    for (const base of [cacheFolder(), join(dirname(archive), "..", ".deeplimit")]) {
      const directory = join(base, `swiftshader-${size}-${Math.floor(mtimeMs)}`);
      if (complete(directory)) return driver(directory);
      try {
        mkdirSync(directory, { recursive: true });
        unpack(brotliDecompressSync(readFileSync(archive)), directory);
      } catch {
        continue; // an unwritable cache: try beside the package
      }
      if (complete(directory)) return driver(directory);
    }
    return { reason: `${archive} could not be unpacked into ${cacheFolder()}` };
  }
  for (const directory of ["/usr/lib/chromium", "/opt/google/chrome", "/usr/lib/chromium-browser"])
    if (complete(directory)) return driver(directory);
  return {
    reason:
      "the optional npm package @sparticuz/chromium, which carries it, is not installed (npm i @sparticuz/chromium)",
  };
}

/** The wanted regular files of a ustar archive, each written under a temporary name and renamed. */
function unpack(tar: Buffer, directory: string): void {
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const name = basename(tar.toString("latin1", at, at + 100).replace(/\0.*$/s, ""));
    const bytes = Number.parseInt(tar.toString("latin1", at + 124, at + 136), 8) || 0;
    if (SWIFTSHADER_FILES.includes(name)) {
      const temporary = join(directory, `${name}.${process.pid}`);
      writeFileSync(temporary, tar.subarray(at + 512, at + 512 + bytes), { mode: 0o755 });
      renameSync(temporary, join(directory, name));
    }
    at += 512 + Math.ceil(bytes / 512) * 512;
  }
}

/**
 * Loads a Vulkan loader into this process unless there is one, so that Dawn's own dlopen("libvulkan.so.1") finds it by
 * its SONAME, and points it at the driver. No environment variable outside the process, no second process.
 */
function preloadVulkan({ icd, loader }: SoftwareDriver): void {
  if (loader !== undefined && !hasVulkanLoader()) {
    const RTLD_NODELETE = 0x1000;
    try {
      process.dlopen({ exports: {} }, loader, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
    } catch {
      // Always throws "did not self-register"; the library stays loaded, which is all that is wanted.
    }
  }
  // Loaders before 1.3.207 know only the second name.
  process.env.VK_DRIVER_FILES = process.env.VK_ICD_FILENAMES = icd;
}
