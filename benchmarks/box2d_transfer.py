"""Policies trained here and played in Gymnasium, and trained in Gymnasium and played here.

    python benchmarks/box2d_transfer.py NAME [--run FOLDER] [--seeds N] [--seeds-elsewhere N] [--steps-elsewhere N]

Trains PPO with the shipped settings in either, lets each policy play EPISODES greedy episodes in both, and writes
results/box2d_transfer.md and .json. With --run the policies trained here are those of a run that is there already, as
`learning.py --keep` leaves one. Rows that are not made again stay. Needs gymnasium[box2d].
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import report

import jaxrl
from jaxrl.cli.composition import compose_runs
from jaxrl.cli.train import algorithm_of

NAMES = ("LunarLander-v3", "BipedalWalker-v3")
EPISODES = 256

HEAD = f"""\
# Policies between jaxrl and Gymnasium

PPO with the shipped settings is trained in one and plays {EPISODES} greedy episodes in each. The *difference* is that
of the mean returns, there minus where it was trained, in per cent and in standard errors over episodes.
"""


def trained_here(ppo: jaxrl.PPO, seeds: int, folder: Path | None) -> list[Any]:
    """The policies of that run, or of one trained now."""
    if folder is None:
        run = jaxrl.run(ppo, seeds=seeds, eval_episodes=0)
        return [run.policy(seed) for seed in range(seeds)]
    return [jaxrl.load_policy(folder, seed) for seed in range(seeds)]


def trained_elsewhere(ppo: jaxrl.PPO, name: str, seeds: int) -> list[Any]:
    """Trained in Gymnasium's environment, one after another: it cannot be copied."""
    elsewhere = dataclasses.replace(ppo, env=jaxrl.make(f"gymnasium/{name}"))
    return [jaxrl.run(elsewhere, seeds=1, seed=seed, eval_episodes=0).policy(0) for seed in range(seeds)]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The returns of every policy in both."""
    circumstances, name = report.circumstances(), arguments.name
    words = [f"env={name}"] + ([f"algorithm.total_steps={arguments.steps}"] if arguments.steps else [])
    ppo = algorithm_of(compose_runs(words)[0])
    here = trained_here(ppo, arguments.seeds, arguments.run)
    less = dataclasses.replace(ppo, total_steps=arguments.steps_elsewhere or ppo.total_steps)
    elsewhere = trained_elsewhere(less, name, arguments.seeds_elsewhere)
    policies = [("jaxrl", *each) for each in enumerate(here)] + [("Gymnasium", *each) for each in enumerate(elsewhere)]

    @jax.jit
    def play(policy: Any, key: jax.Array) -> jax.Array:
        return jaxrl.evaluate(policy, ppo.env, key, num_episodes=EPISODES).returns

    rows = []
    for trained, seed, policy in policies:
        ours = play(policy, jax.random.key(1_000 + seed))
        theirs = jaxrl.play(policy, name, num_episodes=EPISODES, seed=1_000 * (seed + 1)).returns
        row = {"trained": trained, "seed": seed, "steps": (ppo if trained == "jaxrl" else less).total_steps}
        rows.append({**row, "jaxrl": np.asarray(ours).tolist(), "Gymnasium": theirs.tolist()})
    return {"circumstances": circumstances, "rows": rows}


def summary(row: dict[str, Any]) -> list[str]:
    """One line of the table."""
    home, away = ("jaxrl", "Gymnasium") if row["trained"] == "jaxrl" else ("Gymnasium", "jaxrl")
    means = {side: np.mean(row[side]) for side in (home, away)}
    errors = {side: np.std(row[side]) / np.sqrt(len(row[side])) for side in means}
    shift, error = means[away] - means[home], np.hypot(*errors.values())
    cells = [f"{means[side]:.1f} ({errors[side]:.1f})" for side in ("jaxrl", "Gymnasium")]
    return [row["trained"], str(row["seed"]), *cells, f"{100 * shift / abs(means[home]):+.1f} %, {shift / error:+.1f}"]


def markdown(results: dict[str, Any]) -> str:
    """results/box2d_transfer.md."""
    header = ["environment", "steps", "trained in", "seed", "return in jaxrl (s.e.)", "in Gymnasium (s.e.)"]
    rows = [[name, f"{row['steps']:,}", *summary(row)] for name, found in results.items() for row in found["rows"]]
    facts = report.facts({name: found["circumstances"] for name, found in results.items()})
    return "\n".join([HEAD, report.table([*header, "difference"], rows), "", facts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="of the policies that were trained here")
    parser.add_argument("--seeds", type=int, default=2, help="trained here")
    parser.add_argument("--seeds-elsewhere", type=int, default=2, help="trained in Gymnasium")
    parser.add_argument("--steps", type=int, help="instead of those of the shipped settings")
    parser.add_argument("--steps-elsewhere", type=int, help="the same for those trained in Gymnasium")
    arguments = parser.parse_args()
    jaxrl.use_all_cores()
    found = measure(arguments)
    results = report.read("box2d_transfer") or {}
    anew = {(row["trained"], row["seed"]) for row in found["rows"]}
    before = results.get(arguments.name, {"rows": []})["rows"]
    kept = [row for row in before if (row["trained"], row["seed"]) not in anew]
    found["rows"] = sorted(found["rows"] + kept, key=lambda row: (row["trained"] != "jaxrl", row["seed"]))
    results[arguments.name] = found
    report.write("box2d_transfer", markdown(results), results)
    print(markdown(results))


if __name__ == "__main__":
    main()
