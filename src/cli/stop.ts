/** Ctrl-C as a wish to end in order. */
import { EXIT } from "./exit_code.ts";

export interface Stop {
  readonly signal: AbortSignal;
  onFirst(listener: () => void): void;
  release(): void;
}

/** A terminal sends Ctrl-C to a program and to those it started, which pass it on to each other: within this time it is one. */
const ONE_WISH_MS = 200;

/** The first SIGINT or SIGTERM aborts the signal, the second ends the process. */
export function stopOnSignal(): Stop {
  const controller = new AbortController();
  const { signal } = controller;
  let first = 0;
  const handle = (name: NodeJS.Signals) => {
    if (signal.aborted && performance.now() - first < ONE_WISH_MS) return;
    if (signal.aborted) process.exit(name === "SIGTERM" ? EXIT.terminated : EXIT.interrupted);
    first = performance.now();
    controller.abort();
  };
  process.on("SIGINT", handle);
  process.on("SIGTERM", handle);
  return {
    signal,
    onFirst(listener) {
      if (signal.aborted) listener();
      else signal.addEventListener("abort", listener, { once: true });
    },
    release() {
      process.off("SIGINT", handle);
      process.off("SIGTERM", handle);
    },
  };
}
