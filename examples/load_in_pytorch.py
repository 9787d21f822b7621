#!/usr/bin/env python3
"""Load a network that `deeplimit run cifar` trained into PyTorch, and compare logits.

    python3 examples/load_in_pytorch.py runs/cifar-reduced/checkpoints/gelu-tied-seed0-trained.safetensors

Needs PyTorch only: a safetensors file is a length, a header in JSON and the numbers. The file names every tensor as the
`state_dict` of the network below does, and carries a few test images (`example.images`, normalised) with the logits that
deeplimit computed for them (`example.logits`).
"""
import json
import struct
import sys

import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {
    "gelu": F.gelu,
    "identity": lambda x: x,
    "leaky-relu": F.leaky_relu,
    "relu": F.relu,
    "silu": F.silu,
    "softplus": F.softplus,
    "tanh": torch.tanh,
}


def read_safetensors(path):
    """Tensors by name, and metadata."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32", name
        start, end = entry["data_offsets"]
        flat = torch.frombuffer(data, dtype=torch.float32, count=(end - start) // 4, offset=start)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors, metadata


def normalisation(config, channels):
    if config["kind"] == "none":
        return nn.Identity()
    assert config["kind"] == "batch", config
    return nn.BatchNorm2d(channels, eps=config["epsilon"], momentum=config["momentum"])


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        channels = shape["channels"]
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn1 = normalisation(shape["normalisation"], channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = normalisation(shape["normalisation"], channels)
        self.activation = ACTIVATIONS[shape["activation"]]

    def forward(self, h):
        return self.bn2(self.conv2(self.activation(self.bn1(self.conv1(h)))))


class Network(nn.Module):
    def __init__(self, shape):
        super().__init__()
        stem, channels, pool = shape["stem"], shape["channels"], shape["pool"]
        self.pool = pool
        self.scale = shape["depth"] ** -shape["beta"]
        self.conv1 = nn.Conv2d(
            shape["channelsIn"], channels, stem["kernel"], stem["stride"], stem["padding"], bias=False
        )
        self.bn1 = normalisation(stem["normalisation"], channels)
        self.residual_layers = nn.ModuleList(Layer(shape) for _ in range(shape["depth"]))
        pooled = [
            ((shape[side] + 2 * stem["padding"] - stem["kernel"]) // stem["stride"] + 1) // pool
            for side in ("height", "width")
        ]
        self.linear = nn.Linear(channels * pooled[0] * pooled[1], shape["classes"])

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        for layer in self.residual_layers:
            h = h + self.scale * layer(h)
        return self.linear(F.avg_pool2d(h, self.pool).flatten(1))


def main(path):
    tensors, metadata = read_safetensors(path)
    shape = json.loads(metadata["shape"])
    images, expected = tensors.pop("example.images"), tensors.pop("example.logits")
    network = Network(shape)
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    # Counters of batches seen, which evaluation does not read.
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        sys.exit(f"names differ: missing {missing}, unexpected {unexpected}")
    network.eval()
    with torch.no_grad():
        logits = network(images)
        exact = network.double()(images.double())
    error = (expected - exact).abs().max().item()
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters, {len(images)} images, logits up to {exact.abs().max():.3g}")
    print(f"largest difference from float64: deeplimit {error:.2e}, PyTorch in float32 {(logits - exact).abs().max().item():.2e}")
    # Roundings on the longest chain from an image to a logit, as in deeplimit's own tests.
    tolerance = 2**-24 * (2 * shape["depth"] + 3) * (9 * shape["channels"] + 20) * exact.abs().max().item()
    if not error <= tolerance:
        sys.exit(f"logits differ by more than {tolerance:.2e}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
