/** Starts the scripts of peers, one process at a time, and finds the Python that each needs. Node only. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { ConfigError } from "../config/errors.ts";
import { ADAPTER_CHOICES } from "../gpu/node_adapter.ts";
import { PACKAGE_ROOT, runChild } from "./child_process.ts";
import type { PeerSpec } from "./peer_comparison.ts";

export interface PeerRunOptions {
  /** A run that lasts longer is stopped; from a third of it on, a run begins no further step. Default 300. */
  readonly timeoutSeconds?: number | undefined;
  /** WebGPU adapter of peers that name none; default auto. */
  readonly adapter?: string | undefined;
  /** Python of the Python peers; default: the first of python3 and /usr/bin/python3 that imports what the peer needs. */
  readonly python?: string | undefined;
  /** Where the peers' scripts lie; default bench/peers of the repository. */
  readonly folder?: string | undefined;
  /** Ends the process being measured; what was measured stays. */
  readonly signal?: AbortSignal | undefined;
}

export type PeerStatus =
  | "measured"
  | "missing"
  | "failed"
  | "timeout"
  | "stopped"
  | "skipped"
  | "different result"
  | "not reached";

export interface PeerOutcome<T> {
  readonly result?: T;
  readonly status: PeerStatus;
  readonly reason: string;
  readonly load?: number;
}

const PYTHONS = ["python3", "/usr/bin/python3"];
const IMPORT_SECONDS = 120;
const missingSchema = z.object({ missing: z.string() });

export class PeerRunner {
  readonly notes: string[] = [];
  readonly #options: PeerRunOptions;
  readonly #peers: string;
  readonly #folder: string;
  readonly #pythons = new Map<string, Promise<string>>();

  constructor(options: PeerRunOptions) {
    this.#options = options;
    this.#peers = options.folder ?? join(PACKAGE_ROOT, "bench", "peers");
    this.#folder = mkdtempSync(join(tmpdir(), "deeplimit-peers-"));
  }

  /** Writes a case for the scripts to read; its path. */
  write(name: string, problem: object): string {
    const file = join(this.#folder, `${name}.json`);
    writeFileSync(file, JSON.stringify(problem));
    return file;
  }

  clean(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Runs a peer's script on a case with further arguments; `schema` is of the last line that it prints. */
  async run<T>(
    { peer, adapter }: PeerSpec,
    caseFile: string,
    args: readonly string[],
    schema: z.ZodType<T>,
  ): Promise<PeerOutcome<T>> {
    const { timeoutSeconds = 300, signal } = this.#options;
    const script = join(this.#peers, peer.script);
    if (!existsSync(script))
      return { status: "missing", reason: "peers are part of the repository, not of the npm package" };
    // A slow peer stops early with the steps it has; the rest of the time is for start-up, compiling and the last step.
    const budget = ["--budget", `${timeoutSeconds / 3}`];
    const given = [script, "--case", caseFile, ...args, "--backend", peer.backend, ...budget];
    const { runtime } = peer;
    if ("node" in runtime) {
      given.unshift(...runtime.node);
      given.push("--adapter", adapter ?? this.#options.adapter ?? "auto");
    }
    const program = "node" in runtime ? process.execPath : await this.#python(runtime.python);
    // One thread each: BLAS libraries read these at start.
    const env = { OPENBLAS_NUM_THREADS: "1", OMP_NUM_THREADS: "1", MKL_NUM_THREADS: "1" };
    const child = await runChild(program, given, { env, timeoutSeconds, signal });
    const { load, end } = child;
    if (end === "absent") return { status: "missing", reason: child.reason!, load };
    if (end !== "exited") return { status: end, reason: child.reason!, load };
    if (child.reason !== undefined) return { status: "failed", reason: child.reason, load };
    const printed = lastJson(child.out);
    const missing = missingSchema.safeParse(printed);
    if (missing.success) return { status: "missing", reason: missing.data.missing, load };
    const result = schema.safeParse(printed);
    if (!result.success) return { status: "failed", reason: "it printed no result", load };
    return { result: result.data, status: "measured", reason: "", load };
  }

  /** The first Python that imports the module, looked for once; a script in another says itself what it lacks. */
  #python(module: string): Promise<string> {
    let found = this.#pythons.get(module);
    if (!found) {
      found = this.#findPython(module);
      this.#pythons.set(module, found);
    }
    return found;
  }

  async #findPython(module: string): Promise<string> {
    const { python, signal } = this.#options;
    if (python !== undefined) return python;
    let first: string | undefined;
    for (const program of PYTHONS) {
      const options = { timeoutSeconds: IMPORT_SECONDS, signal };
      const { end, code } = await runChild(program, ["-c", `import ${module}`], options);
      if (code === 0) {
        this.notes.push(`Peers that need ${module} run in ${program}.`);
        return program;
      }
      if (end !== "absent") first ??= program;
    }
    return first ?? PYTHONS[0]!;
  }
}

function lastJson(text: string): unknown {
  try {
    return JSON.parse(text.trimEnd().split("\n").at(-1)!);
  } catch {
    return undefined;
  }
}

/** @throws ConfigError for one that is not a positive integer */
export function checkCounts(counts: Readonly<Record<string, number>>): void {
  for (const [field, value] of Object.entries(counts))
    if (!Number.isInteger(value) || value < 1) throw new ConfigError(field, "must be an integer of at least 1", value);
}

/** @throws ConfigError for an adapter that there is not */
export function checkAdapters(adapter: string | undefined, specs: readonly PeerSpec[]): void {
  for (const name of [adapter ?? "auto", ...specs.map((spec) => spec.adapter ?? "auto")])
    if (!ADAPTER_CHOICES.some((choice) => choice === name))
      throw new ConfigError("adapter", `must be one of ${ADAPTER_CHOICES.join(", ")}`, name);
}
