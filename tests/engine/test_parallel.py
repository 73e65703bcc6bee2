"""How agents are dealt out over devices."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxrl.engine.parallel import AGENTS, DATA, over_agents


@pytest.mark.parametrize(("num_agents", "is_mapped"), [(2, False), (4, True)])
def test_a_devices_only_agent_is_not_mapped(num_agents, is_mapped):
    mesh = Mesh([[device] for device in jax.devices()[:2]], (AGENTS, DATA))

    def doubled_or_halved(scale, key, state):
        is_large = jax.random.uniform(key) + state > 1
        return scale * jax.lax.cond(is_large, lambda: state / 2, lambda: state * 2)

    members = P(AGENTS)
    program = over_agents(doubled_or_halved, (None, 0, 0), mesh, (P(), members, members), members)
    keys, states = jax.random.split(jax.random.key(0), num_agents), jnp.array([0.0, 1.0] * (num_agents // 2))
    text = str(jax.make_jaxpr(program)(3.0, keys, states))
    assert ("cond[" in text) != is_mapped
    assert jnp.array_equal(jax.jit(program)(3.0, keys, states), 3 * jnp.where(states, states / 2, states * 2))
