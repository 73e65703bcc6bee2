"""One file for every platform: StableHLO with the weights inside, in the form of `jax.export`.

It needs jax, and flatbuffers to read it:

    policy = jax.export.deserialize(open("policy.stablehlo", "rb").read())
    action = policy.call(obs)  # [batch, ...]

A policy with a memory takes and gives it, and begins with zeros:

    (_, memory), _ = jax.tree.unflatten(policy.in_tree, policy.in_avals)
    memory = jax.tree.map(lambda leaf: jnp.zeros((batch, *leaf.shape[1:]), leaf.dtype), memory)
    action, memory = policy.call(obs, memory)
"""

import jax

from jaxrl.export.greedy import Greedy

PLATFORMS = ("cpu", "cuda", "tpu")


def serialized(policy: Greedy) -> bytearray:
    """What the file holds; raises ValueError where the memory does not begin as zeros."""
    policy.check_memory_starts_at_zero("stablehlo")
    exported = jax.export.export(jax.jit(policy.baked), platforms=PLATFORMS)(*policy.inputs.values())
    return exported.serialize()
