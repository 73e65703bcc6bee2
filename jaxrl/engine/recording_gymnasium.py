"""A film of a policy in an environment of Gymnasium, with Gymnasium's own pictures."""

import os
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrl.algorithm import Policy
from jaxrl.engine.recording import MAX_STEPS, Episode, caption
from jaxrl.engine.videos import Film, captioned
from jaxrl.envs.drawing import FRAME_RATE
from jaxrl.envs.spaces import Discrete


def film_in_gymnasium(
    policy: Policy, name: str, env: Any, *, seed: int = 0, max_steps: int = MAX_STEPS, title: str = ""
) -> Episode:
    """Play one episode of Gymnasium's `name` with a policy that was trained in `env`; `seed` is that of its reset.

    Raises ValueError where Gymnasium has no such environment or it is another task, RuntimeError where it cannot draw.
    """
    world = _make(name)
    try:
        _check_spaces(world, name, env)
        pictures, rewards, completed = _play(policy, world, seed, max_steps)
        shape = _picture(world).shape
    finally:
        world.close()

    def frame(number: int) -> NDArray[np.uint8]:
        picture = np.frombuffer(zlib.decompress(pictures[number]), np.uint8).reshape(shape)
        return captioned(picture, title, caption(number, rewards))

    rate = float(world.metadata.get("render_fps") or FRAME_RATE)
    return Episode(Film(frame, len(pictures), rate), np.asarray(rewards, np.float32), completed)


def _make(name: str) -> Any:
    try:
        import gymnasium
    except ImportError:
        raise RuntimeError("gymnasium= needs Gymnasium: pip install gymnasium.") from None
    os.environ.setdefault(
        "SDL_AUDIODRIVER", "dummy"
    )  # pygame looks for loudspeakers, and complains where there are none
    try:
        return gymnasium.make(name, render_mode="rgb_array")
    except gymnasium.error.DependencyNotInstalled as error:
        raise RuntimeError(f"Gymnasium cannot make '{name}': {error}.") from None
    except gymnasium.error.Error as error:
        raise ValueError(f"Gymnasium has no environment '{name}' that it can draw: {error}") from None


def _check_spaces(world: Any, name: str, env: Any) -> None:
    def of(spaces: Any) -> tuple[Any, Any]:
        action = spaces.action_space
        is_discrete = isinstance(action, Discrete) or type(action).__name__ == "Discrete"
        actions = f"{int(action.n)} actions" if is_discrete else f"actions of shape {action.shape}"
        return f"observations of shape {getattr(spaces.observation_space, 'shape', None)}", actions

    trained, found = of(env), of(world)
    if trained != found:
        raise ValueError(
            f"The policy was trained on {' and '.join(trained)}, and Gymnasium's '{name}' has {' and '.join(found)}; "
            "name the environment that is the same task."
        )


def _play(policy: Policy, world: Any, seed: int, max_steps: int) -> tuple[list[bytes], list[float], bool]:
    """Pictures [L + 1], packed because together they can fill a memory, rewards [L] and whether the episode ended."""
    obs, _ = world.reset(seed=seed)
    pictures, rewards, memory = [_packed(world)], [], policy.initial_memory((1,))
    for act_key in jax.random.split(jax.random.key(seed), max_steps):
        action, memory = _act(policy, act_key, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], obs), memory)
        action = np.asarray(action)[0]
        obs, reward, terminated, truncated, _ = world.step(action.item() if action.ndim == 0 else action)
        rewards.append(float(reward))
        pictures.append(_packed(world))
        if terminated or truncated:
            return pictures, rewards, True
    return pictures, rewards, False


@jax.jit
def _act(policy: Policy, key: jax.Array, obs: Any, memory: Any) -> tuple[Any, Any]:
    return policy.act(key, obs, memory)


def _packed(world: Any) -> bytes:
    return zlib.compress(_picture(world).tobytes(), level=1)


def _picture(world: Any) -> NDArray[np.uint8]:
    import gymnasium

    try:
        return np.asarray(world.render())
    except gymnasium.error.DependencyNotInstalled as error:
        raise RuntimeError(f"Gymnasium cannot draw: {error}.") from None
