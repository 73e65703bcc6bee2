"""LunarLander and BipedalWalker beside Gymnasium's own: how episodes turn out.

    python benchmarks/box2d_fidelity.py [--envs NAME ...] [--episodes N]

Writes results/box2d.md and .json. Gymnasium's episodes are those stored for the tests.
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import report
from scipy import stats

from jaxrl.engine.compilation import disk_cache
from jaxrl.envs import make
from jaxrl.envs.box2d import heuristics

TRACES = Path(__file__).resolve().parents[1] / "tests/envs/box2d/traces"
SAMPLES = {"LunarLander-v3": "lunar_lander_samples.npz", "BipedalWalker-v3": "bipedal_walker_samples.npz"}

HEAD = """\
# Box2D worlds beside Gymnasium's

*p* is that of a two-sample Kolmogorov-Smirnov test; all together, by Holm's procedure, reject equality at 5 %:
{verdict}. *landed* is the share of LunarLander's episodes that end at rest (+100), with the difference in standard
errors.
"""


def controller(name: str, policy: str) -> tuple[Any, Callable[..., Any]]:
    """What it carries from step to step, and (carry, key, obs) -> (carry, action)."""
    if policy == "random":
        return (), lambda carry, key, obs: (carry, make(name).action_space.sample(key))
    if name == "LunarLander-v3":
        return (), lambda carry, key, obs: (carry, heuristics.lunar_lander(obs))
    return heuristics.walker_plan(), lambda carry, key, obs: heuristics.bipedal_walker(carry, obs)


def episodes(name: str, policy: str, num: int, seed: int) -> dict[str, Any]:
    """Returns, lengths and landings of `num` whole episodes, side by side."""
    env, (first, act) = make(name), controller(name, policy)

    def play(carry: Any) -> Any:
        key, start, (state, obs, plan), (total, length, is_over, landed) = carry
        next_key, act_key, step_key = jax.random.split(key, 3)
        plan, actions = jax.vmap(act)(plan, jax.random.split(act_key, num), obs)
        state, timestep = jax.vmap(env.step)(jax.random.split(step_key, num), state, actions)
        ends = timestep.terminated | timestep.truncated
        landed = landed | (~is_over & timestep.terminated & (timestep.reward == 100.0))
        found = (total + jnp.where(is_over, 0.0, timestep.reward), length + ~is_over, is_over | ends, landed)
        # Who has ended goes on from the start, where a step costs little.
        playing = jax.tree.map(functools.partial(_where, found[2]), start, (state, timestep.obs, plan))
        return next_key, start, playing, found

    def run(key: jax.Array) -> Any:
        reset_key, play_key = jax.random.split(key)
        plans = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num, *leaf.shape)), first)
        start = (*jax.vmap(env.reset)(jax.random.split(reset_key, num)), plans)
        nothing = (jnp.zeros(num), jnp.zeros(num, jnp.int32), jnp.zeros(num, bool), jnp.zeros(num, bool))
        return jax.lax.while_loop(lambda carry: ~carry[3][2].all(), play, (play_key, start, start, nothing))[3]

    total, length, _, landed = jax.device_get(jax.jit(run)(jax.random.key(seed)))
    found = {"return": total, "length": length}
    return found | ({"landed": landed} if name == "LunarLander-v3" else {})


def _where(condition: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(condition.reshape(condition.shape + (1,) * (a.ndim - 1)), a, b)


def fidelity(name: str, num: int) -> dict[str, Any]:
    """Both sides' statistics and the tests, for the random and for Gymnasium's heuristic policy."""
    rows: dict[str, Any] = {}
    with np.load(TRACES / SAMPLES[name]) as theirs:
        for policy in ("random", "heuristic"):
            ours = episodes(name, policy, num, seed=1)
            other = {field: theirs[f"{policy}/{field}"] for field in ours}
            tests = {field: stats.ks_2samp(ours[field], other[field]) for field in ("return", "length")}
            rows[f"{name}, {policy}"] = {
                "jaxrl": _summary(ours),
                "Gymnasium": _summary(other),
                "p": {field: float(test.pvalue) for field, test in tests.items()},
                "distance": {field: float(test.statistic) for field, test in tests.items()},
            }
            if "landed" in ours:
                rows[f"{name}, {policy}"]["landed_errors"] = _difference(ours["landed"], other["landed"])
    return rows


def _difference(ours: Any, theirs: Any) -> float:
    """Between two shares, in standard errors."""
    share, their_share = ours.mean(), theirs.mean()
    error = np.sqrt(share * (1 - share) / len(ours) + their_share * (1 - their_share) / len(theirs))
    return float((share - their_share) / error) if error > 0 else 0.0


def _summary(sample: dict[str, Any]) -> dict[str, Any]:
    returns, lengths = np.asarray(sample["return"], np.float64), np.asarray(sample["length"], np.float64)
    return {
        "num": len(returns),
        "return": [returns.mean(), returns.std() / np.sqrt(len(returns)), *np.percentile(returns, [10, 50, 90])],
        "length": [lengths.mean(), lengths.std() / np.sqrt(len(lengths)), *np.percentile(lengths, [10, 50, 90])],
        **({"landed": float(np.mean(sample["landed"]))} if "landed" in sample else {}),
    }


def holm(p_values: list[float], level: float = 0.05) -> int:
    """How many hypotheses are rejected at this level for the family."""
    rejected = 0
    for place, p in enumerate(sorted(p_values)):
        if p > level / (len(p_values) - place):
            break
        rejected += 1
    return rejected


def markdown(data: dict[str, Any]) -> str:
    """results/box2d.md."""
    p_values = [p for row in data["fidelity"].values() for p in row["p"].values()]
    parts = [HEAD.format(verdict=f"{holm(p_values)} of {len(p_values)} rejected")]
    rows = []
    for policy, row in data["fidelity"].items():
        for side in ("jaxrl", "Gymnasium"):
            found = row[side]
            cells = [
                f"{m:.1f} ({e:.1f}), {a:.0f} / {b:.0f} / {c:.0f}"
                for m, e, a, b, c in (found["return"], found["length"])
            ]
            tests = [f"{row['distance'][f]:.3f}, {row['p'][f]:.2f}" for f in ("return", "length")]
            ours = side == "jaxrl"
            landed = f"{found['landed']:.3f}" if "landed" in found else ""
            landed += f" ({row['landed_errors']:+.1f} s.e.)" if landed and ours else ""
            rows.append([policy, side, str(found["num"]), *cells, landed, *(tests if ours else ["", ""])])
    header = ["policy", "side", "episodes", "return: mean (s.e.), 10 / 50 / 90 %", "length: the same", "landed"]
    parts.append(report.table(header + ["return: D, p", "length: D, p"], rows))
    return "\n".join([*map(str, parts), "", report.facts(data["circumstances"])])


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", nargs="*", choices=tuple(SAMPLES), default=list(SAMPLES))
    parser.add_argument("--episodes", type=int, default=1_000)
    arguments = parser.parse_args()
    data = report.read("box2d") or {"fidelity": {}, "circumstances": {}}
    with disk_cache():
        for name in arguments.envs:
            data["circumstances"][name] = report.circumstances()
            data["fidelity"] |= fidelity(name, arguments.episodes)
    report.write("box2d", markdown(data), data)
    print(markdown(data))


if __name__ == "__main__":
    main()
