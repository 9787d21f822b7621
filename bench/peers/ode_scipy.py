"""SciPy's solve_ivp on NumPy arrays over all trajectories: one system with one step size for all, as its users batch."""

from ode_protocol import measure_solves, read_ode_options
from protocol import cpu_name, report_missing

options = read_ode_options(["cpu"], {"fixed": [], "adaptive": ["dop853", "rk45"]})
try:
    import numpy as np
    import scipy
    from scipy.integrate import solve_ivp
except ImportError:
    report_missing("scipy", "install SciPy for this Python (pip: scipy; Debian: python3-scipy)")

problem = options.problem
n, sigma, beta = problem["trajectories"], problem["sigma"], problem["beta"]
rho = np.array(problem["rho"])
initial = np.repeat(np.array(problem["initial"], dtype=np.float64), n)


def field(_t, state):
    x, y, z = state.reshape(3, n)
    slope = np.empty((3, n))
    slope[0] = sigma * (y - x)
    slope[1] = x * (rho - z) - y
    slope[2] = x * y - beta * z
    return slope.ravel()


def solve(tolerance):
    span = (problem["start"], problem["end"])
    found = solve_ivp(field, span, initial, options.method.upper(), t_eval=span[1:], rtol=tolerance, atol=tolerance)
    return found.y[:, -1].reshape(3, n).T


measure_solves(
    options,
    "scipy",
    f"scipy {scipy.__version__}, numpy {np.__version__}",
    f"{cpu_name()}, 1 thread",
    "float64",
    "solve_ivp on one system of all trajectories: one step size and one error norm for all",
    solve,
)
