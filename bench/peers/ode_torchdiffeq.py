"""torchdiffeq: odeint on a batch [n, 3], eager, on one CPU thread or on CUDA. Its rk4 is the 3/8 rule."""

from ode_protocol import measure_solves, read_ode_options
from protocol import cpu_name, report_missing

options = read_ode_options(["cpu", "cuda"], {"fixed": ["rk4"], "adaptive": ["dopri5"]})
peer = "torchdiffeq" if options.backend == "cpu" else "torchdiffeq-cuda"
try:
    import torch
except ImportError:
    report_missing(peer, "install PyTorch and torchdiffeq for this Python (pip: torch torchdiffeq)")
try:
    import torchdiffeq
except ImportError:
    report_missing(peer, "install torchdiffeq for this Python (pip: torchdiffeq)")
if options.backend == "cuda" and not torch.cuda.is_available():
    report_missing(peer, "PyTorch sees no CUDA device: needs an NVIDIA GPU and a CUDA build of torch")
torch.set_num_threads(1)

problem = options.problem
device = torch.device(options.backend)
n, sigma, beta = problem["trajectories"], problem["sigma"], problem["beta"]
rho_on_host = torch.tensor(problem["rho"], dtype=torch.float32)
initial_on_host = torch.tensor(problem["initial"], dtype=torch.float32).repeat(n, 1)
start, end = float(problem["start"]), float(problem["end"])


@torch.no_grad()
def solve(setting):
    rho = rho_on_host.to(device)

    def field(_t, state):
        x, y, z = state.unbind(-1)
        return torch.stack((sigma * (y - x), x * (rho - z) - y, x * y - beta * z), dim=-1)

    if options.kind == "fixed":
        steps = {"options": {"step_size": (end - start) / setting}}
    else:
        steps = {"rtol": setting, "atol": setting}
    times = torch.tensor([start, end], dtype=torch.float32, device=device)
    states = torchdiffeq.odeint(field, initial_on_host.to(device), times, method=options.method, **steps)
    return states[-1].cpu().numpy()


measure_solves(
    options,
    peer,
    f"torchdiffeq {torchdiffeq.__version__}, torch {torch.__version__}",
    f"{cpu_name()}, 1 thread" if options.backend == "cpu" else torch.cuda.get_device_name(0),
    "float32",
    "3/8 rule, eager" if options.kind == "fixed" else "eager; one step size and one error norm for all trajectories",
    solve,
)
