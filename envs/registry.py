"""Environments by name: `make`, `register`, `names`, and `as_environment` for whatever a person holds."""

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable
from typing import Any

from jaxrl.pytree import unknown_name

from .box2d.bipedal_walker import BipedalWalker
from .box2d.lunar_lander import LunarLander
from .linear_quadratic import LinearQuadratic
from .probes import PROBES
from .snake import Snake
from .tabular import CliffWalking, FrozenLake, RandomWalk
from .vector import is_host_stepped
from .wrappers.select_observation import SelectObservation
from .wrappers.time_limit import TimeLimit
from .wrappers.wrap import COMMON_SETTINGS, CommonSettings, wrap

Factory = Callable[..., Any]

GYMNAX_NAMES = (
    "Acrobot-v1",
    "Asterix-MinAtar",
    "BernoulliBandit-misc",
    "Breakout-MinAtar",
    "CartPole-v1",
    "Catch-bsuite",
    "DeepSea-bsuite",
    "DiscountingChain-bsuite",
    "FourRooms-misc",
    "Freeway-MinAtar",
    "FrozenLake-misc",
    "GaussianBandit-misc",
    "MNISTBandit-bsuite",
    "MemoryChain-bsuite",
    "MetaMaze-misc",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
    "PointRobot-misc",
    "Pong-misc",
    "Reacher-misc",
    "Seaquest-MinAtar",
    "SimpleBandit-bsuite",
    "SpaceInvaders-MinAtar",
    "Swimmer-misc",
    "UmbrellaChain-bsuite",
)
"""What gymnax 1.0 registers, written out so that listing the names does not import it."""


SUITES = {
    "brax": "robots, as in brax/ant",
    "craftax": "Craftax, as in craftax/Craftax-Classic-Symbolic-v1",
    "envpool": "environments in C++, stepped by threads on the CPU, as in envpool/LunarLander-v3",
    "gymnasium": "any environment that Gymnasium knows, stepped on the CPU, as in gymnasium/Ant-v5",
    "jumanji": "combinatorial problems and games, as in jumanji/Game2048-v1",
    "mjx": "Gymnasium's MuJoCo robots in JAX, as in mjx/Ant-v5",
    "navix": "MiniGrid, as in navix/Navix-Empty-8x8-v0",
    "pgx": "board games and MinAtar, as in pgx/connect_four",
    "playground": "MuJoCo Playground: the DeepMind Control suite and robots, as in playground/CartpoleBalance",
    "xminigrid": "XLand-MiniGrid, as in xminigrid/MiniGrid-DoorKey-8x8",
}
"""Others' environments, `SUITE/NAME`, and what they are; `adapters/SUITE.py` makes them from the package SUITE."""

PACKAGES = {"mjx": "mujoco", "playground": "mujoco_playground"}
"""What is imported for a suite where it is not called as the suite."""


def without_velocities(
    whole: str, indices: tuple[int, ...], name: str, *, max_steps: int | None = None, **settings: Any
) -> SelectObservation:
    """The task `whole` that shows the positions `indices` and hides the velocities: a task for a memory."""
    return SelectObservation(_factory(whole)(max_steps=max_steps, **settings), indices=indices, name=name)


def limited(world: Factory, limit: int) -> Factory:
    """`world` with a time limit of its own, which the setting `max_steps` replaces and None takes away."""

    def build(*, max_steps: int | None = limit, **settings: Any) -> Any:
        env = world(**settings)
        return env if max_steps is None else TimeLimit(env, max_steps)

    return build


_factories: dict[str, Factory] = {
    "BipedalWalker-v3": BipedalWalker,
    "CartPoleNoVel-v1": functools.partial(without_velocities, "CartPole-v1", (0, 2), "CartPoleNoVel-v1"),
    "CliffWalking-v1": CliffWalking,
    "CliffWalkingSlippery-v1": functools.partial(CliffWalking, is_slippery=True),
    "FrozenLake-v1": limited(FrozenLake, 100),
    "FrozenLake8x8-v1": limited(functools.partial(FrozenLake, map_name="8x8"), 200),
    "LQR-v0": limited(LinearQuadratic, 100),
    "LunarLander-v3": LunarLander,
    "LunarLanderContinuous-v3": functools.partial(LunarLander, continuous=True),
    "PendulumNoVel-v1": functools.partial(without_velocities, "Pendulum-v1", (0, 1), "PendulumNoVel-v1"),
    "RandomWalk-v0": RandomWalk,
    "Snake-v0": limited(Snake, 4_000),
    **{f"Probe/{probe.__name__}-v0": probe for probe in PROBES},
    **{f"Probe/{probe.__name__}Continuous-v0": functools.partial(probe, continuous=True) for probe in PROBES},
}


def register(name: str, factory: Factory) -> None:
    """Let `make(name, **settings)` build what `factory(**settings)` returns: an environment, or a gymnax instance.

    Raises ValueError where the name is taken, TypeError where `factory` cannot be called.
    """
    if name in names():
        raise ValueError(f"The environment name '{name}' is already taken; register yours under another one.")
    if not callable(factory):
        raise TypeError(f"register needs a callable that returns an environment, got {type(factory).__name__}.")
    _factories[name] = factory


def names() -> list[str]:
    """Every name that `make` knows."""
    return sorted({*_factories, *GYMNAX_NAMES})


def is_known(name: str) -> bool:
    """Whether `make` knows the name, or the suite that it begins with."""
    suite, _, own_name = name.partition("/")
    return name in names() or (suite in SUITES and bool(own_name))


def is_installed(suite: str) -> bool:
    """Whether the package of one of `SUITES` is there, without importing it."""
    return importlib.util.find_spec(PACKAGES.get(suite, suite)) is not None


def make(env: Any, params: Any = None, **settings: Any) -> Any:
    """Build the environment named `env`, or take a gymnax instance (with its `params`), or an environment of ours.

    `settings` are the environment's own (physics and constructor arguments) and those of every environment:
    `max_steps`, `sticky_actions`, `action_repeat`, `clip_reward`, `flatten`, `frame_stack` and `reset_mode`
    (`wrappers.wrap.CommonSettings` explains them). The same settings give equal environments with equal hashes, so
    nothing compiles twice.

    Raises ValueError for an unknown name, TypeError for an unknown setting or a wrong type.
    """
    common: dict[str, Any] = {name: settings.pop(name) for name in COMMON_SETTINGS if name in settings}
    if not isinstance(env, str):
        if settings:
            unknown = next(iter(settings))
            raise TypeError(
                unknown_name("An environment that is already built has no setting", unknown, COMMON_SETTINGS)
            )
        if "max_steps" in common and _is_gymnax(env) and hasattr(env.default_params, "max_steps_in_episode"):
            from .adapters.gymnax import with_limit

            params = with_limit(env, params, common.pop("max_steps"))
        return wrap(as_environment(env, params), CommonSettings(**common))
    if params is not None:
        raise TypeError(f"make takes `params` only with a gymnax instance; for '{env}' give each param by its name.")
    factory = _factory(env)
    if "max_steps" in common and "max_steps" in inspect.signature(factory).parameters:
        settings["max_steps"] = common.pop("max_steps")  # the environment's own limit, which may be longer
    _check_names(env, factory, settings)
    built = as_environment(factory(**settings))
    if common and is_host_stepped(built):
        raise TypeError(
            f"{env} is stepped as a batch outside of JAX, and cannot be wrapped by {min(common)}; leave it out, or "
            "wrap the environment in its own package."
        )
    return wrap(built, CommonSettings(**common))


def as_environment(env: Any, params: Any = None) -> Any:
    """`env` as an environment: one of ours as it is, a name made, a gymnax instance (with `params`) adapted.

    Raises TypeError for anything else.
    """
    if isinstance(env, str):
        return make(env, params)
    if _is_gymnax(env):
        from .adapters.gymnax import Gymnax

        return Gymnax(env, params)
    if params is not None:
        raise TypeError(f"`params` belong to a gymnax instance, got {type(env).__name__}; set its own fields instead.")
    missing = [name for name in ("reset", "step", "observation_space", "action_space") if not hasattr(env, name)]
    if isinstance(env, type) or missing:
        found = f"the class {env.__name__}" if isinstance(env, type) else f"{env!r} ({type(env).__name__})"
        raise TypeError(
            "An environment is a name, a gymnax instance, or an object with reset, step, observation_space and "
            f"action_space, got {found}; {f'add {missing[0]}' if missing else 'build it first'}."
        )
    return env


def _factory(name: str) -> Factory:
    if name in _factories:
        return _factories[name]
    if name in GYMNAX_NAMES:
        from .adapters.gymnax import from_name

        return functools.partial(from_name, name)
    suite, _, own_name = name.partition("/")
    if suite in SUITES and own_name:
        adapter = importlib.import_module(f".adapters.{suite}", __package__)
        return functools.partial(adapter.from_name, own_name)
    raise ValueError(unknown_name("There is no environment", name, names()))


def _is_gymnax(env: Any) -> bool:
    """Without importing gymnax: whoever holds one of its environments has imported it."""
    gymnax = sys.modules.get("gymnax")
    if gymnax is None:
        return False
    is_wrapper = type(env).__module__.startswith("gymnax.")  # the adapter says what to do with it
    return is_wrapper or isinstance(env, gymnax.environments.environment.Environment)


def _check_names(name: str, factory: Factory, settings: dict[str, Any]) -> None:
    parameters = inspect.signature(factory).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return  # it checks for itself
    known = [parameter.name for parameter in parameters]
    for setting in settings:
        if setting not in known:
            raise TypeError(unknown_name(f"{name} has no setting", setting, [*known, *COMMON_SETTINGS]))
