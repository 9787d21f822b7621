import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, constants, homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";
import { Gpu } from "./device.ts";
import { DeviceError } from "./errors.ts";

export const ADAPTER_CHOICES = ["auto", "hardware", "software"] as const;
/** `auto`: hardware, else a software adapter of the system that Dawn accepts, else the one npm brought. */
export type AdapterChoice = (typeof ADAPTER_CHOICES)[number];

/** What became of one way to find an adapter. */
export interface AdapterAttempt {
  readonly way: "system" | "SwiftShader from npm";
  readonly found: boolean;
  readonly detail: string;
}

export interface OpenNodeOptions {
  readonly adapter?: AdapterChoice;
  /** Dawn's own flags, e.g. `["backend=vulkan"]`. */
  readonly flags?: readonly string[];
  readonly withoutSubgroups?: boolean;
}

/**
 * Opens a device in Node through Dawn.
 * @returns the device, every attempt made, and `notice`: one line when `auto` fell back to a software adapter.
 * @throws DeviceError `no_adapter` with the reason each way was refused.
 */
export async function openNode(
  options: OpenNodeOptions = {},
): Promise<{ gpu: Gpu; attempts: readonly AdapterAttempt[]; notice?: string }> {
  const choice = options.adapter ?? "auto";
  const flags = [...(options.flags ?? [])];
  const attempts: AdapterAttempt[] = [];
  const dawn = await loadDawn();
  const take = async (adapter: GPUAdapter, keepAlive: unknown, via: string) =>
    Gpu.open({
      adapter,
      keepAlive,
      via,
      ...(isSoftware(adapter) ? { parallelGroups: availableParallelism() } : {}),
      ...(options.withoutSubgroups ? { withoutSubgroups: true } : {}),
    });

  if (process.platform === "linux" && !hasVulkanLoader()) {
    // Asking Dawn without a loader would only add its own warning to stderr.
    attempts.push({ way: "system", found: false, detail: "no Vulkan loader (libvulkan.so.1) on this machine" });
  } else {
    const instance = dawn.create(flags);
    const adapter = await instance.requestAdapter({ powerPreference: "high-performance" });
    const software = adapter ? isSoftware(adapter) : false;
    const wanted = adapter !== null && (choice === "auto" || (choice === "software") === software);
    attempts.push({
      way: "system",
      found: wanted,
      detail: adapter
        ? `${describe(adapter)}${software ? " (software)" : ""}${wanted ? "" : `, refused: --adapter ${choice} was asked`}`
        : "Dawn found no adapter it accepts (no Vulkan, Metal or Direct3D 12 driver, or one without the features WebGPU needs)",
    });
    if (adapter && wanted) {
      const gpu = await take(adapter, instance, "system");
      return software && choice === "auto"
        ? { gpu, attempts, notice: `no hardware adapter: using the software adapter ${gpu.name}` }
        : { gpu, attempts };
    }
  }
  if (choice !== "hardware") {
    const found = findSwiftShader();
    if ("reason" in found) {
      attempts.push({ way: "SwiftShader from npm", found: false, detail: found.reason });
    } else {
      preloadVulkan(found.directory);
      const instance = dawn.create(flags);
      const adapter = await instance.requestAdapter();
      attempts.push({
        way: "SwiftShader from npm",
        found: adapter !== null,
        detail: adapter ? describe(adapter) : `Dawn refused the driver in ${found.directory}`,
      });
      if (adapter) {
        const gpu = await take(adapter, instance, "SwiftShader from npm");
        return choice === "auto"
          ? { gpu, attempts, notice: `no hardware adapter: using the software adapter ${gpu.name}` }
          : { gpu, attempts };
      }
    }
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
  const { info } = adapter;
  return (
    info.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|\bcpu\b/i.test(`${info.device} ${info.description} ${info.architecture}`)
  );
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

const SWIFTSHADER_FILES = ["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"];

/**
 * The Vulkan software driver and loader inside the npm package `@sparticuz/chromium`, unpacked once into the cache
 * folder; or those of an installed Chromium.
 */
function findSwiftShader(): { directory: string } | { reason: string } {
  if (process.platform !== "linux" || process.arch !== "x64")
    return { reason: `npm carries it for linux-x64 only, this is ${process.platform}-${process.arch}` };
  const complete = (directory: string) => SWIFTSHADER_FILES.every((file) => existsSync(join(directory, file)));
  // The package's `exports` hides the file, so it is found by path.
  const roots = createRequire(fileURLToPath(import.meta.url)).resolve.paths("@sparticuz/chromium") ?? [];
  for (const root of roots) {
    const archive = join(root, "@sparticuz/chromium/bin/swiftshader.tar.br");
    if (!existsSync(archive)) continue;
    const { size, mtimeMs } = statSync(archive);
    const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
    for (const base of [join(cache, "deeplimit"), join(dirname(archive), "..", ".deeplimit")]) {
      const directory = join(base, `swiftshader-${size}-${Math.floor(mtimeMs)}`);
      if (complete(directory)) return { directory };
      try {
        mkdirSync(directory, { recursive: true });
        unpack(brotliDecompressSync(readFileSync(archive)), directory);
      } catch {
        continue; // an unwritable cache: try beside the package
      }
      if (complete(directory)) return { directory };
    }
    return { reason: `${archive} could not be unpacked into ${cache}` };
  }
  for (const directory of ["/usr/lib/chromium", "/opt/google/chrome", "/usr/lib/chromium-browser"])
    if (complete(directory)) return { directory };
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
 * Loads the Vulkan loader into this process, so that Dawn's own dlopen("libvulkan.so.1") finds it by its SONAME, and
 * points it at SwiftShader. No environment variable outside the process, no second process.
 */
function preloadVulkan(directory: string): void {
  if (!/libvulkan\.so\.1/.test(readFileSync("/proc/self/maps", "utf8"))) {
    const RTLD_NODELETE = 0x1000;
    try {
      process.dlopen({ exports: {} }, join(directory, "libvulkan.so.1"), constants.dlopen.RTLD_NOW | RTLD_NODELETE);
    } catch {
      // Always throws "did not self-register"; the library stays loaded, which is all that is wanted.
    }
  }
  // Loaders before 1.3.207 know only the second name.
  process.env.VK_DRIVER_FILES = process.env.VK_ICD_FILENAMES = join(directory, "vk_swiftshader_icd.json");
}
