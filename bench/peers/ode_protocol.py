"""What every Python peer of the ODE benchmark shares: its command line, the clock, and the one line of JSON it prints."""

import argparse
import json
import statistics
import time

from protocol import peak_rss_bytes, print_result, warm_up


def read_ode_options(backends, methods):
    """Read the command line and the case { trajectories, sigma, beta, rho, initial, start, end, checked }.

    Settings are numbers of equal steps with kind "fixed", relative = absolute tolerances with "adaptive";
    methods = { "fixed": names, "adaptive": names } that the peer has.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", required=True, help="JSON file; bench/peers/make_ode_case.mjs writes one")
    parser.add_argument("--kind", choices=["fixed", "adaptive"], default="adaptive")
    parser.add_argument("--method")
    parser.add_argument("--settings", default="1e-6")
    parser.add_argument("--solves", type=int, default=5)
    parser.add_argument("--backend", choices=backends, default=backends[0])
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no further solve starts")
    options = parser.parse_args()
    if options.method is None and methods[options.kind]:
        options.method = methods[options.kind][0]
    if options.method not in methods[options.kind]:
        parser.error(f"there is no {options.method} with {options.kind} steps here")
    if options.solves < 1:
        parser.error("--solves must be >= 1")
    options.settings = [float(text) for text in options.settings.split(",")]
    with open(options.case, encoding="utf-8") as file:
        options.problem = json.load(file)
    return options


def measure_solves(options, peer, version, device, arithmetic, note, solve):
    """For each setting warm up, time whole solves and keep the answers; then print the result line.

    solve(setting) integrates the ensemble from host to host and returns its final states, a NumPy array [n, 3].
    """
    begin = time.perf_counter()

    def late():
        return time.perf_counter() - begin > options.budget

    results = []
    for setting in options.settings:
        if results and late():
            break
        try:
            _, warm = warm_up(lambda: solve(setting))
        except Exception:
            # Tolerances beyond its arithmetic end a solver; what was reached before is a result.
            if not results:
                raise
            break
        ms_per_solve = []
        while len(ms_per_solve) < options.solves and not (ms_per_solve and late()):
            start = time.perf_counter()
            states = solve(setting)
            ms_per_solve.append(1000 * (time.perf_counter() - start))
        results.append({
            "setting": setting,
            "msPerSolve": ms_per_solve,
            "median": statistics.median(ms_per_solve),
            "firstMs": warm[0],
            "warmup": len(warm),
            "answers": [float(value) for j in options.problem["checked"] for value in states[j]],
        })
    print_result({
        "peer": peer,
        "kind": options.kind,
        "method": options.method,
        "version": version,
        "device": device,
        "arithmetic": arithmetic,
        "note": note,
        "results": results,
        "peakRssBytes": peak_rss_bytes(),
    })
