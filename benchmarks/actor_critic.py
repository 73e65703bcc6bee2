"""How fast SAC and TD3 train on Pendulum, beside Rejax, SBX and Stable-Baselines3.

    python benchmarks/actor_critic.py [--only ROW ...] [--peers PEER ...] [--repeats N] [--steps N] [--quick]

jaxrl trains as one program on one device, and by `jaxrl.run`, with a CPU device for each core. Each peer runs in a
process and a virtual environment of its own (peers/), which the first run installs into .venv/peers. Writes
results/actor_critic.md and .json; --quick only shows that everything runs, and writes nothing, and --only without a row
only writes the tables anew.
"""

from typing import Any, NamedTuple

import measure
from workload import Benchmark, Loop, Row, scaled_start, trained

from jaxrl import make
from jaxrl.algorithms.actor_critic.sac import SAC
from jaxrl.algorithms.actor_critic.td3 import TD3


class Settings(NamedTuple):
    """Of SAC, the values are those of Rejax's configuration of Pendulum (configs/gymnax/pendulum.yaml); 20,000 steps
    in place of 10,000, which do not fill the replay.
    """

    algorithm: str = "SAC"
    env: str = "Pendulum-v1"
    num_envs: int = 1
    total_steps: int = 20_000
    buffer_size: int = 10_000
    batch_size: int = 256
    learning_starts: int = 256
    num_updates: int = 1
    """Gradient steps after each step of all environments."""
    target_rate: float = 0.02
    hidden_sizes: tuple[int, ...] = (64, 64)
    activation: str = "swish"
    learning_rate: float = 1e-2
    """Of actor, critics and temperature."""
    max_grad_norm: float | None = None
    discount: float = 0.99
    normalize_observations: bool = True
    policy_delay: int = 1
    noise_scale: float = 0.0
    """Standard deviation of the noise added to actions; as all noise here in half-widths of the range of actions."""
    target_noise: float = 0.0
    target_noise_clip: float = 0.0

    @property
    def gradient_steps(self) -> int:
        """Of a whole run, and of the critics where others learn less often."""
        return (self.total_steps - self.learning_starts) // self.num_envs * self.num_updates


# What the loops do not do alike:
# - Rejax cuts the value at a time limit, since its transitions have nothing but `done` and the first observation of the
#   next episode as the successor; jaxrl, SBX and Stable-Baselines3 keep the true successor and bootstrap from it.
# - Rejax's TD3 moves the actor and the targets after each two iterations of one step and one critic update, with the
#   last batch: as often as a `policy_delay` of 2 does. The actor climbs the mean of both critics there, the least of
#   both in SBX, the first in jaxrl and Stable-Baselines3.
# - Rejax's SAC acts by its policy from the beginning, the others uniformly until learning starts; it updates the actor
#   before the critics.
# - Rejax draws without replacement, over the whole capacity, about a tenth of the time of its SAC. In TD3 it clips
#   each gradient entry, where jaxrl clips the norm and the others clip nothing.
# - jaxrl starts from orthogonal weights.
SETTINGS = {
    "SAC": Settings(),
    "TD3": Settings(
        algorithm="TD3",
        batch_size=100,
        learning_starts=1_000,
        target_rate=0.05,
        learning_rate=1e-3,
        max_grad_norm=100.0,
        policy_delay=2,
        noise_scale=0.15,  # Rejax has 0.3, 0.2 and 0.5 in the units of actions from -2 to 2
        target_noise=0.1,
        target_noise_clip=0.25,
    ),
}

ROWS = {
    "sac-1": Row("SAC", 1, 20_000, 3),
    "sac-32": Row("SAC", 32, 1_000, 3),
    "td3-1": Row("TD3", 1, 20_000, 3),
    "td3-32": Row("TD3", 32, 2_000, 3),
}


def settings_of(row: Row) -> Settings:
    """The settings with the row's steps; learning starts after the same part of the run, or with a batch."""
    base = SETTINGS[row.settings]
    learning_starts = scaled_start(base.learning_starts, base.total_steps, row, least=base.batch_size)
    return base._replace(total_steps=row.total_steps, learning_starts=learning_starts)


def agent_of(settings: Settings) -> SAC | TD3:
    common: dict[str, Any] = {
        "num_envs": settings.num_envs,
        "num_steps": 1,
        "num_updates": settings.num_updates,
        "total_steps": settings.total_steps,
        "batch_size": settings.batch_size,
        "replay_capacity": settings.buffer_size,
        "learning_starts": settings.learning_starts,
        "normalize_observations": settings.normalize_observations,
        "hidden_sizes": settings.hidden_sizes,
        "activation": settings.activation,
        "policy_delay": settings.policy_delay,
        "learning_rate": settings.learning_rate,
        "critic_learning_rate": settings.learning_rate,
        "max_grad_norm": settings.max_grad_norm,
        "target_rate": settings.target_rate,
        "discount": settings.discount,
        "noise_scale": settings.noise_scale,
    }
    if settings.algorithm == "SAC":
        return SAC(make(settings.env), **common)
    return TD3(
        make(settings.env),
        **common,
        target_noise=settings.target_noise,
        target_noise_clip=settings.target_noise_clip,
    )


def loops_of(settings: Settings) -> dict[str, Loop]:
    return {"jaxrl": trained(agent_of(settings))}


BENCHMARK = Benchmark(
    name="actor_critic",
    description=__doc__,
    title="SAC and TD3 on Pendulum-v1: jaxrl, Rejax, SBX and Stable-Baselines3",
    ratio="the\nratio of the median times of an environment step",
    rows=ROWS,
    settings_of=settings_of,
    loops_of=loops_of,
    agent_of=agent_of,
    peers=("jaxrl.run", "Rejax", "SBX", "SB3"),
    library_settings=("SAC", "TD3"),
    library_steps=5_000,
    max_steps=200,
)

if __name__ == "__main__":
    measure.run(BENCHMARK)
