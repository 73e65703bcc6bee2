"""How fast LunarLander and BipedalWalker are played here, by Gymnasium and by envpool.

    python benchmarks/box2d_speed.py [--envs NAME ...] [--lanes N ...]

Random actions, resets included. Writes results/box2d_speed.md and .json. Gymnasium (one process) needs
gymnasium[box2d]; envpool is measured where it is installed. A device is a core of the CPU, or a GPU.
"""

import argparse
import importlib.util
import itertools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import report

from jaxrl import use_all_cores
from jaxrl.engine.compilation import disk_cache
from jaxrl.envs import make

NAMES = ("LunarLander-v3", "BipedalWalker-v3")
STEPS = {1: 4_000, 64: 1_000, 1_024: 200}

HEAD = """\
# The speed of Box2D worlds

Random actions, resets included; steps per second of all episodes together, the median [least, greatest] of the repeats.
"""


def random_play(env: Any, lanes: int, steps: int) -> Callable[[jax.Array, Any], Any]:
    """(key, state) -> the state after `steps` steps of `lanes` episodes with restarts, and what must be computed."""

    def step(carry: Any, key: jax.Array) -> Any:
        state, starts, num_ended = carry
        act_key, step_key = jax.random.split(key)
        actions = jax.vmap(env.action_space.sample)(jax.random.split(act_key, lanes))
        state, timestep = jax.vmap(env.step)(jax.random.split(step_key, lanes), state, actions)
        ends = timestep.terminated | timestep.truncated
        taken = (num_ended + jnp.cumsum(ends) - 1) % len(starts.time)
        state = jax.tree.map(lambda start, leaf: _where(ends, start[taken], leaf), starts, state)
        return (state, starts, num_ended + ends.sum()), timestep.reward.sum()

    def play(key: jax.Array, state: Any) -> Any:
        reset_key, step_key = jax.random.split(key)
        num_starts = max(1, lanes * steps // 40)  # more than there are ends
        starts, _ = jax.vmap(env.reset)(jax.random.split(reset_key, num_starts))
        (state, _, ends), rewards = jax.lax.scan(step, (state, starts, jnp.int32(0)), jax.random.split(step_key, steps))
        return state, ends, rewards.sum()

    return play


def our_speed(name: str, num_envs: int, devices: int) -> dict[str, float]:
    """Steps per second of `num_envs` episodes side by side under random actions, resets included."""
    env, steps, lanes = make(name), STEPS[num_envs], num_envs // devices

    def begin(key: jax.Array) -> Any:
        return jax.vmap(env.reset)(jax.random.split(key, lanes))[0]

    def keys(seed: int) -> jax.Array:
        return jax.random.split(jax.random.key(seed), devices)

    state = jax.pmap(begin)(keys(0))
    program = jax.pmap(random_play(env, lanes, steps)).lower(keys(0), state).compile()
    seconds = []
    for repeat in range(6):  # the first warms up, and spreads the lanes over their episodes
        began = time.perf_counter()
        state, *_ = jax.block_until_ready(program(keys(repeat), state))
        seconds.append(time.perf_counter() - began)
    return _rates(num_envs * steps / np.asarray(seconds[1:]))


def _rates(found: Any) -> dict[str, float]:
    return {"rate": float(np.median(found)), "low": float(min(found)), "high": float(max(found))}


def gymnasiums_speed(name: str, steps: int = 30_000) -> dict[str, float]:
    """The same of one Gymnasium environment."""
    import gymnasium

    env = gymnasium.make(name, disable_env_checker=True)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(steps)]
    rates = []
    for _ in range(3):
        env.reset(seed=0)
        began = time.perf_counter()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        rates.append(steps / (time.perf_counter() - began))
    return _rates(rates)


def envpools_speed(name: str, num_envs: int, steps: int = 1_000) -> dict[str, float]:
    """The same of envpool's threads, which begin the next episode with the step after an end."""
    import envpool

    env = envpool.make_gymnasium(name, num_envs=num_envs, seed=0)
    env.reset()
    actions = np.stack([[env.action_space.sample() for _ in range(num_envs)] for _ in range(16)])
    rates = []
    for _ in range(4):
        began = time.perf_counter()
        for step in range(steps):
            env.step(actions[step % len(actions)])
        rates.append(num_envs * steps / (time.perf_counter() - began))
    return _rates(rates[1:])


def _where(condition: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(condition.reshape(condition.shape + (1,) * (a.ndim - 1)), a, b)


def markdown(data: dict[str, Any]) -> str:
    """results/box2d_speed.md."""
    rows = [
        [name, who, f"{found['rate']:,.0f} [{found['low']:,.0f}, {found['high']:,.0f}]"]
        for name, measured in data["speed"].items()
        for who, found in measured.items()
    ]
    return "\n".join(
        [HEAD, report.table(["environment", "who", "steps/s"], rows), "", report.facts(data["circumstances"])]
    )


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--lanes", nargs="*", type=int, choices=tuple(STEPS), default=tuple(STEPS))
    arguments = parser.parse_args()
    use_all_cores()
    data = report.read("box2d_speed") or {"speed": {}, "circumstances": {}}
    for name in arguments.envs:
        data["circumstances"][name] = report.circumstances()
        found = data["speed"].setdefault(name, {})
        found["Gymnasium, one process"] = gymnasiums_speed(name)
        if importlib.util.find_spec("envpool"):
            found["envpool, 64 at once"] = envpools_speed(name, 64)
        for lanes, devices in itertools.product(arguments.lanes, range(1, jax.local_device_count() + 1)):
            if lanes >= devices:
                with disk_cache():
                    who = f"jaxrl, {lanes:,} at once on {devices} device{'s' * (devices > 1)}"
                    found[who] = our_speed(name, lanes, devices)
        report.write("box2d_speed", markdown(data), data)
    print(markdown(data))


if __name__ == "__main__":
    main()
