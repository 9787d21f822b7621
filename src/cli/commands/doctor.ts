import { formatBytes } from "../../gpu/device.ts";
import { DeviceError } from "../../gpu/errors.ts";
import { type AdapterAttempt, type AdapterChoice, openNode } from "../../gpu/node_adapter.ts";
import { wrap } from "../../report/text.ts";
import { deviceFacts, hostFacts } from "../environment.ts";
import { EXIT } from "../exit_code.ts";
import { type SelfTest, selfTest } from "../self_test.ts";
import { formatCount, widthOf } from "../terminal.ts";

export interface DoctorOptions {
  readonly adapter: AdapterChoice;
  readonly json?: boolean;
}

/** What `deeplimit doctor --json` prints. */
export interface Diagnosis {
  readonly healthy: boolean;
  readonly host: ReturnType<typeof hostFacts>;
  /** Ways tried to find an adapter, in order; with none found, the reasons are in `error`. */
  readonly attempts: readonly AdapterAttempt[];
  readonly error?: string;
  readonly name?: string;
  readonly device?: ReturnType<typeof deviceFacts>;
  readonly selfTest?: readonly SelfTest[];
}

/**
 * `deeplimit doctor`: which device there is, why others were refused, and whether it computes correctly.
 * @returns the exit code: 1 without an adapter or with a failed self-test
 */
export async function doctor(options: DoctorOptions): Promise<number> {
  const diagnosis = await diagnose(options.adapter);
  const out = process.stdout;
  out.write(`${options.json ? JSON.stringify(diagnosis, null, 2) : diagnosisText(diagnosis, widthOf(out))}\n`);
  if (diagnosis.error !== undefined) process.stderr.write(`error: ${diagnosis.error}\n`);
  return diagnosis.healthy ? EXIT.ok : EXIT.failure;
}

async function diagnose(adapter: AdapterChoice): Promise<Diagnosis> {
  const host = hostFacts();
  let opened: Awaited<ReturnType<typeof openNode>>;
  try {
    opened = await openNode({ adapter });
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return { healthy: false, host, attempts: [], error: error.message.split("\n")[0]! };
  }
  const { gpu, attempts } = opened;
  try {
    const tests = await selfTest(gpu);
    const healthy = tests.every(({ result }) => result !== "failed");
    return { healthy, host, attempts, name: gpu.name, device: deviceFacts(gpu), selfTest: tests };
  } finally {
    gpu.close();
  }
}

function diagnosisText({ host, attempts, name, device, selfTest: tests, healthy }: Diagnosis, width: number): string {
  const sections: [string, [string, string][]][] = [];
  const { cpu, cores, memoryBytes, platform, system, ...versions } = host;
  sections.push([
    "Host",
    [
      ...Object.entries(versions).map(([key, value]): [string, string] => [key, String(value)]),
      ["platform", `${platform}, ${system}`],
      ["processor", `${cpu}, ${cores} ${cores === 1 ? "core" : "cores"}, ${formatBytes(memoryBytes)}`],
    ],
  ]);
  if (attempts.length > 0)
    sections.push([
      "Adapters tried",
      attempts.map(({ way, found, detail }) => [way, `${found ? "taken" : "not taken"}: ${detail}`]),
    ]);
  if (device && name !== undefined) {
    const { adapter, profile } = device;
    sections.push([
      "Device",
      [
        ["adapter", name],
        ["kind", adapter.software ? "software: the processor computes" : "hardware"],
        ["vendor", [adapter.vendor, adapter.architecture, adapter.device].filter((part) => part !== "").join(", ")],
        ["features", device.features.join(", ")],
      ],
    ]);
    const { limits } = device;
    sections.push([
      "Limits",
      [
        ["buffer", formatBytes(profile.maxBufferBytes)],
        ["storage binding", formatBytes(profile.maxBindingBytes)],
        ["workgroup memory", formatBytes(profile.maxWorkgroupStorageBytes)],
        ["workgroup", `${profile.maxInvocations} invocations`],
        ["grid", `${formatCount(profile.maxGroupsPerDimension)} workgroups in each dimension`],
        ["storage buffers", `${limits.maxStorageBuffersPerShaderStage ?? "unknown"} in a shader`],
      ],
    ]);
  }
  if (tests)
    sections.push(["Self-test", tests.map(({ name: test, result, detail }) => [test, `${result}: ${detail}`])]);
  const column = 24;
  const text = sections.map(([title, rows]) => {
    const lines = rows.flatMap(([key, value]) =>
      wrap(value, width - column).map((line, i) => (i === 0 ? `  ${key}`.padEnd(column) : " ".repeat(column)) + line),
    );
    return [title, ...lines].join("\n");
  });
  if (tests) text.push(healthy ? "The device is fit for use." : "The device is NOT fit for use: the self-test failed.");
  return text.join("\n\n");
}
