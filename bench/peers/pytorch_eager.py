"""PyTorch, eager autograd, float32: a Python loop over layers and an in-place update, on one CPU thread or on CUDA."""

from protocol import measure, read_options, report_missing

options = read_options(["cpu", "cuda"])
peer = "pytorch" if options.backend == "cpu" else "pytorch-cuda"
try:
    import torch
except ImportError:
    report_missing(peer, "install PyTorch for this Python (pip: torch; Debian: python3-torch and libopenblas0)")

from torch_common import blas_and_device, load_case

if options.backend == "cuda" and not torch.cuda.is_available():
    report_missing(peer, "PyTorch sees no CUDA device: needs an NVIDIA GPU and a CUDA build of torch")
torch.set_num_threads(1)
# Float32 means float32: no TensorFloat-32, or the losses would not be comparable.
torch.backends.cuda.matmul.allow_tf32 = False

depth = options.data["depth"]
rate = depth * options.data["eta"]
x, y, weights, values = load_case(torch, options.data, options.backend)
parameters = weights + values


def loss():
    h = x
    for w, v in zip(weights, values):
        h = h + torch.nn.functional.gelu(h @ w) @ v / depth
    return (h - y).square().mean()


def step():
    value = loss()
    value.backward()
    with torch.no_grad():
        for p in parameters:
            p.sub_(p.grad, alpha=rate)
            p.grad = None
    return value.item()  # waits for CUDA: the stream is in order


def evaluate():
    with torch.no_grad():
        return loss().item()


blas, device = blas_and_device(torch, options.backend)
measure(options, peer, f"torch {torch.__version__}", device, f"exact GELU, eager autograd, {blas}", step, evaluate)
