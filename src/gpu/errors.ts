export type DeviceErrorKind =
  | "no_adapter"
  | "unsupported"
  | "validation"
  | "out_of_memory"
  | "device_lost"
  | "internal";

/** The machine's failure: what was asked, what the adapter offers or said, and the label of the guilty object. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
  constructor(
    readonly kind: DeviceErrorKind,
    message: string,
    /** Label of the kernel or buffer at fault, where known. */
    readonly label?: string,
  ) {
    super(label === undefined ? message : `${label}: ${message}`);
  }
}

/** Ours: a shader that does not compile or a dispatch that does not fit its shader. Carries the numbered source. */
export class KernelError extends Error {
  override readonly name = "KernelError";
  constructor(
    readonly kernel: string,
    message: string,
    readonly source?: string,
  ) {
    super(`${kernel}: ${message}`);
  }
}
