import type { EnsembleRequest } from "../ensembles/protocol.ts";
import type { GpuRequest } from "../gpu/protocol.ts";
import type { Reply, Request } from "../protocol.ts";
import { DeviceHost } from "./device_host.ts";
import { TrainingService } from "./training_service.ts";

/** A dedicated worker's global scope: TypeScript's own library for it excludes that of the page. */
const scope = globalThis as unknown as {
  postMessage(reply: Reply, transfer?: Transferable[]): void;
  onmessage: (event: MessageEvent<Request>) => void;
};

const device = new DeviceHost((body) => scope.postMessage({ service: "device", body }));
const training = new TrainingService(device, (body) => scope.postMessage({ service: "training", body }));
const ensembles = later<EnsembleRequest>(async () => {
  const { EnsembleService } = await import("./ensemble_service.ts");
  return new EnsembleService(device, (body, transfer) => scope.postMessage({ service: "ensembles", body }, transfer));
});
const gpu = later<GpuRequest>(async () => {
  const { GpuService } = await import("./gpu_service.ts");
  return new GpuService(device, (body) => scope.postMessage({ service: "gpu", body }));
});

scope.onmessage = ({ data }) => {
  switch (data.service) {
    case "device":
      // A refusal was posted.
      device.open().catch(() => {});
      break;
    case "training":
      training.receive(data.body);
      break;
    case "ensembles":
      ensembles(data.body);
      break;
    case "gpu":
      gpu(data.body);
      break;
  }
};

interface Service<R> {
  receive(request: R): void;
}

/** A service whose code comes with its first request; requests keep their order. */
function later<R>(load: () => Promise<Service<R>>): (request: R) => void {
  let service: Promise<Service<R>> | undefined;
  return (request) => {
    service ??= load();
    void service.then((loaded) => loaded.receive(request));
  };
}
