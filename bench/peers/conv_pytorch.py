"""PyTorch, the convolutional network in float32: eager on one thread, on all, on CUDA, or compiled."""

import os

from protocol import measure, read_options, report_missing

options = read_options(["cpu", "threads", "cuda", "compiled"])
peer = {"cpu": "pytorch"}.get(options.backend, f"pytorch-{options.backend}")
try:
    import torch
except ImportError:
    report_missing(peer, "install PyTorch for this Python (pip: torch; Debian: python3-torch and libopenblas0)")
from torch import nn
from torch.nn import functional as F

from torch_common import blas_and_device

compiled = options.backend == "compiled"
on_gpu = options.backend == "cuda" or (compiled and torch.cuda.is_available())
if on_gpu and not torch.cuda.is_available():
    report_missing(peer, "PyTorch sees no CUDA device: needs an NVIDIA GPU and a CUDA build of torch")
if compiled and not hasattr(torch, "compile"):
    report_missing(peer, f"torch.compile needs PyTorch 2.0, this is {torch.__version__}")
torch.set_num_threads(os.cpu_count() if options.backend == "threads" else 1)
# Float32 means float32: no TensorFloat-32, or the losses would not be comparable.
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False

case = options.data
shape, depth, given = case["shape"], case["depth"], case["parameters"]
channels, stem = shape["channels"], shape["stem"]
place = "cuda" if on_gpu else "cpu"
assert shape["activation"] == "gelu" and shape["beta"] == 1


def norm():
    kind = shape["normalisation"]
    return nn.BatchNorm2d(channels, eps=kind["epsilon"], momentum=kind["momentum"])


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = norm()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = norm()

    def forward(self, h):
        return h + self.norm2(self.conv2(F.gelu(self.norm1(self.conv1(h))))) / depth


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(shape["channelsIn"], channels, stem["kernel"], stem["stride"], stem["padding"], bias=False)
        self.norm = norm()
        self.layers = nn.Sequential(*(Layer() for _ in range(depth)))
        self.head = nn.Linear(len(given["head"]) // shape["classes"], shape["classes"])

    def forward(self, x):
        h = self.layers(F.relu(self.norm(self.stem(x))))
        return self.head(F.avg_pool2d(h, shape["pool"]).flatten(1))


def fill(parameter, name):
    with torch.no_grad():
        parameter.copy_(torch.tensor(given[name]).reshape(parameter.shape))


network = Network()
fill(network.stem.weight, "stem")
fill(network.norm.weight, "stemScale")
fill(network.norm.bias, "stemShift")
for layer in network.layers:
    for i in "12":
        conv, after = getattr(layer, f"conv{i}"), getattr(layer, f"norm{i}")
        for parameter, name in (
            (conv.weight, f"conv{i}"),
            (conv.bias, f"bias{i}"),
            (after.weight, f"scale{i}"),
            (after.bias, f"shift{i}"),
        ):
            fill(parameter, name)
fill(network.head.weight, "head")
fill(network.head.bias, "headBias")
network = network.to(place).train()
images = torch.tensor(case["pixels"]).reshape(case["images"], shape["channelsIn"], shape["height"], shape["width"]).to(place)
labels = torch.tensor(case["labels"]).to(place)
optimiser = torch.optim.SGD(
    network.parameters(), lr=case["rate"], momentum=case["momentum"], weight_decay=case["weightDecay"]
)


def loss():
    return F.cross_entropy(network(images), labels)


if compiled:
    loss = torch.compile(loss)


def step():
    optimiser.zero_grad(set_to_none=True)
    value = loss()
    value.backward()
    optimiser.step()
    return value.item()  # waits for CUDA: the stream is in order


def evaluate():
    with torch.no_grad():
        return loss().item()


blas, device = blas_and_device(torch, place)
measure(
    options,
    peer,
    f"torch {torch.__version__}",
    device,
    f"{'torch.compile' if compiled else 'eager autograd'}, torch.optim.SGD, {blas}",
    step if options.task == "training step" else evaluate,
    evaluate,
)
