"""What value_based.py runs: the settings of two other libraries for CartPole, and how many seeds for how long."""

from purejaxrl_dqn import Settings
from workload import Row, scaled_start

from jaxrl import make
from jaxrl.algorithms.value_based.dqn import DQN

SETTINGS = {
    "Rejax's": Settings(
        total_steps=100_000,
        buffer_size=50_000,
        batch_size=100,
        learning_starts=5_000,
        num_updates=5,
        target_period=10,
        target_rate=0.02,
        hidden_sizes=(64, 64),
        activation="swish",
        double=True,
        dueling=True,
        learning_rate=1e-3,
        max_grad_norm=10.0,
    ),
    "PureJaxRL's": Settings(),
}


ROWS = {
    "rejax-1": Row("Rejax's", 1, 100_000, 3),
    "rejax-32": Row("Rejax's", 32, 5_000, 3),
    "rejax-256": Row("Rejax's", 256, 2_000, 2),
    "purejaxrl-1": Row("PureJaxRL's", 1, 500_000, 5),
    "purejaxrl-32": Row("PureJaxRL's", 32, 50_000, 3),
    "purejaxrl-256": Row("PureJaxRL's", 256, 10_000, 2),
}


def settings_of(row: Row) -> Settings:
    """The settings with the row's steps; learning starts after the same part of the run, or with a batch."""
    base = SETTINGS[row.settings]
    learning_starts = scaled_start(base.learning_starts, base.total_steps, row, least=2 * base.batch_size)
    return base._replace(total_steps=row.total_steps, learning_starts=learning_starts)


def agent_of(settings: Settings) -> DQN:
    return DQN(
        make(settings.env),
        num_envs=settings.num_envs,
        num_steps=1,
        num_updates=settings.num_updates,
        total_steps=settings.total_steps,
        batch_size=settings.batch_size,
        replay_capacity=settings.buffer_size,
        learning_starts=settings.learning_starts,
        target_period=settings.target_period // settings.num_envs * settings.num_updates,
        target_rate=settings.target_rate,
        hidden_sizes=settings.hidden_sizes,
        activation=settings.activation,
        double=settings.double,
        dueling=settings.dueling,
        huber_delta=None,
        learning_rate=settings.learning_rate,
        adam_epsilon=1e-8,
        max_grad_norm=settings.max_grad_norm,
        discount=settings.discount,
        exploration_end=settings.exploration_end,
        exploration_fraction=settings.exploration_fraction,
    )
