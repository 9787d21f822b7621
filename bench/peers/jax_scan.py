"""JAX: lax.scan over layers, value_and_grad and the update in one jit."""

import os

from protocol import cpu_name, measure, read_options, report_missing

PEER = "jax-scan"
options = read_options(["auto", "cpu", "cuda"])
if options.backend == "cpu":
    os.environ["JAX_PLATFORMS"] = "cpu"
# One CPU thread, as for the other peers; XLA reads this at start.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
try:
    import jax
    import jax.numpy as jnp
except ImportError:
    report_missing(PEER, "install JAX for this Python (pip: jax, or jax[cuda12] with an NVIDIA GPU)")

found = jax.devices()[0]
if options.backend == "cuda" and found.platform != "gpu":
    report_missing(PEER, "JAX sees no CUDA device: needs an NVIDIA GPU and jax[cuda12]")
options.backend = "cuda" if found.platform == "gpu" else found.platform
# Float32 means float32: no TensorFloat-32 on GPUs, no bfloat16 on TPUs.
jax.config.update("jax_default_matmul_precision", "highest")

data = options.data
n, d, m, depth = data["n"], data["d"], data["m"], data["depth"]
rate = depth * data["eta"]


def array(name, *shape):
    return jnp.asarray(data[name], dtype=jnp.float32).reshape(shape)


x, y = array("X", n, d), array("Y", n, d)
weights = (jnp.tile(array("W0", m, d).T, (depth, 1, 1)), jnp.zeros((depth, m, d), jnp.float32))


def loss(weights):
    def layer(h, wv):
        w, v = wv
        return h + jax.nn.gelu(h @ w, approximate=False) @ v / depth, None

    h, _ = jax.lax.scan(layer, x, weights)
    return jnp.mean(jnp.square(h - y))


def train(weights):
    value, gradients = jax.value_and_grad(loss)(weights)
    return value, jax.tree.map(lambda z, g: z - rate * g, weights, gradients)


train = jax.jit(train, donate_argnums=0)
loss_only = jax.jit(loss)


def step():
    global weights
    value, weights = jax.block_until_ready(train(weights))
    return float(value)


def evaluate():
    return float(loss_only(weights))


device = f"{cpu_name()}" if options.backend == "cpu" else found.device_kind
measure(options, PEER, f"jax {jax.__version__}", device, "exact GELU, lax.scan over layers, one jit", step, evaluate)
