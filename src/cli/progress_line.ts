/** How far a run is, on stderr: a bar at a terminal, otherwise a line now and then. */
import cliProgress from "cli-progress";
import type { Progress } from "../experiment/experiment.ts";
import { formatNumber, formatSeconds } from "../report/format.ts";
import { clip } from "./terminal.ts";

const LINE_SECONDS = 10;
const RATE_SECONDS = 15;
const BAR_WIDTH = 10;

export interface ProgressLine {
  update(progress: Progress): void;
  /** Ends the bar, so that other text can follow. */
  stop(): void;
}

export function progressLine(
  stream: NodeJS.WriteStream,
  now: () => number = () => performance.now() / 1000,
  unit = "layer-steps",
): ProgressLine {
  const rate = new Rate();
  if (stream.isTTY !== true) {
    let last = now();
    return {
      update(progress) {
        const time = now();
        rate.add(time, progress.done);
        if (time - last < LINE_SECONDS) return;
        last = time;
        stream.write(`${describe(progress, rate.perSecond(), Infinity, unit)}\n`);
      },
      stop() {},
    };
  }
  let current: Progress | undefined;
  const bar = new cliProgress.SingleBar(
    {
      stream,
      fps: 5,
      hideCursor: true,
      barsize: BAR_WIDTH,
      format: (options, params) =>
        current === undefined
          ? ""
          : // One column stays free: a full line would wrap on some terminals.
            `${cliProgress.Format.BarFormat(params.progress, options)} ${describe(current, rate.perSecond(), (stream.columns ?? 80) - BAR_WIDTH - 2, unit)}`,
    },
    cliProgress.Presets.shades_classic,
  );
  return {
    update(progress) {
      current = progress;
      rate.add(now(), progress.done);
      if (bar.isActive) bar.setTotal(progress.total);
      else bar.start(progress.total, progress.done);
      bar.update(progress.done);
    },
    stop() {
      if (bar.isActive) bar.stop();
    },
  };
}

/**
 * ` 42 %  3 min 20 s left  gelu L=256 seed 1  loss 0.31  1.2e6 layer-steps/s` in at most `width` characters: the rate loses its unit first,
 * then the label its end.
 */
export function describe(
  progress: Progress,
  perSecond: number | undefined,
  width = Infinity,
  unit = "layer-steps",
): string {
  const { done, total, loss, label } = progress;
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const before = [`${String(Math.floor(100 * share)).padStart(3)} %`];
  const after: string[] = [];
  if (loss !== undefined && Number.isFinite(loss)) after.push(`loss ${formatNumber(loss, 3)}`);
  if (perSecond !== undefined && perSecond > 0) {
    if (done < total) before.push(`${formatSeconds((total - done) / perSecond)} left`);
    const rate = perSecond >= 1e4 ? perSecond.toExponential(1).replace("e+", "e") : Number(perSecond.toPrecision(2));
    const full = [...before, label, ...after, `${rate} ${unit}/s`].join("  ");
    if ([...full].length <= width) return full;
    after.push(`${rate}/s`);
  }
  const others = [...before, ...after].join("  ").length + 2;
  return clip([...before, clip(label, Math.max(0, width - others)), ...after].join("  "), width);
}

/** Work a second over the last seconds; cells loaded at the start of a resumed run do not count for long. */
class Rate {
  readonly #samples: { time: number; done: number }[] = [];

  add(time: number, done: number): void {
    const samples = this.#samples;
    samples.push({ time, done });
    while (samples.length > 2 && time - samples[0]!.time > RATE_SECONDS) samples.shift();
  }

  perSecond(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    return first === undefined || last === undefined || last.time - first.time < 0.5
      ? undefined
      : (last.done - first.done) / (last.time - first.time);
  }
}
