"""What every Python peer shares: its command line, the clock, and the one line of JSON it prints."""

import argparse
import json
import platform
import resource
import statistics
import sys
import time


def read_options(backends):
    """Read the command line and the case: { n, d, m, depth, eta, X, Y, W0 } (flat, row-major lists), or a convolutional one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", required=True, help="JSON file; bench/peers/make_case.mjs writes one")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--backend", choices=backends, default=backends[0])
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no further step starts")
    parser.add_argument("--task", choices=["training step", "forward"], default="training step")
    options = parser.parse_args()
    if options.steps < 1:
        parser.error("--steps must be >= 1")
    with open(options.case, encoding="utf-8") as file:
        options.data = json.load(file)
    return options


def warm_up(step):
    """Steps until two in succession differ by less than a fifth, or 2 s have passed since the first, which may compile,
    or 20 steps were made. Returns what the steps returned and the milliseconds of each."""
    values = []
    times = []
    since_first = 0.0
    while len(values) < 20 and since_first < 2000:
        start = time.perf_counter()
        values.append(step())
        times.append(1000 * (time.perf_counter() - start))
        if len(times) == 1:
            continue
        before, last = times[-2:]
        since_first += last
        if abs(last - before) < 0.2 * max(last, before):
            break
    return values, times


def measure(options, peer, version, device, note, step, evaluate):
    """Run warm-up and timed steps and print the result line.

    step() makes one whole training step, waits until it is complete, and returns the loss before its update;
    evaluate() returns the loss at the current weights, and is not timed.
    """
    begin = time.perf_counter()
    losses, warm = warm_up(step)
    ms_per_step = []
    for k in range(options.steps):
        if k > 0 and time.perf_counter() - begin > options.budget:
            break
        start = time.perf_counter()
        losses.append(step())
        ms_per_step.append(1000 * (time.perf_counter() - start))
    losses.append(evaluate())
    print_result({
        "peer": peer,
        "backend": options.backend,
        "version": version,
        "device": device,
        "depth": options.data["depth"],
        "steps": len(ms_per_step),
        "warmup": len(warm),
        "losses": losses,
        "msPerStep": ms_per_step,
        "median": statistics.median(ms_per_step),
        "min": min(ms_per_step),
        "firstStepMs": warm[0],
        "peakRssBytes": peak_rss_bytes(),
        "note": note,
    })


def report_missing(peer, reason):
    """Say that this peer cannot run here, and what would change that. Not a failure: exit code 0."""
    print_result({"peer": peer, "missing": reason})
    sys.exit(0)


def print_result(result):
    print(json.dumps(result), flush=True)


def peak_rss_bytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes on Linux


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
