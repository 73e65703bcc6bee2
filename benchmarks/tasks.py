"""What learning.py trains, and what each task is to reach."""

from typing import NamedTuple


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
    is_sampled: bool = False
    """The published number is of sampled actions, which here play much better than greedy ones."""
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
CRAFTER = "Crafter's paper, PPO from pixels: 4.2 at 1M, sampled"
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
    Task(
        "ppo", "craftax/Craftax-Classic-Symbolic-v1", 2, 1_000_000, 4.2, "Crafter's paper, PPO from pixels: 4.2 at 1M"
    ),
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
