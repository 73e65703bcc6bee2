"""jaxrl: reinforcement learning end to end in JAX; environment, rollout and update are one compiled program."""

from pathlib import Path as _Path

_root = _Path(__file__).resolve().parent.parent
if not (_Path(__file__).parent / "envs" / "__init__.py").is_file() and (_root / "envs" / "__init__.py").is_file():
    __path__.append(str(_root))  # a checkout without symlinks: jaxrl.envs is <root>/envs

from jaxrl import envs as envs
from jaxrl.algorithm import Algorithm as Algorithm
from jaxrl.algorithm import Policy as Policy
from jaxrl.algorithms.actor_critic.awr import AWR as AWR
from jaxrl.algorithms.actor_critic.crossq import CrossQ as CrossQ
from jaxrl.algorithms.actor_critic.d4pg import D4PG as D4PG
from jaxrl.algorithms.actor_critic.ddpg import DDPG as DDPG
from jaxrl.algorithms.actor_critic.discrete_sac import DiscreteSAC as DiscreteSAC
from jaxrl.algorithms.actor_critic.mpo import MPO as MPO
from jaxrl.algorithms.actor_critic.sac import SAC as SAC
from jaxrl.algorithms.actor_critic.td3 import TD3 as TD3
from jaxrl.algorithms.actor_critic.tqc import TQC as TQC
from jaxrl.algorithms.policy_gradient.a2c import A2C as A2C
from jaxrl.algorithms.policy_gradient.ppo import PPO as PPO
from jaxrl.algorithms.policy_gradient.recurrent_ppo import RecurrentPPO as RecurrentPPO
from jaxrl.algorithms.value_based.c51 import C51 as C51
from jaxrl.algorithms.value_based.dqn import DQN as DQN
from jaxrl.algorithms.value_based.iqn import IQN as IQN
from jaxrl.algorithms.value_based.munchausen_dqn import MunchausenDQN as MunchausenDQN
from jaxrl.algorithms.value_based.pqn import PQN as PQN
from jaxrl.algorithms.value_based.qr_dqn import QRDQN as QRDQN
from jaxrl.algorithms.value_based.r2d2 import R2D2 as R2D2
from jaxrl.algorithms.value_based.rainbow import Rainbow as Rainbow
from jaxrl.algorithms.value_based.recurrent_pqn import RecurrentPQN as RecurrentPQN
from jaxrl.engine.cores import use_all_cores as use_all_cores
from jaxrl.engine.evaluate import Episodes as Episodes
from jaxrl.engine.evaluate import evaluate as evaluate
from jaxrl.engine.evolution import PBT as PBT
from jaxrl.engine.evolution import SuccessiveHalving as SuccessiveHalving
from jaxrl.engine.play import play as play
from jaxrl.engine.recording import record as record
from jaxrl.engine.resume import resume as resume
from jaxrl.engine.resume import resume_sweep as resume_sweep
from jaxrl.engine.run import Run as Run
from jaxrl.engine.run import load_policy as load_policy
from jaxrl.engine.run import run as run
from jaxrl.engine.search_space import Choice as Choice
from jaxrl.engine.search_space import LogUniform as LogUniform
from jaxrl.engine.search_space import Uniform as Uniform
from jaxrl.engine.sweep import Sweep as Sweep
from jaxrl.engine.sweep import sweep as sweep
from jaxrl.engine.train import Result as Result
from jaxrl.engine.train import train as train
from jaxrl.engine.vary import vary as vary
from jaxrl.envs.adapters.to_gymnax import to_gymnax as to_gymnax
from jaxrl.envs.check import check_env as check_env
from jaxrl.envs.registry import make as make
from jaxrl.envs.registry import register as register
from jaxrl.export.policy import export_policy as export_policy
from jaxrl.probing import check_algorithm as check_algorithm

__version__ = "0.1.0"
