"""A layer forward and backward, with the gradient that its kernel has here and with the one that JAX gives it.

    python benchmarks/layers.py

Writes results/layers.md and .json. Only on a CPU do the two differ.
"""

import jax.numpy as jnp
import report
from products import layer_seconds

from jaxrl.components.products import product

SHAPES = [
    (128, 4, 64),
    (128, 64, 64),
    (128, 64, 2),
    (128, 64, 1),
    (2_048, 4, 64),
    (2_048, 64, 64),
    (2_048, 64, 2),
    (2_048, 64, 1),
    (2_048, 128, 128),
    (256, 256, 256),
]
"""Rows of a minibatch, inputs and outputs: PPO's layers with 4 and with 64 environments, and larger ones."""

HEAD = """\
# The gradient of a layer

A layer forward and backward, to its inputs and to its kernel, in one loop; the least of seven runs. *jnp.dot* is with
the gradient that JAX gives, *product* with that of `jaxrl/components/products.py`.

"""


def main() -> None:
    """Measure all, write the table and show it."""
    found = [
        {"shape": shape, "jnp.dot": layer_seconds(jnp.dot, *shape), "product": layer_seconds(product, *shape)}
        for shape in SHAPES
    ]
    rows = [
        [
            *(f"{size:,}" for size in each["shape"]),
            f"{1e6 * each['jnp.dot']:.1f}",
            f"{1e6 * each['product']:.1f}",
            f"{each['jnp.dot'] / each['product']:.2f}",
        ]
        for each in found
    ]
    where = report.circumstances()
    table = report.table(["rows", "inputs", "outputs", "jnp.dot, us", "product, us", "times as fast"], rows)
    report.write("layers", f"{HEAD}{table}\n\n{report.facts({'layers': where})}", {"where": where, "measured": found})
    print(table)


if __name__ == "__main__":
    main()
