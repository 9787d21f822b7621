/** Programs that the benchmark runs beside itself, one at a time. Node only. */
import { spawn } from "node:child_process";
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";

/** The package's directory: two levels above this file both in `src/` and in `dist/`. */
export const PACKAGE_ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface ChildOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Killed after this many seconds; default: it may take its time. */
  readonly timeoutSeconds?: number | undefined;
  /** Stopped when this aborts. */
  readonly signal?: AbortSignal | undefined;
  /** How it is stopped; default SIGKILL. */
  readonly stopWith?: "SIGINT" | "SIGKILL" | undefined;
  /** Hears what it prints on stderr while it runs. */
  readonly onError?: ((text: string) => void) | undefined;
}

export interface ChildResult {
  /** `exited` with a code or by a signal, `timeout` and `stopped`: ended here, `absent`: no such program. */
  readonly end: "exited" | "timeout" | "stopped" | "absent";
  /** Exit code; null when a signal ended it or it never ran. */
  readonly code: number | null;
  /** What ended it, in words, when it was not exit code 0. */
  readonly reason?: string;
  readonly out: string;
  readonly err: string;
  /** From its start to its end. */
  readonly seconds: number;
  /** Load average of the machine over the minute before it started; 0 where the system keeps none. */
  readonly load: number;
}

/** What ended a program that was stopped. */
const STOPPED = "Ctrl-C";

/** Runs a program to its end. Never rejects: how it ended is in the result. */
export function runChild(program: string, args: readonly string[], options: ChildOptions): Promise<ChildResult> {
  const load = loadavg()[0]!;
  const started = performance.now();
  const { signal: stop } = options;
  if (stop?.aborted)
    return Promise.resolve({ end: "stopped", code: null, reason: STOPPED, out: "", err: "", seconds: 0, load });
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    let late = false;
    const kill = () => child.kill("SIGKILL");
    const ask = () => child.kill(options.stopWith ?? "SIGKILL");
    const expire = () => {
      late = true;
      kill();
    };
    const timer = options.timeoutSeconds === undefined ? undefined : setTimeout(expire, 1000 * options.timeoutSeconds);
    stop?.addEventListener("abort", ask);
    // A program of its own would outlive this process.
    process.once("exit", kill);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      err += text;
      options.onError?.(text);
    });
    const finish = (end: ChildResult["end"], code: number | null, reason?: string) => {
      clearTimeout(timer);
      stop?.removeEventListener("abort", ask);
      process.off("exit", kill);
      const seconds = (performance.now() - started) / 1000;
      resolve({ end, code, ...(reason !== undefined && { reason }), out, err, seconds, load });
    };
    child.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") finish("absent", null, `${program} is not installed`);
      else finish("exited", null, error.message);
    });
    child.on("close", (code, signal) => {
      // A terminal's Ctrl-C ends the program as well, which is no failure of its own.
      if (stop?.aborted) finish("stopped", code, STOPPED);
      else if (late) finish("timeout", null, `no result within ${options.timeoutSeconds} s`);
      else if (code === 0) finish("exited", code);
      else finish("exited", code, `${signal ?? `exit ${code}`}: ${lastError(err)}`);
    });
  });
}

/** The line of stderr that names an error, else its last one. */
function lastError(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.find((line) => /^(error:|\[?\w*Error\b)/.test(line)) ?? lines.at(-1) ?? "no message";
}
