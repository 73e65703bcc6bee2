"""What the shipped settings reach, task by task, beside what the literature reached.

    python benchmarks/learning.py [--only NAME ...] [--list]

Trains each task as `jaxrl train` does with the words shown, evaluates every seed over 128 greedy episodes, and writes
results/learning.md, .json and .png after each task. With --only, the results of the others stay as they are.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import report
from environments import is_here

import jaxrl
from jaxrl.analysis.plots import learning_curve
from jaxrl.analysis.statistics import bootstrap_interval
from jaxrl.cli.composition import compose_runs
from jaxrl.cli.train import algorithm_of

EVAL_EPISODES = 128


class Task(NamedTuple):
    """What is trained, and what it is to reach."""

    algorithm: str
    env: str
    seeds: int
    most_steps: int
    """The budget; the settings may stay below it."""
    threshold: float
    source: str
    is_control: bool = False
    """The algorithm cannot solve the task: the return must stay at or below the threshold."""
    settings: tuple[str, ...] = ()
    """Further words of the command line, such as a switch `algorithm.double=true`."""

    @property
    def agent(self) -> str:
        return " ".join([self.algorithm, *(word.removeprefix("algorithm.") for word in self.settings)])

    @property
    def name(self) -> str:
        return f"{self.env} {self.agent}"

    @property
    def words(self) -> list[str]:
        return [f"algorithm={self.algorithm}", f"env={self.env}", f"seeds={self.seeds}", *self.settings]


ZOO_DQN = "rl-baselines3-zoo, DQN: 500 at 50k steps"
PLAIN = (
    "algorithm.double=false",
    "algorithm.layer_norm=true",
    "algorithm.hidden_sizes=[64,64]",
    "algorithm.activation=silu",
)
NOISY = ("algorithm.noisy=true", "algorithm.total_steps=200_000")
REPLAYED = ("algorithm.n_step=3", "algorithm.prioritized=true", "algorithm.normalize_observations=true")
ON_POLICY = (
    "algorithm.replay_capacity=null",
    "algorithm.num_updates=8",
    "algorithm.sequence_length=32",
    "algorithm.batch_size=16",
)
BRIEFLY = ("algorithm.total_steps=150_000",)
TASKS = (
    Task("ppo", "CartPole-v1", 16, 150_000, 475, "Gymnasium's threshold; gymnax-blines 500 from 95k steps on"),
    Task("a2c", "CartPole-v1", 8, 500_000, 450, "rl-baselines3-zoo, A2C: 500 at 500k steps"),
    Task("ppo", "Acrobot-v1", 8, 500_000, -90, "CleanRL, PPO: -86.4 at 500k; gymnax-blines -78.9 at 496k"),
    Task("ppo", "Pendulum-v1", 8, 500_000, -200, "rl-baselines3-zoo, PPO: -172 at 100k; gymnax-blines -200 at 992k"),
    Task("ppo", "Breakout-MinAtar", 4, 1_000_000, 15, "gymnax-blines, PPO: 16.6 at 960k steps, sampled actions"),
    Task("ppo", "SpaceInvaders-MinAtar", 4, 1_000_000, 35, "gymnax-blines, PPO: 30.4 at 640k, 50.4 at 960k, sampled"),
    Task("ppo", "Catch-bsuite", 8, 100_000, 0.95, "gymnax-blines, PPO: 1.0 from 31k steps on; the most there is"),
    Task("recurrent_ppo", "MemoryChain-bsuite", 8, 500_000, 0.9, "1.0 is the most there is; memory length 10"),
    Task("ppo", "MemoryChain-bsuite", 8, 500_000, 0.2, "a control: gymnax-blines, PPO without memory: about 0", True),
    Task("recurrent_ppo", "CartPoleNoVel-v1", 8, 500_000, 450, "rl-baselines3-zoo, PPO with an LSTM: 500 at 100k"),
    Task("pqn", "CartPole-v1", 8, 500_000, 475, "Gymnasium's threshold; purejaxql, PQN: about 500 at 500k"),
    Task("pqn", "Breakout-MinAtar", 8, 2_000_000, 12, "gymnax-blines, PPO: 16.6 at 960k steps, sampled actions"),
    Task("recurrent_pqn", "MemoryChain-bsuite", 8, 300_000, 0.9, "1.0 is the most there is; memory length 10"),
    Task("pqn", "MemoryChain-bsuite", 8, 300_000, 0.2, "a control: without a memory about 0", True),
    Task("dqn", "CartPole-v1", 8, 100_000, 450, ZOO_DQN),
    Task("dqn", "CartPole-v1", 8, 100_000, 450, ZOO_DQN, settings=PLAIN),
    Task("dqn", "CartPole-v1", 8, 100_000, 450, ZOO_DQN, settings=("algorithm.double=false", "algorithm.dueling=true")),
    Task("dqn", "CartPole-v1", 8, 100_000, 450, ZOO_DQN, settings=("algorithm.n_step=3",)),
    Task("dqn", "CartPole-v1", 8, 100_000, 450, ZOO_DQN, settings=("algorithm.prioritized=true",)),
    Task("dqn", "CartPole-v1", 8, 200_000, 450, ZOO_DQN, settings=NOISY),
    Task("c51", "CartPole-v1", 8, 200_000, 450, "CleanRL, C51: 481 to 491 at 500k"),
    Task("qr_dqn", "CartPole-v1", 8, 100_000, 450, "rl-baselines3-zoo, QR-DQN: 500 at 50k"),
    Task("iqn", "CartPole-v1", 8, 100_000, 450, "Rejax's budget for DQN and IQN"),
    Task("munchausen_dqn", "CartPole-v1", 8, 100_000, 450, "as DQN"),
    Task("rainbow", "CartPole-v1", 8, 200_000, 450, "as C51"),
    Task("dqn", "Acrobot-v1", 8, 100_000, -95, "rl-baselines3-zoo, DQN: -76.6 at 100k; CleanRL -91.5 at 500k"),
    Task("dqn", "MountainCar-v0", 8, 120_000, -130, "rl-baselines3-zoo: DQN -101, QR-DQN -106 at 120k"),
    Task("dqn", "Catch-bsuite", 8, 100_000, 0.95, "1.0 is the most there is"),
    Task("dqn", "DeepSea-bsuite", 8, 50_000, 0.6, "0.99 in most seeds; size 10, explored by noisy weights"),
    Task("dqn", "DeepSea-bsuite", 8, 50_000, 0.3, "a control: epsilon-greedily", True, ("algorithm.noisy=false",)),
    Task("ddpg", "Pendulum-v1", 8, 20_000, -180, "rl-baselines3-zoo, DDPG: -152 at 20k"),
    Task("td3", "Pendulum-v1", 8, 20_000, -180, "rl-baselines3-zoo, TD3: -152 at 20k"),
    Task("d4pg", "Pendulum-v1", 8, 50_000, -220, "as TD3"),
    Task("sac", "Pendulum-v1", 8, 20_000, -180, "rl-baselines3-zoo, SAC: -157 at 20k"),
    Task("sac", "Pendulum-v1", 8, 20_000, -180, "as SAC", settings=REPLAYED),
    Task("tqc", "Pendulum-v1", 8, 20_000, -180, "rl-baselines3-zoo, TQC: -151 at 20k"),
    Task("crossq", "Pendulum-v1", 8, 20_000, -180, "as SAC"),
    Task("mpo", "Pendulum-v1", 8, 50_000, -220, "as D4PG"),
    Task("sac", "MountainCarContinuous-v0", 8, 100_000, 85, "rl-baselines3-zoo, SAC: 94.7 at 50k"),
    Task("td3", "MountainCarContinuous-v0", 8, 300_000, 85, "rl-baselines3-zoo, TD3: 93.5 at 300k"),
    Task("discrete_sac", "CartPole-v1", 8, 100_000, 450, "Gymnasium's cap of 500; Rejax's budget is 50k"),
    Task("awr", "CartPole-v1", 8, 100_000, 450, "500 is the most there is"),
    Task("awr", "CartPole-v1", 8, 100_000, 450, "as off-policy", settings=ON_POLICY),
    Task("awr", "Pendulum-v1", 8, 100_000, -200, "rl-baselines3-zoo, PPO: -172 at 100k"),
    Task("ppo", "LunarLander-v3", 8, 1_500_000, 200, "Gymnasium's threshold; rl-baselines3-zoo, PPO: 242 at 1M"),
    Task("ppo", "BipedalWalker-v3", 2, 5_000_000, 280, "rl-baselines3-zoo, PPO: 288 at 5M"),
    Task("ppo", "brax/inverted_pendulum", 4, 1_000_000, 950, "1,000 is the most there is; Brax's own PPO: 2M steps"),
    Task("ppo", "craftax/Craftax-Classic-Symbolic-v1", 2, 1_000_000, 4.2, "Crafter's paper, PPO from pixels: 4.2 at 1M"),
    Task("ppo", "envpool/CartPole-v1", 1, 150_000, 475, "Gymnasium's threshold", settings=BRIEFLY),
    Task("ppo", "gymnasium/CartPole-v1", 1, 150_000, 475, "Gymnasium's threshold", settings=BRIEFLY),
    Task("ppo", "jumanji/Snake-v1", 4, 1_000_000, 8, "no published number for so few steps"),
    Task("ppo", "mjx/HalfCheetah-v5", 2, 500_000, 1000, "CleanRL, PPO: 1,443 at 1M in C MuJoCo"),
    Task("ppo", "navix/Navix-Empty-8x8-v0", 4, 200_000, 0.95, "1.0 is the most there is"),
    Task("ppo", "pgx/tic_tac_toe", 4, 1_000_000, 0.8, "against random moves; 1.0 would be every game won"),
    Task("ppo", "playground/CartpoleBalance", 4, 200_000, 950, "1,000 is the most there is"),
    Task("ppo", "xminigrid/MiniGrid-Empty-8x8", 4, 300_000, 0.9, "1.0 less what the steps cost"),
    Task("r2d2", "MemoryChain-bsuite", 8, 300_000, 0.9, "1.0 is the most there is; memory length 10"),
    Task("dqn", "MemoryChain-bsuite", 8, 300_000, 0.2, "a control: without a memory about 0", True),
)


def trained(task: Task, settings: dict[str, Any], algorithm: Any, keep: Path | None) -> jaxrl.Run:
    """The task's run: a new one, or, where `keep` holds one that was interrupted, the rest of it."""
    folder = None if keep is None else keep / task.name.replace("/", "-").replace(" ", "-")
    if folder is not None and folder.is_dir():
        return jaxrl.resume(folder)
    return jaxrl.run(algorithm, seeds=task.seeds, seed=settings["seed"], eval_episodes=EVAL_EPISODES, directory=folder)


def measure(task: Task, keep: Path | None = None) -> dict[str, Any]:
    """Train and evaluate; plain data. The run itself stays in a folder of `keep`."""
    circumstances = report.circumstances()
    (choice,) = compose_runs(task.words)
    settings = choice.settings
    run = trained(task, settings, algorithm_of(choice), keep)
    evaluation = run.evaluation
    assert evaluation is not None
    return {
        "circumstances": circumstances,
        "settings": settings,
        "steps": int(run.steps[-1]),
        "returns": [_plain(value) for value in run.returns],
        "incomplete": int((~np.asarray(evaluation.completed)).sum()),
        "diverged": list(run.diverged),
        "seconds": {"compiling": run.timing.compiling, "training": run.timing.training},
        "curve": {
            "steps": run.steps.tolist(),
            "returns": [[_plain(value) for value in seed] for seed in run.metrics["episode_return"]],
        },
    }


def _plain(value: float) -> float | None:
    """JSON has no NaN: what a diverged seed reached, or a stretch in which no episode ended."""
    return round(float(value), 4) if math.isfinite(value) else None


def is_reached(task: Task, result: dict[str, Any]) -> bool:
    """Every seed counts: one that diverged, or a run beyond the budget, reaches nothing."""
    if result["diverged"] or result["steps"] > 1.01 * task.most_steps:  # whole iterations may go a little beyond
        return False
    estimate = np.mean(result["returns"])
    return bool(estimate <= task.threshold if task.is_control else estimate >= task.threshold)


def markdown(results: dict[str, Any]) -> str:
    """The table of results/learning.md."""
    rows = [_row(task, results[task.name]) for task in TASKS if task.name in results]
    header = ["task", "algorithm", "seeds", "steps", "return [95 % interval]", "wanted", "reached", "literature"]
    header += ["training s", "steps/s"]
    return "\n".join(
        [
            "# What the shipped settings reach\n",
            f"The mean over seeds of {EVAL_EPISODES} greedy episodes each, and its 95 % bootstrap interval over seeds;",
            "steps are those of one seed, steps per second those of all seeds together, without compiling. Each row is",
            "`jaxrl train` with `algorithm=`, `env=` and `seeds=` of that row, and the settings beside the algorithm's",
            "name, as in `algorithm.double=true`. Curves: [learning.png](learning.png).\n",
            report.table(header, rows),
            "",
            report.facts({name: result["circumstances"] for name, result in results.items()}),
        ]
    )


def _row(task: Task, result: dict[str, Any]) -> list[str]:
    interval = bootstrap_interval([value for value in result["returns"] if value is not None])
    digits = 2 if abs(task.threshold) < 10 else 1
    shown = f"{interval.estimate:.{digits}f}"
    if task.seeds > 1:
        shown += f" [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
    if result["diverged"]:
        shown += f", {len(result['diverged'])} seeds diverged"
    if result["incomplete"]:
        shown += f", {result['incomplete']} episodes cut off"
    wanted = f"{'<=' if task.is_control else '>='} {task.threshold:g} in {task.most_steps:,}"
    seconds = result["seconds"]["training"]
    speed = task.seeds * result["steps"] / seconds
    reached = "yes" if is_reached(task, result) else "**no**"
    return [task.env, task.agent, str(task.seeds), f"{result['steps']:,}", shown, wanted, reached, task.source] + [
        f"{seconds:.1f}",
        f"{speed:,.0f}",
    ]


def draw(results: dict[str, Any], path: Path) -> None:
    """One panel per task: the return of training episodes, and the threshold."""
    from matplotlib.figure import Figure

    tasks = [task for task in TASKS if task.name in results]
    columns = min(len(tasks), 4)
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * rows), layout="constrained")
    for index, task in enumerate(tasks):
        axes = figure.add_subplot(rows, columns, index + 1)
        curve = results[task.name]["curve"]
        learning_curve(axes, np.asarray(curve["steps"]) / 1_000, np.asarray(curve["returns"], np.float64))
        axes.axhline(task.threshold, color="black", linewidth=0.8, linestyle="--")
        axes.set_title(f"{task.env}\n{task.agent}, {task.seeds} seeds", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if index % columns == 0:
            axes.set_ylabel("training return", fontsize=8)
        if index + columns >= len(tasks):
            axes.set_xlabel("thousand steps per seed", fontsize=8)
    figure.savefig(path, dpi=120)


def is_installed(task: Task) -> bool:
    """Whether the package of the environment's suite is there; says so where it is not."""
    found = is_here(task.env)
    if not found:
        print(f'{task.name} is left out; it needs pip install "jaxrl[{task.env.partition("/")[0]}]".')
    return found


def chosen(words: list[str]) -> list[Task]:
    """The tasks whose name contains one of `words`; all for none."""
    tasks = [task for task in TASKS if not words or any(word.lower() in task.name.lower() for word in words)]
    if not tasks:
        sys.exit(f"No task is called like {' or '.join(words)}; there are: {', '.join(task.name for task in TASKS)}.")
    return tasks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="part of a task's name, as --list shows")
    parser.add_argument("--list", action="store_true", help="name the tasks and train nothing")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the runs there, and go on with interrupted ones")
    arguments = parser.parse_args()
    jaxrl.use_all_cores()
    tasks = chosen(arguments.only)
    if arguments.list:
        print("\n".join(task.name for task in tasks))
        return 0
    tasks = list(filter(is_installed, tasks))
    results = report.read("learning") or {}
    for task in tasks:
        result = measure(task, arguments.keep)
        results = {**(report.read("learning") or {}), task.name: result}  # read now: others may have written meanwhile
        results = {each.name: results[each.name] for each in TASKS if each.name in results}
        report.write("learning", markdown(results), results)
        draw(results, report.RESULTS / "learning.png")
    print(markdown(results))
    return int(not all(is_reached(task, results[task.name]) for task in tasks))


if __name__ == "__main__":
    sys.exit(main())
