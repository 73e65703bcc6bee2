"""Record single steps of Gymnasium's and MinAtar's own environments, for the tests that compare ours with them.

Run by hand, with gymnasium and minatar installed: `python tests/envs/record_traces.py`. It writes
`traces/classic_control.npz` and `traces/minatar.npz`, which are committed, so that the tests need neither package.
A trace holds what stood before the step, the action, and what came after it, under `<game>/before/<field>` and so on.
"""

from pathlib import Path

import gymnasium
import numpy as np
from minatar import Environment

TRACES = Path(__file__).parent / "traces"
NUM_CLASSIC, NUM_MINATAR = 400, 600
NUM_PLAYED = 4000  # of these steps in MinAtar, NUM_MINATAR are kept: half of them with a reward or an end
MAX_SEAQUEST_ENTITIES = 24


def main():
    random = np.random.RandomState(0)
    np.savez_compressed(TRACES / "classic_control.npz", **classic_control(random))
    np.savez_compressed(TRACES / "minatar.npz", **minatar(random))


# Where the states of the second half of a trace are drawn from; the first half are met under random play.
STATE_RANGES = {
    "CartPole-v1": ([-2.4, -3, -0.209, -3], [2.4, 3, 0.209, 3]),
    "Acrobot-v1": ([-3.1, -3.1, -12, -28], [3.1, 3.1, 12, 28]),
    "Pendulum-v1": ([-9, -8], [9, 8]),
    "MountainCar-v0": ([-1.2, -0.07], [0.6, 0.07]),
    "MountainCarContinuous-v0": ([-1.2, -0.07], [0.6, 0.07]),
}


def classic_control(random):
    arrays = {}
    for name, (low, high) in STATE_RANGES.items():
        env = gymnasium.make(name, disable_env_checker=True).unwrapped
        env.action_space.seed(0)
        env.reset(seed=0)
        steps = []
        for index in range(NUM_CLASSIC):
            if index >= NUM_CLASSIC // 2:
                margin = 0.1 * (np.asarray(high) - low)
                env.state = np.clip(random.uniform(low - margin, high + margin), low, high)  # many on a bound
            state = np.asarray(env.state, np.float32)
            env.state = state.astype(np.float64)
            action = env.action_space.sample()
            obs, reward, terminated, _, _ = env.step(action)
            steps.append((state, action, obs, reward, terminated))
            if terminated or (index + 1) % 100 == 0:
                env.reset()
        for field, values in zip(
            ("before", "action", "obs", "reward", "terminated"), zip(*steps, strict=True), strict=True
        ):
            arrays[f"{name}/{field}"] = np.asarray(values, np.float32 if field in ("obs", "reward") else None)
    return arrays


def minatar(random):
    arrays = {}
    for game, (fields, play) in GAMES.items():
        env = Environment(game, sticky_action_prob=0.0)
        env.seed(0)
        env.reset()
        actions = env.minimal_action_set()
        steps = []
        for index in range(NUM_PLAYED):
            action = play(env.env, random)
            before = fields(env.env)
            reward, terminated = env.act(actions[action])
            steps.append((before, action, fields(env.env), env.state(), reward, terminated))
            env.env.terminal = False
            # Where play can go on after an end it does, so that states late in a game are met.
            if (terminated and game not in ("asterix", "seaquest")) or (index + 1) % 1000 == 0:
                env.reset()
        before, action, after, obs, reward, terminated = zip(
            *(steps[index] for index in kept(steps, random)), strict=True
        )
        for when, states in (("before", before), ("after", after)):
            for name in states[0]:
                arrays[f"{game}/{when}/{name}"] = np.asarray([state[name] for state in states], np.int16)
        arrays |= {f"{game}/obs": np.packbits(np.asarray(obs), axis=-1), f"{game}/action": np.asarray(action, np.int8)}
        arrays |= {f"{game}/reward": np.asarray(reward, np.int8), f"{game}/terminated": np.asarray(terminated)}
    return arrays


def kept(steps, random):
    """The numbers of the steps to keep: those where something happened first, then others, in order."""
    happened = np.array([reward != 0 or terminated for *_, reward, terminated in steps])
    order = random.permutation(len(steps))
    eventful, plain = order[happened[order]][: NUM_MINATAR // 2], order[~happened[order]]
    return np.sort(np.concatenate([eventful, plain])[:NUM_MINATAR])


def attributes(*names):
    return lambda game: {name: np.asarray(getattr(game, name), np.int16) for name in names}


def breakout(game):
    return attributes("ball_y", "ball_x", "ball_dir", "pos", "brick_map", "strike", "last_y", "last_x")(game)


def freeway(game):
    return attributes("pos", "cars", "move_timer")(game)


def space_invaders(game):
    names = ("pos", "f_bullet_map", "e_bullet_map", "alien_map", "alien_dir", "enemy_move_interval")
    return attributes(*names, "alien_move_timer", "alien_shot_timer", "ramp_index", "shot_timer")(game)


def asterix(game):
    names = ("player_x", "player_y", "shot_timer", "spawn_speed", "spawn_timer", "move_speed", "move_timer")
    entities = [[0] * 5 if entity is None else [*map(int, entity), 1] for entity in game.entities]
    return {**attributes(*names, "ramp_timer", "ramp_index")(game), "entities": np.asarray(entities, np.int16)}


def seaquest(game):
    names = ("oxygen", "sub_x", "sub_y", "sub_or", "diver_count", "e_spawn_speed", "e_spawn_timer", "d_spawn_timer")
    fields = attributes(*names, "move_speed", "ramp_index", "shot_timer", "surface")(game)
    for name, width in (("f_bullets", 3), ("e_bullets", 3), ("e_fish", 4), ("e_subs", 5), ("divers", 4)):
        rows = np.zeros((MAX_SEAQUEST_ENTITIES, width), np.int16)
        entities = getattr(game, name)
        rows[: len(entities)] = np.asarray(entities, np.int16).reshape(-1, width)
        counter = {"f_bullets": "f_bullet_count", "e_bullets": "e_bullet_count"}.get(name, f"{name}_count")
        fields |= {name: rows, counter: np.int16(len(entities))}
    return fields


def play_breakout(game, random):
    if random.rand() < 0.05:
        return random.randint(3)
    target = game.ball_x + (1 if game.ball_dir in (1, 2) else -1)
    return 0 if target == game.pos else 1 if target < game.pos else 2


def play_freeway(game, random):
    return 1 if random.rand() < 0.8 else random.randint(3)


def play_space_invaders(game, random):
    if random.rand() < 0.02:  # to clear a wave
        game.alien_map[:3] = 0
    if game.e_bullet_map[7:9, game.pos].any():
        return random.choice([1, 2])
    return random.choice([0, 1, 2, 3], p=[0.1, 0.2, 0.2, 0.5])


def play_seaquest(game, random):
    if random.rand() < 0.05:  # to surface with every number of divers
        game.diver_count, game.oxygen = random.randint(7), random.randint(201)
    return random.choice(6, p=[0.05, 0.15, 0.2, 0.15, 0.2, 0.25])


GAMES = {
    "breakout": (breakout, play_breakout),
    "freeway": (freeway, play_freeway),
    "space_invaders": (space_invaders, play_space_invaders),
    "asterix": (asterix, lambda game, random: random.randint(5)),
    "seaquest": (seaquest, play_seaquest),
}

if __name__ == "__main__":
    main()
