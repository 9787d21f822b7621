// Gives Node a navigator.gpu, so that libraries written for the browser find WebGPU.
// A system adapter is taken when there is one; otherwise SwiftShader (Vulkan on the CPU), which npm carries inside
// @sparticuz/chromium. Linux x64 only for the latter. Main thread only: a worker's process.env does not reach getenv().
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";
import { importInstalled } from "./protocol.mjs";

const LOADER = "libvulkan.so.1";
const DRIVER_MANIFEST = "vk_swiftshader_icd.json";
const NEEDED = ["libvk_swiftshader.so", LOADER, DRIVER_MANIFEST];
const RTLD_NODELETE = 0x1000;

// Dawn's instance must outlive every device made from it: if it is collected, Node aborts or hangs.
let instance;

/**
 * Install navigator.gpu and the WebGPU globals. `adapter`: "auto" (system, then software), "hardware" or "software".
 * Returns { device: string } that names the adapter, or { missing: string } that says what to install.
 */
export async function installWebgpu(adapter) {
  if (!["auto", "hardware", "software"].includes(adapter)) {
    throw new Error(`--adapter must be auto, hardware or software, got ${adapter}`);
  }
  const webgpu = await importInstalled("webgpu");
  if (webgpu === undefined) return { missing: "npm package webgpu is not installed: run `npm ci` in bench/peers" };
  for (const [name, value] of Object.entries(webgpu.globals)) globalThis[name] ??= value;

  if (adapter !== "software") {
    const device = await tryInstance(webgpu);
    if (device !== undefined) return { device };
    if (adapter === "hardware")
      return { missing: "no WebGPU adapter: a GPU with a Vulkan, Metal or D3D12 driver is needed" };
  }
  const folder = softwareVulkanFolder();
  if (folder === undefined) {
    return {
      missing: "no WebGPU adapter: install a GPU driver, or @sparticuz/chromium (npm, linux x64) for SwiftShader",
    };
  }
  useSoftwareVulkan(folder);
  const device = await tryInstance(webgpu);
  if (device === undefined) return { missing: `SwiftShader in ${folder} gave no WebGPU adapter` };
  if (adapter === "auto") process.stderr.write(`no GPU found, using the software adapter: ${device}\n`);
  return { device };
}

async function tryInstance(webgpu) {
  const gpu = webgpu.create([]);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) return undefined;
  instance = gpu;
  // Node has a navigator from version 21 on; libraries also look at its userAgent.
  const host = globalThis.navigator ?? { userAgent: `Node.js/${process.versions.node}` };
  Object.defineProperty(host, "gpu", { value: instance, configurable: true });
  Object.defineProperty(globalThis, "navigator", { value: host, configurable: true });
  const { vendor, architecture, device, description } = adapter.info;
  return description || [vendor, architecture, device].filter(Boolean).join(" ");
}

function softwareVulkanFolder() {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  for (let at = path.dirname(fileURLToPath(import.meta.url)); ; at = path.dirname(at)) {
    const archive = path.join(at, "node_modules/@sparticuz/chromium/bin/swiftshader.tar.br");
    if (existsSync(archive)) return unpackOnce(archive);
    if (at === path.dirname(at)) break;
  }
  return ["/usr/lib/chromium", "/opt/google/chrome"].find(isComplete);
}

function isComplete(folder) {
  return NEEDED.every((file) => existsSync(path.join(folder, file)));
}

function unpackOnce(archive) {
  const bytes = readFileSync(archive);
  const cache = process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), ".cache");
  const folder = path.join(cache, `deeplimit-peers-swiftshader-${bytes.length}`);
  if (isComplete(folder)) return folder;
  mkdirSync(folder, { recursive: true });
  for (const { name, content } of ustarFiles(brotliDecompressSync(bytes))) {
    if (!NEEDED.includes(name)) continue;
    // Written aside and renamed: another peer may be starting at the same moment.
    const aside = path.join(folder, `${name}.${process.pid}`);
    writeFileSync(aside, content, { mode: 0o755 });
    renameSync(aside, path.join(folder, name));
  }
  return isComplete(folder) ? folder : undefined;
}

function* ustarFiles(tar) {
  const BLOCK = 512;
  const text = (from, length) => tar.toString("latin1", from, from + length).split("\0")[0];
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0; ) {
    const bytes = Number.parseInt(text(at + 124, 12), 8) || 0;
    yield { name: path.basename(text(at, 100)), content: tar.subarray(at + BLOCK, at + BLOCK + bytes) };
    at += BLOCK + Math.ceil(bytes / BLOCK) * BLOCK;
  }
}

function useSoftwareVulkan(folder) {
  // Dawn asks for libvulkan.so.1 by name; a library already in the process answers to it without LD_LIBRARY_PATH.
  if (!readFileSync("/proc/self/maps", "latin1").includes(LOADER)) {
    try {
      process.dlopen({ exports: {} }, path.join(folder, LOADER), os.constants.dlopen.RTLD_NOW | RTLD_NODELETE);
    } catch {
      // Always throws, since a Vulkan loader is no Node addon; RTLD_NODELETE leaves it in the process all the same.
    }
  }
  process.env.VK_DRIVER_FILES = path.join(folder, DRIVER_MANIFEST);
  process.env.VK_ICD_FILENAMES = process.env.VK_DRIVER_FILES; // the name older Vulkan loaders read
}
