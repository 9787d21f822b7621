// Gives Node a navigator.gpu, so that libraries written for the browser find the adapter that deeplimit itself takes.
import { findAdapter } from "../../dist/gpu/node_adapter.js";

// Dawn's instance must outlive every device made from it: if it is collected, Node aborts or hangs.
let instance;

/**
 * Install navigator.gpu and the WebGPU globals. `adapter` as for `deeplimit --adapter`.
 * Returns { device: string } that names the adapter, or { missing: string } that says what to install.
 */
export async function installWebgpu(adapter) {
  const { globals } = await import("webgpu");
  for (const [name, value] of Object.entries(globals)) globalThis[name] ??= value;
  try {
    const found = await findAdapter(adapter);
    instance = found.instance;
    // Node has a navigator from version 21 on; libraries also look at its userAgent.
    const host = globalThis.navigator ?? { userAgent: `Node.js/${process.versions.node}` };
    Object.defineProperty(host, "gpu", { value: instance, configurable: true });
    Object.defineProperty(globalThis, "navigator", { value: host, configurable: true });
    return { device: adapterName(found.adapter.info) };
  } catch (error) {
    return { missing: error.message };
  }
}

/** One name for an adapter in every peer's row. */
export function adapterName({ vendor, architecture, device, description }) {
  return description || [vendor, architecture, device].filter(Boolean).join(" ");
}
