"""Record episodes of Gymnasium's BipedalWalker, for the tests that compare ours with them.

Run by hand, with gymnasium[box2d] installed: `python tests/envs/box2d/record_walker_traces.py`. It writes
`traces/bipedal_walker.npz` (episodes on stored ground) and `traces/bipedal_walker_samples.npz` (returns and lengths of
many), which are committed, so that the tests need no Box2D.
"""

import copy
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.envs.box2d.bipedal_walker import BipedalWalkerHeuristics

TRACES = Path(__file__).parent / "traces"
NUM_RANDOM, NUM_WALKS, NUM_SAMPLES, LONGEST = 8, 4, 1000, 100
NUM_POSES = 31
TERRAIN_POINTS = [19, 20, 21, 22, 30, 31, 60, 100, 150, 198, 199]
POINTS = 40
"""So much of the ground is stored, more than the lidar sees within LONGEST steps."""


def main():
    TRACES.mkdir(exist_ok=True)
    arrays = terrains()
    for kind, policy, num in (("random", uniform, NUM_RANDOM), ("walk", controlled, NUM_WALKS)):
        for seed in range(num):
            trace = episode(seed, policy(seed))
            arrays |= {f"{kind}/{seed}/{field}": value for field, value in trace.items()}
    np.savez_compressed(TRACES / "bipedal_walker.npz", **arrays)
    np.savez_compressed(TRACES / "bipedal_walker_samples.npz", **samples())


def make():
    return gymnasium.make("BipedalWalker-v3", disable_env_checker=True)


def uniform(seed):
    random = np.random.default_rng(seed)
    return lambda obs: random.uniform(-1, 1, 4).astype(np.float32)


def controlled(seed):
    heuristic = BipedalWalkerHeuristics()
    return lambda obs: heuristic.step_heuristic(obs).astype(np.float32)


def episode(seed, policy):
    """One episode: the ground and the push at its beginning, the actions, and what came of them."""
    env = make().unwrapped
    pushes = []
    noting_the_push(env, pushes)
    obs, _ = env.reset(seed=seed)
    steps, poses, actions, rewards, terminations = [obs], [bodies(env)], [], [], []
    for _ in range(LONGEST):
        actions.append(policy(obs).copy())
        obs, reward, terminated, _, _ = env.step(actions[-1])
        steps.append(obs)
        rewards.append(reward)
        terminations.append(terminated)
        poses.append(bodies(env))
        if terminated:
            break
    return {
        "heights": np.asarray(env.terrain_y[:POINTS], np.float32),
        "force": np.float32(pushes[0]),
        "action": np.asarray(actions, np.float32),
        "obs": np.asarray(steps, np.float32),
        "reward": np.asarray(rewards, np.float32),
        "terminated": np.asarray(terminations),
        "bodies": np.asarray(poses[:NUM_POSES], np.float32),
    }


def noting_the_push(env, pushes):
    """Let `reset` of `env` append to `pushes` the force (N) that it draws, right after the clouds."""
    make_clouds = env._generate_clouds

    def clouds():
        make_clouds()
        pushes.append(copy.deepcopy(env.np_random).uniform(-5, 5))

    env._generate_clouds = clouds


def terrains():
    """Heights of 400 grounds, as many points of each, far apart, for their statistics."""
    env, found = make().unwrapped, []
    for seed in range(400):
        env.reset(seed=seed)
        found.append(np.asarray(env.terrain_y)[TERRAIN_POINTS])
    return {"terrain/0/heights": np.asarray(found, np.float32)}


def bodies(env):
    """float [5, 6] of hull and legs: centre of mass, angle, velocity, angular velocity."""
    return [
        (*body.worldCenter, body.angle, *body.linearVelocity, body.angularVelocity) for body in (env.hull, *env.legs)
    ]


def samples():
    """Returns and lengths of whole episodes under a random and under Gymnasium's own policy.

    Each in an environment of its own: in one that is reset, Box2D meets the contacts of a body in another order, which
    the walks show (of 300 in new ones the mean length was 819 steps, of 1,000 in one that was reset 668).
    """
    arrays = {}
    for name, policy in (("random", uniform), ("heuristic", controlled)):
        returns, lengths = zip(*(outcome(seed, policy(seed)) for seed in range(NUM_SAMPLES)), strict=True)
        arrays[f"{name}/return"] = np.asarray(returns, np.float32)
        arrays[f"{name}/length"] = np.asarray(lengths, np.int16)
    return arrays


def outcome(seed, policy):
    """Return and length of one episode."""
    env = make()
    obs, _ = env.reset(seed=seed)
    total, length, is_over = 0.0, 0, False
    while not is_over:
        obs, reward, terminated, truncated, _ = env.step(policy(obs))
        total, length, is_over = total + reward, length + 1, terminated or truncated
    return total, length


if __name__ == "__main__":
    main()
