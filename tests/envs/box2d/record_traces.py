"""Record episodes of Gymnasium's LunarLander, for the tests that compare ours with them.

Run by hand, with gymnasium[box2d] installed: `python tests/envs/box2d/record_traces.py`. It writes
`traces/lunar_lander.npz` (episodes, with the noise that they met) and `traces/lunar_lander_samples.npz` (returns,
lengths and landings of many), which are committed, so that the tests need no Box2D.
"""

import copy
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.envs.box2d.lunar_lander import heuristic
from gymnasium.utils import seeding

TRACES = Path(__file__).parent / "traces"
NUM_FLIGHTS, FLIGHT_STEPS, NUM_LANDINGS, NUM_CRASHES, NUM_SAMPLES = 4, 100, 12, 12, 1000
VARIANTS = {"calm": {}, "windy": {"continuous": True, "enable_wind": True}}


def main():
    TRACES.mkdir(exist_ok=True)
    arrays = {}
    for name, settings in VARIANTS.items():
        env = make(**settings)
        flights = (episode(env, seed, hover, FLIGHT_STEPS) for seed in range(10_000))
        for index, flight in zip(range(NUM_FLIGHTS), (flight for flight in flights if in_air(flight)), strict=False):
            arrays |= {f"{name}/{index}/{field}": value for field, value in flight.items()}
    env = make()
    for kind, policy, num in (("landing", controlled, NUM_LANDINGS), ("crash", uniform, NUM_CRASHES)):
        for seed in range(num):
            trace = episode(env, seed, policy, 1000)
            arrays |= {f"{kind}/{seed}/{field}": value for field, value in trace.items() if field != "bodies"}
    np.savez_compressed(TRACES / "lunar_lander.npz", **arrays)
    np.savez_compressed(TRACES / "lunar_lander_samples.npz", **samples())


def make(**settings):
    return gymnasium.make("LunarLander-v3", disable_env_checker=True, **settings).unwrapped


def controlled(env, obs, random):
    return heuristic(env, obs)


def uniform(env, obs, random):
    return random.uniform(-1, 1, 2).astype(np.float32) if env.continuous else int(random.integers(4))


def hover(env, obs, random):
    """Long in the air, and with every engine."""
    return (controlled if random.random() < 0.6 else uniform)(env, obs, random)


def episode(env, seed, policy, max_steps):
    """One episode: what its beginning drew, the actions, the engines' noise, and what came of them."""
    obs, _ = env.reset(seed=seed)
    draw, _ = seeding.np_random(seed)
    start = {"heights": draw.uniform(0, 400 / 30 / 2, 12), "force": draw.uniform(-1000, 1000, 2)}
    start["wind"] = draw.integers(-9999, 9999, 2) if env.enable_wind else np.zeros(2)
    random = np.random.default_rng(seed)
    steps, bodies = [], [poses(env)]
    for _ in range(max_steps):
        noise = copy.deepcopy(env.np_random).uniform(-1, 1, 2)
        action = policy(env, obs, random)
        obs, reward, terminated, _, _ = env.step(action)
        steps.append((action, noise, obs, reward, terminated))
        bodies.append(poses(env))
        if terminated:
            break
    fields = dict(zip(("action", "noise", "obs", "reward", "terminated"), zip(*steps, strict=True), strict=True))
    arrays = start | fields | {"bodies": bodies}
    return {
        name: np.asarray(value, None if name in ("terminated",) or np.asarray(value).dtype.kind == "i" else np.float32)
        for name, value in arrays.items()
    }


def poses(env):
    """float [3, 6] of hull and legs: centre of mass, angle, velocity, angular velocity."""
    return [
        (*body.worldCenter, body.angle, *body.linearVelocity, body.angularVelocity) for body in (env.lander, *env.legs)
    ]


def in_air(trace):
    return len(trace["reward"]) == FLIGHT_STEPS and not trace["obs"][:, 6:].any()


def samples():
    """Returns, lengths and landings of whole episodes under a random and under Gymnasium's own policy."""
    arrays = {}
    for name, policy in (("random", uniform), ("heuristic", controlled)):
        env = gymnasium.make("LunarLander-v3", disable_env_checker=True)
        random, found = np.random.default_rng(1), []
        obs, _ = env.reset(seed=12345)
        for _ in range(NUM_SAMPLES):
            total, length, is_over = 0.0, 0, False
            while not is_over:
                obs, reward, terminated, truncated, _ = env.step(policy(env.unwrapped, obs, random))
                total, length, is_over = total + reward, length + 1, terminated or truncated
            found.append((total, length, terminated and reward == 100))
            obs, _ = env.reset()
        returns, lengths, landed = zip(*found, strict=True)
        arrays[f"{name}/return"] = np.asarray(returns, np.float32)
        arrays[f"{name}/length"] = np.asarray(lengths, np.int16)
        arrays[f"{name}/landed"] = np.asarray(landed)
    return arrays


if __name__ == "__main__":
    main()
