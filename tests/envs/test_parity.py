"""Single steps of classic control and of MinAtar's games against those of Gymnasium and MinAtar.

The originals' steps are stored (`record_traces.py` says how), so neither package is needed here. What differs from the
originals, all of it known and of no weight for the task:

- gymnax cuts MinAtar's games after 1,000 steps (`max_steps=` changes it), where MinAtar has no limit. Freeway, which
  MinAtar ends after 2,501 steps as an end of the task, is cut after 2,500.
- The actions are the minimal set of each game (`use_minimal_action_set=False` gives all six), and sticky only when
  asked for (`sticky_actions=0.1` is MinAtar's default).
- Seaquest: where the player surfaces without a diver, which ends the episode, the last observation shows the oxygen
  filled up and one diver less.
- Asterix and MountainCarContinuous are ours (`adapters/gymnax_corrected.py`), since gymnax's differ; the last tests
  here show how.
"""

import functools
from pathlib import Path

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.minatar import asterix

from jaxrl.envs import make

TRACES = Path(__file__).parent / "traces"
CLASSIC_FIELDS = {
    "CartPole-v1": ("x", "x_dot", "theta", "theta_dot"),
    "Acrobot-v1": ("joint_angle1", "joint_angle2", "velocity_1", "velocity_2"),
    "Pendulum-v1": ("theta", "theta_dot"),
    "MountainCar-v0": ("position", "velocity"),
    "MountainCarContinuous-v0": ("position", "velocity"),
}
START_BOUNDS = {
    "CartPole-v1": ([-0.05] * 4, [0.05] * 4),
    "Acrobot-v1": ([-0.1] * 4, [0.1] * 4),
    "Pendulum-v1": ([-np.pi, -1.0], [np.pi, 1.0]),
    "MountainCar-v0": ([-0.6, 0.0], [-0.4, 0.0]),
    "MountainCarContinuous-v0": ([-0.6, 0.0], [-0.4, 0.0]),
}
TIME_LIMITS = dict(zip(CLASSIC_FIELDS, (500, 500, 200, 200, 999), strict=True))
GAMES = {
    "breakout": "Breakout-MinAtar",
    "freeway": "Freeway-MinAtar",
    "space_invaders": "SpaceInvaders-MinAtar",
    "asterix": "Asterix-MinAtar",
    "seaquest": "Seaquest-MinAtar",
}


def stored(name):
    with np.load(TRACES / f"{name}.npz") as file:
        return dict(file)


def classic_step(env, fields, values, action):
    state, _ = env.reset(jax.random.key(0))
    state = state.replace(**dict(zip(fields, values, strict=True)))
    return env.step(jax.random.key(0), state, action)[1]


@pytest.mark.parametrize("name", CLASSIC_FIELDS)
def test_classic_control_steps_as_gymnasium_does(name):
    trace, env, fields = stored("classic_control"), make(name), CLASSIC_FIELDS[name]
    step = jax.jit(jax.vmap(lambda values, action: classic_step(env, fields, values, action)))
    timestep = step(trace[f"{name}/before"], trace[f"{name}/action"])
    # Acrobot amplifies float32's rounding at its highest speeds.
    tolerance = 5e-4 if name == "Acrobot-v1" else 1e-5
    np.testing.assert_allclose(timestep.obs, trace[f"{name}/obs"], rtol=1e-5, atol=tolerance)
    np.testing.assert_allclose(timestep.reward, trace[f"{name}/reward"], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(timestep.terminated, trace[f"{name}/terminated"])
    assert trace[f"{name}/terminated"].any() == (name != "Pendulum-v1")
    assert not timestep.truncated.any()


@pytest.mark.parametrize("name", CLASSIC_FIELDS)
def test_classic_control_starts_and_stops_as_gymnasium_does(name):
    env = make(name)
    assert env.params.max_steps_in_episode == TIME_LIMITS[name]
    states, _ = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 2000))
    drawn = np.stack([getattr(states, field) for field in CLASSIC_FIELDS[name]], 1)
    low, high = np.asarray(START_BOUNDS[name])
    assert (drawn >= low - 1e-6).all()
    assert (drawn <= high + 1e-6).all()
    np.testing.assert_allclose(drawn.min(0), low, atol=0.01 * np.max(high - low))
    np.testing.assert_allclose(drawn.max(0), high, atol=0.01 * np.max(high - low))
    np.testing.assert_allclose(drawn.mean(0), (low + high) / 2, atol=0.03 * np.max(high - low))


class Game:
    """A stored game: the states before and after each step as gymnax holds them, and what came of the step."""

    def __init__(self, name):
        trace = {
            key.removeprefix(f"{name}/"): value for key, value in stored("minatar").items() if key.startswith(name)
        }
        self.name, self.env = name, make(GAMES[name])
        self.template, _ = jax.jit(self.env.reset)(jax.random.key(0))
        self.before, self.after = (self.fields(trace, when) for when in ("before", "after"))
        self.obs = np.unpackbits(trace["obs"], axis=-1)[..., : self.env.observation_space.shape[-1]]
        self.action = trace["action"].astype(np.int32)
        self.reward, self.terminated = trace["reward"].astype(np.float32), trace["terminated"]

    def fields(self, trace, when):
        """The stored fields with the dtypes of gymnax, and Seaquest's lists filled up to its 100 rows."""
        fields = {}
        for key, value in trace.items():
            if key.startswith(f"{when}/"):
                like = np.asarray(getattr(self.template, key.removeprefix(f"{when}/")))
                missing = [(0, wanted - there) for wanted, there in zip(like.shape, value.shape[1:], strict=True)]
                fields[key.removeprefix(f"{when}/")] = np.pad(value, [(0, 0), *missing]).astype(like.dtype)
        return fields

    @property
    def chance(self):
        """bool [N]: the steps that chance decides: something enters the screen, or the cars take new speeds."""
        if self.name == "asterix":
            return self.before["spawn_timer"] == 0
        if self.name == "seaquest":
            return (self.before["e_spawn_timer"] == 0) | (self.before["d_spawn_timer"] == 0)
        return self.reward > 0 if self.name == "freeway" else np.zeros(len(self.reward), bool)

    @property
    def drowned(self):
        """bool [N]: the steps where a Seaquest player surfaces alone, whose last observation is not the original's."""
        if self.name != "seaquest":
            return np.zeros(len(self.reward), bool)
        alone = (self.after["sub_y"] == 0) & ~self.before["surface"] & (self.after["diver_count"] == 0)
        return alone & self.terminated

    @functools.cached_property
    def steps(self):
        """The compiled function (fields, actions, keys), [N, ...] each, to (states, TimeSteps)."""
        return jax.jit(
            jax.vmap(lambda fields, action, key: self.env.step(key, self.template.replace(**fields), action))
        )

    def outcomes(self, fields, action, seed=0):
        """One step from the same state under N keys."""
        num = len(self.action)
        repeated = jax.tree.map(lambda leaf: np.repeat(leaf[None], num, 0), fields)
        return self.steps(repeated, np.repeat(action, num), jax.random.split(jax.random.key(seed), num))


@pytest.fixture(scope="module")
def games():
    return {name: Game(name) for name in GAMES}


@pytest.fixture(params=GAMES)
def game(request, games):
    return games[request.param]


def in_order(entities):
    """The rows of every [rows, columns] sorted: the order of a list of bullets is of no consequence."""
    return np.stack([rows[np.lexsort(rows.T[::-1])] for rows in entities])


def test_minatar_steps_as_the_original_does(game):
    keys = jax.random.split(jax.random.key(0), len(game.action))
    state, timestep = game.steps(game.before, game.action, keys)
    sure, exact = ~game.chance, ~game.chance & ~game.drowned
    assert sure.sum() > 200
    np.testing.assert_array_equal(timestep.reward[sure], game.reward[sure])
    np.testing.assert_array_equal(timestep.terminated[sure], game.terminated[sure])
    np.testing.assert_array_equal(timestep.obs[exact], game.obs[exact])
    for name, expected in game.after.items():
        found = np.asarray(getattr(state, name))
        is_list = game.name == "seaquest" and expected.ndim == 3
        found, expected = (in_order(found), in_order(expected)) if is_list else (found, expected)
        np.testing.assert_array_equal(found[exact], expected[exact], err_msg=name)


def test_minatars_chance_steps_are_among_those_possible(game):
    """The original's outcome comes about under some of 600 keys; where something enters its chance is at least 1/48."""
    indices = np.flatnonzero(game.chance & ~game.drowned)
    if game.name == "seaquest":  # an enemy and a diver at once: too many outcomes
        indices = indices[(game.before["e_spawn_timer"] > 0)[indices] | (game.before["d_spawn_timer"] > 0)[indices]]
    assert (indices.size > 0) == (game.name in ("asterix", "seaquest", "freeway"))
    shown = slice(0, 2) if game.name == "freeway" else slice(None)  # the new speeds of eight cars are left out
    for index in indices[:15]:
        _, steps = game.outcomes({name: value[index] for name, value in game.before.items()}, game.action[index])
        same = (np.asarray(steps.obs)[..., shown] == game.obs[index][None, ..., shown]).all((1, 2, 3))
        same &= np.asarray(steps.reward) == game.reward[index]
        same &= np.asarray(steps.terminated) == game.terminated[index]
        assert same.mean() > 0.3 / 48, index


def test_every_asterix_row_and_kind_is_as_likely_as_in_the_original(games):
    game = games["asterix"]
    fields = {name: value[0] for name, value in game.before.items()}
    entities = np.zeros((8, 5), np.int32)
    entities[:5] = [[4, row + 1, 1, 0, 1] for row in range(5)]
    fields |= {"entities": entities, "spawn_timer": np.int32(0), "move_timer": np.int32(3), "player_x": np.int32(9)}
    draws = [game.outcomes(fields, np.int32(0), seed)[0].entities for seed in range(5)]  # 3,000 of them
    new = np.concatenate(draws)[:, 5:]
    np.testing.assert_array_equal(new[..., 4].sum(1), 1)
    np.testing.assert_allclose(new[..., 4].mean(0), 1 / 3, atol=0.035)  # 4 standard errors
    np.testing.assert_allclose(new[..., 3].sum(1).mean(), 1 / 3, atol=0.035)
    np.testing.assert_allclose(new[..., 2].sum(1).mean(), 1 / 2, atol=0.037)


def test_a_full_asterix_stays_full_where_gymnaxs_empties_a_row(games):
    game = games["asterix"]
    entities = np.asarray([[4, row + 1, 1, 0, 1] for row in range(8)], np.int32)
    fields = {name: value[0] for name, value in game.before.items()}
    fields |= {"entities": entities, "spawn_timer": np.int32(0), "move_timer": np.int32(3), "player_x": np.int32(9)}
    state, _ = game.outcomes(fields, np.int32(0))
    np.testing.assert_array_equal(state.entities, np.repeat(entities[None], len(game.action), 0))
    full = game.template.replace(entities=jnp.asarray(entities))
    entity, row = jax.jit(asterix.spawn_entity)(jax.random.key(0), full)
    assert 0 <= row < 8
    assert entity[4] == 0  # and gymnax writes this, "not there", over what is in the row


def test_the_mountain_cars_wall_takes_its_speed_which_gymnaxs_does_not():
    values, action = (jnp.float32(-1.19), jnp.float32(-0.05)), jnp.zeros(1)
    fields = CLASSIC_FIELDS["MountainCarContinuous-v0"]
    ours = classic_step(make("MountainCarContinuous-v0"), fields, values, action)
    theirs = classic_step(make(gymnax.make("MountainCarContinuous-v0")[0]), fields, values, action)
    np.testing.assert_array_equal(ours.obs, np.float32([-1.2, 0.0]))
    assert theirs.obs[1] < -0.04
