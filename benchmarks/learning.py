"""What the shipped settings reach, task by task, beside what the literature reached.

    python benchmarks/learning.py [--only NAME ...] [--list]

Trains each task as `jaxrl train` does with the words shown, evaluates every seed over 128 greedy episodes, and writes
results/learning.md, .json and .png after each task. With --only, the results of the others stay as they are.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import report
from environments import is_here
from tasks import TASKS, Task

import jaxrl
from jaxrl.analysis.plots import learning_curve
from jaxrl.analysis.statistics import bootstrap_interval
from jaxrl.cli.composition import compose_runs
from jaxrl.cli.train import algorithm_of

EVAL_EPISODES = 128


def trained(task: Task, settings: dict[str, Any], algorithm: Any, keep: Path | None) -> jaxrl.Run:
    """The task's run: a new one, or, where `keep` holds one that was interrupted, the rest of it."""
    folder = None if keep is None else keep / task.name.replace("/", "-").replace(" ", "-")
    if folder is not None and folder.is_dir():
        return jaxrl.resume(folder)
    greedy_episodes = 0 if task.is_sampled else EVAL_EPISODES
    return jaxrl.run(
        algorithm, seeds=task.seeds, seed=settings["seed"], eval_episodes=greedy_episodes, directory=folder
    )


def played(task: Task, run: jaxrl.Run) -> Any:
    """The episodes after the training, leaves [S, EVAL_EPISODES]."""
    if not task.is_sampled:
        return run.evaluation
    policies = [run.policy(seed, greedy=False) for seed in range(task.seeds)]
    return sampled_episodes(policies, run.algorithm.env)


def sampled_episodes(policies: list[Any], env: Any) -> Any:
    """The same for policies that explore as at the end of their training."""
    play = jax.jit(lambda policy, key: jaxrl.evaluate(policy, env, key, EVAL_EPISODES))
    found = [play(policy, jax.random.key(seed)) for seed, policy in enumerate(policies)]
    return jax.tree.map(lambda *seeds: np.stack(seeds), *found)


def measure(task: Task, keep: Path | None = None) -> dict[str, Any]:
    """Train and evaluate; plain data. The run itself stays in a folder of `keep`."""
    circumstances = report.circumstances()
    (choice,) = compose_runs(task.words)
    settings = choice.settings
    run = trained(task, settings, algorithm_of(choice), keep)
    episodes = played(task, run)
    return {
        "circumstances": circumstances,
        "settings": settings,
        "steps": int(run.steps[-1]),
        "returns": [_plain(value) for value in np.asarray(episodes.returns).mean(axis=1)],
        "incomplete": int((~np.asarray(episodes.completed)).sum()),
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
            "in Craftax, as in its paper, the actions are sampled;",
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
