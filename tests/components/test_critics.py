"""The networks of the actor-critics: an ensemble is several networks side by side."""

from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.components.critics import ActorNetwork, Critic, Critics
from jaxrl.components.torsos import CNN, MLP

OBS, ACTION = jax.random.normal(jax.random.key(1), (5, 3)), jax.random.normal(jax.random.key(2), (5, 2))


def test_an_ensemble_is_that_many_critics_of_its_own_weights() -> None:
    critics = Critics(MLP(()), 3, (8, 8), layer_norm=True)
    params = critics.init(jax.random.key(0), OBS, ACTION)
    values = critics.apply(params, OBS, ACTION)
    assert values.shape == (3, 5)
    assert len({float(value) for value in values[:, 0]}) == 3
    one = Critic(MLP(()), (8, 8), layer_norm=True)
    for index in range(3):
        own = jax.tree.map(itemgetter(index), params["params"]["ensemble"])
        np.testing.assert_allclose(one.apply({"params": own}, OBS, ACTION)[:, 0], values[index], rtol=1e-5, atol=1e-6)


def test_atoms_and_images() -> None:
    images = jax.random.normal(jax.random.key(1), (5, 10, 10, 4))
    critics = Critics(CNN(hidden_sizes=()), 2, (8,), num_atoms=7)
    params = critics.init(jax.random.key(0), images, ACTION)
    assert critics.apply(params, images, ACTION).shape == (2, 5, 7)
    assert critics.apply(params, images[0], ACTION[0]).shape == (2, 7)


def test_dropout_needs_its_random_stream() -> None:
    critics = Critics(MLP(()), 2, (64,), dropout=0.5)
    params = critics.init(jax.random.key(0), OBS, ACTION)
    np.testing.assert_array_equal(critics.apply(params, OBS, ACTION), critics.apply(params, OBS, ACTION))
    noisy = [critics.apply(params, OBS, ACTION, rngs={"dropout": key}) for key in jax.random.split(jax.random.key(3))]
    assert not np.allclose(noisy[0], noisy[1])


def test_the_first_actor_plays_near_the_middle() -> None:
    actor = ActorNetwork(MLP((64,), "relu"), 2)
    params = actor.init(jax.random.key(0), OBS)
    assert jnp.abs(actor.apply(params, OBS)).max() < 0.1
