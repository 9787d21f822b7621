"""PyTorch compiled: torch.compile of the residual layer; on CUDA the whole training step is captured as a CUDA graph.

One layer is compiled rather than the unrolled stack, whose compile time grows with depth (minutes from a few hundred
layers on). The graph then replays every kernel of the step with no work in Python, which is what costs in eager mode.
"""

import shutil

from protocol import measure, read_options, report_missing

PEER = "pytorch-compiled"
options = read_options(["auto", "cpu", "cuda"])
try:
    import torch
except ImportError:
    report_missing(PEER, "install PyTorch >= 2.0 for this Python (pip: torch)")

from torch_common import blas_and_device, load_case

if not hasattr(torch, "compile"):
    report_missing(PEER, f"torch.compile needs PyTorch >= 2.0, this is {torch.__version__}")
if options.backend == "auto":
    options.backend = "cuda" if torch.cuda.is_available() else "cpu"
if options.backend == "cuda" and not torch.cuda.is_available():
    report_missing(PEER, "PyTorch sees no CUDA device: needs an NVIDIA GPU and a CUDA build of torch")
if options.backend == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++")):
    report_missing(PEER, "torch.compile on the CPU needs a C++ compiler: install g++")
torch.set_num_threads(1)
torch.backends.cuda.matmul.allow_tf32 = False

depth = options.data["depth"]
rate = depth * options.data["eta"]
x, y, weights, values = load_case(torch, options.data, options.backend)
parameters = weights + values


@torch.compile(fullgraph=True)
def layer(h, w, v):
    return h + torch.nn.functional.gelu(h @ w) @ v / depth


def loss():
    h = x
    for w, v in zip(weights, values):
        h = layer(h, w, v)
    return (h - y).square().mean()


def train():
    """Forward, backward and update; the loss stays on the device."""
    value = loss()
    gradients = torch.autograd.grad(value, parameters)
    with torch.no_grad():
        torch._foreach_add_(parameters, gradients, alpha=-rate)
    return value.detach()


def captured(run):
    """A CUDA graph of run(), after the warm-up on a side stream that capturing asks for; weights are put back after it."""
    before = [p.detach().clone() for p in parameters]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        value = run()
    with torch.no_grad():
        for p, start in zip(parameters, before):
            p.copy_(start)

    def replay():
        graph.replay()
        return value

    return replay


blas, device = blas_and_device(torch, options.backend)
if options.backend == "cuda":
    run, how = captured(train), "CUDA graph of the whole step over torch.compile of a layer"
else:
    run, how = train, "torch.compile of a layer"


def step():
    return run().item()


def evaluate():
    with torch.no_grad():
        return loss().item()


measure(options, PEER, f"torch {torch.__version__}", device, f"exact GELU, {how}, {blas}", step, evaluate)
