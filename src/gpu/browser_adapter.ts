import { Gpu } from "./device.ts";
import { DeviceError } from "./errors.ts";

export interface OpenBrowserOptions {
  readonly powerPreference?: GPUPowerPreference;
  /** Take the browser's software adapter, where it has one. */
  readonly forceFallbackAdapter?: boolean;
}

/**
 * Opens a device through the page's or worker's `navigator.gpu`.
 * @throws DeviceError `no_adapter` that says what is missing: WebGPU itself, a secure context, or an adapter.
 */
export async function openBrowser(options: OpenBrowserOptions = {}): Promise<Gpu> {
  const { gpu } = globalThis.navigator ?? {};
  if (!gpu)
    throw new DeviceError(
      "no_adapter",
      globalThis.isSecureContext === false
        ? "WebGPU needs a secure context: serve the page over https or from localhost"
        : "this browser offers no WebGPU (navigator.gpu is missing)",
    );
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance", ...options });
  if (!adapter) throw new DeviceError("no_adapter", "the browser found no WebGPU adapter on this machine");
  // A software adapter runs its workgroups on the processor's cores.
  const parallelGroups = adapter.info.isFallbackAdapter ? globalThis.navigator.hardwareConcurrency : undefined;
  return Gpu.open({ adapter, keepAlive: gpu, via: "browser", ...(parallelGroups && { parallelGroups }) });
}
