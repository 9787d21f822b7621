import type { DeviceReply, Reply, Request, ServiceName, Services } from "./protocol.ts";

type Listener = (body: never) => void;

/** The page's end of the worker: typed requests out, replies to whoever listens to a service. */
export class Client {
  readonly #worker: Worker;
  readonly #listeners = new Map<ServiceName | "device", Set<Listener>>();
  #device: DeviceReply | undefined;

  constructor() {
    this.#worker = new Worker(new URL("./worker/worker.ts", import.meta.url), { type: "module", name: "deeplimit" });
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (data.service === "device") this.#device = data.body;
      for (const listener of this.#listeners.get(data.service) ?? []) listener(data.body as never);
    };
    this.#worker.onerror = (event) => {
      const body: DeviceReply = { kind: "unavailable", message: event.message || "the worker could not be started" };
      this.#device = body;
      for (const listener of this.#listeners.get("device") ?? []) listener(body as never);
    };
  }

  /** What was last heard of the device. */
  get device(): DeviceReply | undefined {
    return this.#device;
  }

  openDevice(): void {
    this.#worker.postMessage({ service: "device", body: { kind: "open" } } satisfies Request);
  }

  send<S extends ServiceName>(service: S, body: Services[S]["request"]): void {
    this.#worker.postMessage({ service, body });
  }

  /** @returns a function that ends it */
  on(service: "device", listener: (body: DeviceReply) => void): () => void;
  on<S extends ServiceName>(service: S, listener: (body: Services[S]["reply"]) => void): () => void;
  on(service: ServiceName | "device", listener: Listener): () => void {
    const listeners = this.#listeners.get(service) ?? new Set();
    this.#listeners.set(service, listeners.add(listener));
    return () => listeners.delete(listener);
  }
}
