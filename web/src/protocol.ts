/** What the page and its one worker say to each other: everything on the GPU happens in the worker, service by service. */
import type { DeviceProfile } from "../../src/plan/device_profile.ts";
import type { EnsembleReply, EnsembleRequest } from "./ensembles/protocol.ts";
import type { GpuReply, GpuRequest } from "./gpu/protocol.ts";
import type { TrainingReply, TrainingRequest } from "./training/protocol.ts";

/** Requests and replies by service; a tab of the page talks to the service of its own name. */
export interface Services {
  training: { request: TrainingRequest; reply: TrainingReply };
  ensembles: { request: EnsembleRequest; reply: EnsembleReply };
  gpu: { request: GpuRequest; reply: GpuReply };
}
export type ServiceName = keyof Services;

export type DeviceRequest = { readonly kind: "open" };
/** Once on opening, and again when the device was lost or opened anew. */
export type DeviceReply =
  | { readonly kind: "opened"; readonly name: string; readonly software: boolean; readonly profile: DeviceProfile }
  | { readonly kind: "unavailable"; readonly message: string }
  | { readonly kind: "lost"; readonly message: string };

export type Request =
  | { readonly service: "device"; readonly body: DeviceRequest }
  | { [S in ServiceName]: { readonly service: S; readonly body: Services[S]["request"] } }[ServiceName];
export type Reply =
  | { readonly service: "device"; readonly body: DeviceReply }
  | { [S in ServiceName]: { readonly service: S; readonly body: Services[S]["reply"] } }[ServiceName];
