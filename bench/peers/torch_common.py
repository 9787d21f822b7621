"""The network and its data as PyTorch tensors, shared by the PyTorch peers."""

import os
import re

from protocol import cpu_name


def load_case(torch, data, device):
    """X [n, d], Y [n, d], and per layer W [d, m] (transposed, as the paper's code stores it) and V [m, d] = 0."""
    n, d, m = data["n"], data["d"], data["m"]

    def tensor(name, *shape):
        return torch.tensor(data[name], dtype=torch.float32, device=device).reshape(*shape)

    w0 = tensor("W0", m, d).t()
    weights = [w0.clone().contiguous().requires_grad_() for _ in range(data["depth"])]
    values = [torch.zeros(m, d, device=device, requires_grad=True) for _ in range(data["depth"])]
    return tensor("X", n, d), tensor("Y", n, d), weights, values


def blas_name(torch):
    """The BLAS in use. Debian's torch calls whichever libblas.so.3 is selected, so the loaded files are what counts."""
    built_with = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    linked_in = f"BLAS {built_with.group(1)} (built in)" if built_with else "BLAS unknown"
    try:
        with open("/proc/self/maps", encoding="utf-8") as file:
            files = {os.path.basename(line.split()[-1]) for line in file if ".so" in line}
    except OSError:
        return linked_in
    files = {file for file in files if "scipy_openblas" not in file}  # NumPy's own copy, which torch does not call
    for key, name in (("openblas", "OpenBLAS"), ("mkl_core", "MKL"), ("libblis", "BLIS"), ("libblas", "reference BLAS")):
        for file in sorted(files):
            if key in file:
                return f"{name} ({file})"
    return linked_in


def blas_and_device(torch, device):
    """One line each: the BLAS in use and the device."""
    if device == "cuda":
        return f"CUDA {torch.version.cuda}", torch.cuda.get_device_name(0)
    return blas_name(torch), f"{cpu_name()}, {torch.get_num_threads()} thread"
