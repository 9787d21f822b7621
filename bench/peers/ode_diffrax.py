"""diffrax: diffeqsolve under vmap and jit, each trajectory with steps of its own."""

import os

from ode_protocol import measure_solves, read_ode_options
from protocol import cpu_name, report_missing

PEER = "diffrax"
options = read_ode_options(["auto", "cpu", "cuda"], {"fixed": ["tsit5"], "adaptive": ["tsit5", "dopri5"]})
if options.backend == "cpu":
    os.environ["JAX_PLATFORMS"] = "cpu"
# One CPU thread, as for the other peers; XLA reads this at start.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
try:
    import diffrax
    import jax
    import jax.numpy as jnp
    import numpy as np
except ImportError:
    report_missing(PEER, "install diffrax for this Python (pip: diffrax, with jax[cuda12] for an NVIDIA GPU)")

found = jax.devices()[0]
if options.backend == "cuda" and found.platform != "gpu":
    report_missing(PEER, "JAX sees no CUDA device: needs an NVIDIA GPU and jax[cuda12]")

problem = options.problem
sigma, beta = problem["sigma"], problem["beta"]
start, end = float(problem["start"]), float(problem["end"])
rho_on_host = np.array(problem["rho"], dtype=np.float32)
initial_on_host = np.array(problem["initial"], dtype=np.float32)
METHODS = {"tsit5": diffrax.Tsit5, "dopri5": diffrax.Dopri5}
MOST_STEPS = 100_000


def field(_t, state, rho):
    x, y, z = state
    return jnp.stack((sigma * (y - x), x * (rho - z) - y, x * y - beta * z))


def compiled(steps):
    """A solve of all trajectories by `steps` equal steps, or by adaptive ones of a tolerance given at each call."""

    def one(rho, initial, tolerance):
        if steps is None:
            controller, first = diffrax.PIDController(rtol=tolerance, atol=tolerance), None
        else:
            controller, first = diffrax.ConstantStepSize(), (end - start) / steps
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            METHODS[options.method](),
            start,
            end,
            first,
            initial,
            args=rho,
            saveat=diffrax.SaveAt(t1=True),
            stepsize_controller=controller,
            max_steps=MOST_STEPS if steps is None else steps + 1,
            throw=False,
        )
        return solution.ys[0]

    return jax.jit(jax.vmap(one, in_axes=(0, None, None)))


cache = {}


def solve(setting):
    steps = None if options.kind == "adaptive" else int(setting)
    if steps not in cache:
        cache[steps] = compiled(steps)
    return np.asarray(cache[steps](rho_on_host, initial_on_host, np.float32(setting)))


measure_solves(
    options,
    PEER,
    f"diffrax {diffrax.__version__}, jax {jax.__version__}",
    f"{cpu_name()}, 1 thread" if found.platform == "cpu" else found.device_kind,
    "float32",
    "vmap under jit" if options.kind == "fixed" else "vmap under jit, integral controller",
    solve,
)
