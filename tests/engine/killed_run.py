"""A run in a process of its own, to be killed: `python killed_run.py run|resume CASE FOLDER`."""

import sys
from typing import Any

import jaxrl

CASES: dict[str, Any] = {
    "ppo": lambda: jaxrl.PPO(
        "CartPole-v1", total_steps=8_000, hidden_sizes=(8,), normalize_observations=True, normalize_rewards=True
    ),
    "recurrent_ppo": lambda: jaxrl.RecurrentPPO(
        "CartPole-v1", total_steps=8_000, hidden_sizes=(8,), memory_size=8, normalize_observations=True
    ),
    "dqn": lambda: jaxrl.DQN(
        "CartPole-v1",
        total_steps=4_000,
        replay_capacity=2_000,
        hidden_sizes=(8,),
        prioritized=True,
        n_step=3,
        normalize_observations=True,
    ),
    "sac": lambda: jaxrl.SAC(
        "Pendulum-v1",
        total_steps=2_400,
        replay_capacity=2_000,
        hidden_sizes=(8,),
        batch_size=16,
        normalize_observations=True,
    ),
}


def main() -> None:
    mode, case, folder = sys.argv[1:]
    if mode == "run":
        jaxrl.run(
            CASES[case](), seeds=2, directory=folder, eval_episodes=2, num_reports=40, checkpoint_every=0, progress=False
        )
    else:
        jaxrl.resume(folder, progress=False)


if __name__ == "__main__":
    main()
