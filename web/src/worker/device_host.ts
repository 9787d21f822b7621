import { openBrowser } from "../../../src/gpu/browser_adapter.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { DeviceError } from "../../../src/gpu/errors.ts";
import type { DeviceReply } from "../protocol.ts";

/** The worker's one device, which its services share. */
export class DeviceHost {
  #gpu: Promise<Gpu> | undefined;
  readonly #post: (reply: DeviceReply) => void;

  constructor(post: (reply: DeviceReply) => void) {
    this.#post = post;
  }

  /** The device, opened when it is first asked for, and again after a loss. */
  open(): Promise<Gpu> {
    this.#gpu ??= this.#request();
    return this.#gpu;
  }

  /** Whether the error means that the device is gone; it then is forgotten and the page told. */
  lost(error: unknown): boolean {
    if (!(error instanceof DeviceError && error.kind === "device_lost")) return false;
    this.#forget(error.message);
    return true;
  }

  async #request(): Promise<Gpu> {
    try {
      const gpu = await openBrowser();
      void gpu.device.lost.then(({ message }) => this.#forget(message));
      this.#post({ kind: "opened", name: gpu.name, software: gpu.facts.software, profile: gpu.profile });
      return gpu;
    } catch (error) {
      this.#gpu = undefined;
      this.#post({ kind: "unavailable", message: (error as Error).message });
      throw error;
    }
  }

  #forget(message: string): void {
    if (this.#gpu === undefined) return;
    this.#gpu = undefined;
    this.#post({ kind: "lost", message });
  }
}
