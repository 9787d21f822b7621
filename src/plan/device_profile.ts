import type { Tuning } from "./tuning.ts";

/** What a plan needs to know of a device: plain numbers, so that plans can be made and tested without one. */
export interface DeviceProfile {
  /** `software`: a CPU adapter, where a barrier costs as much as about 40 multiply-adds and a gather as 20. */
  readonly kind: "software" | "hardware";
  /** Subgroup operations (quad broadcast) are offered and enabled. */
  readonly subgroups: boolean;
  /** Invocations of the smallest subgroup; 4 where none are offered. */
  readonly subgroupSize: number;
  /** Largest storage binding, bytes. */
  readonly maxBindingBytes: number;
  /** Largest buffer, bytes. */
  readonly maxBufferBytes: number;
  readonly maxWorkgroupStorageBytes: number;
  readonly maxInvocations: number;
  readonly maxGroupsPerDimension: number;
  /** Alignment of a storage binding's offset, bytes. */
  readonly offsetAlignment: number;
  /** Workgroups that run side by side: host cores on a software adapter, a guess of 128 on hardware. */
  readonly parallelGroups: number;
  /** Choices measured on this device, which a plan takes instead of its own. */
  readonly tuning?: Tuning;
}

/** The limits every WebGPU implementation offers, without subgroups: the profile of `deeplimit plan` with no device. */
export const DEFAULT_PROFILE: DeviceProfile = {
  kind: "hardware",
  subgroups: false,
  subgroupSize: 4,
  maxBindingBytes: 134_217_728,
  maxBufferBytes: 268_435_456,
  maxWorkgroupStorageBytes: 16_384,
  maxInvocations: 256,
  maxGroupsPerDimension: 65_535,
  offsetAlignment: 256,
  parallelGroups: 128,
};

/** SwiftShader as it arrives through npm (version 5.0, 2026-11) on a machine with two cores. */
export const SOFTWARE_PROFILE: DeviceProfile = {
  kind: "software",
  subgroups: true,
  subgroupSize: 4,
  maxBindingBytes: 1_073_741_824,
  maxBufferBytes: 1_073_741_824,
  maxWorkgroupStorageBytes: 32_768,
  maxInvocations: 256,
  maxGroupsPerDimension: 65_535,
  offsetAlignment: 256,
  parallelGroups: 2,
};
