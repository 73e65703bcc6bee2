import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import jaxrl
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static
from jaxrl.settings import build, build_object, describe, describe_object, import_class, is_complete


class Net(nn.Module):
    width: int = 8
    sizes: tuple[int, ...] = (4, 4)

    def __call__(self, obs):
        return obs


@dataclass
class World:
    """A leaf, a structure and an array."""

    wind: Scalar = hyperparameter(0.1)
    size: int = static(3, minimum=1)
    walls: jnp.ndarray | None = None


@dataclass
class Agent:
    """One of everything that a setting can be."""

    env: World
    num_envs: int = static(4, minimum=1)
    hidden_sizes: tuple[int, ...] = static((64, 64), minimum=1)
    rates: tuple[float, ...] = static(())
    activation: str = static("tanh", choices=("tanh", "relu"))
    normalize: bool = static(False)
    torso: nn.Module | None = static(None)
    learning_rate: Scalar = hyperparameter(2.5e-4, minimum=0)
    clip_range: Scalar | None = hyperparameter(0.2, above=0)


def through_yaml(settings):
    return yaml.safe_load(yaml.safe_dump(settings, sort_keys=False))


def test_every_setting_is_written_out_in_plain_data():
    assert describe(Agent(World(), torso=Net(16))) == {
        "env": {"_target_": f"{__name__}.World"},
        "num_envs": 4,
        "hidden_sizes": [64, 64],
        "rates": [],
        "activation": "tanh",
        "normalize": False,
        "torso": {"_target_": f"{__name__}.Net", "width": 16},
        "learning_rate": 0.00025,  # not 0.0002500000118743628
        "clip_range": 0.2,
    }


@pytest.mark.parametrize(
    "agent",
    [
        Agent(World()),
        Agent(World(wind=1 / 3, size=7), hidden_sizes=(), rates=(0.5, 1.0), torso=Net(2, (1,)), clip_range=None),
        Agent(World(walls=jnp.float32([[0.1, 0.2], [0.3, 1e-9]]))),
        Agent(World(), learning_rate=np.float32(np.pi), normalize=True, activation="relu"),
    ],
)
def test_a_yaml_file_gives_the_same_agent_again(agent):
    assert build(Agent, through_yaml(describe(agent))) == agent
    assert build_object(through_yaml(describe_object(agent))) == agent


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("CartPole-v1", {}),
        ("CartPole-v1", {"gravity": 5.0, "max_steps": 200, "sticky_actions": 0.25, "frame_stack": 2}),
        ("Breakout-MinAtar", {"max_steps": 100}),
        ("MemoryChain-bsuite", {"max_steps": 11}),
        ("DeepSea-bsuite", {"size": 5}),
        ("CartPoleNoVel-v1", {}),
        ("FrozenLake-v1", {"desc": ("SF", "HG"), "success_rate": 0.7, "max_steps": 9}),
        ("CliffWalkingSlippery-v1", {"max_steps": 50}),
        ("LQR-v0", {"R": [[0.3]], "noise": 0.1}),
        ("Snake-v0", {"num_rows": 4}),
        ("Probe/InfiniteHorizon-v0", {}),
        ("gymnasium/Pendulum-v1", {"max_steps": 7, "g": 5.0}),
    ],
)
def test_an_environment_comes_back_from_what_it_is_made_of(name, settings):
    env = jaxrl.make(name, **settings)
    description = through_yaml(describe_object(env))
    assert is_complete(description)
    assert build_object(description) == env


def test_what_cannot_be_named_is_shown_and_refused():
    class Local(nn.Module):
        pass

    settings = describe(Agent(World(), torso=Local()))
    assert not is_complete(settings)
    assert "Local" in settings["torso"]["_repr_"]
    with pytest.raises(TypeError, match=r"Agent\.torso was Local\(.*which cannot be built from its settings"):
        build(Agent, settings)


def test_an_object_that_does_not_come_back_equal_is_not_claimed_to():
    @dataclasses.dataclass
    class Forgetful:
        given: int

        def __post_init__(self):
            self.given += 1

    Forgetful.__qualname__ = "Forgetful"  # as if a module defined it
    assert list(describe_object(Forgetful(1))) == ["_repr_"]


def test_what_is_fixed_does_not_come_from_the_settings():
    world = World(size=9)
    assert build(Agent, {"num_envs": 2}, env=world).env is world
    with pytest.raises(TypeError, match="Agent has no setting 'env'"):
        build(Agent, {"env": world}, env=world)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learnin_rate": 1e-3}, "Agent has no setting 'learnin_rate'; did you mean 'learning_rate'?"),
        ({"xyz": 1}, "Agent has no setting 'xyz'; choose one of: activation, clip_range, "),
        ({1: 2}, "Agent has no setting '1'; choose one of: "),
        ({"learning_rate": "fast"}, "Agent.learning_rate must be a number, got 'fast' (str)."),
        ({"learning_rate": True}, "Agent.learning_rate must be a number, got True (bool)."),
        ({"learning_rate": None}, "Agent.learning_rate must be a number, got None."),
        ({"learning_rate": -1}, "Agent.learning_rate must be at least 0, got -1."),
        ({"learning_rate": {"a": 1}}, "Agent.learning_rate must be a number, got {'a': 1} (dict)."),
        ({"clip_range": 0}, "Agent.clip_range must be above 0, got 0."),
        ({"num_envs": 2.5}, "Agent.num_envs must be of type int, got 2.5 (float)."),
        ({"num_envs": "4"}, "Agent.num_envs must be of type int, got '4' (str)."),
        ({"num_envs": [4]}, "Agent.num_envs must be of type int, got (4,) (tuple)."),
        ({"num_envs": 0}, "Agent.num_envs must be at least 1, got 0."),
        ({"normalize": "yes"}, "Agent.normalize must be of type bool, got 'yes' (str)."),
        ({"activation": "swoosh"}, "Agent.activation must be one of 'tanh', 'relu', got 'swoosh'."),
        ({"hidden_sizes": 64}, "Agent.hidden_sizes must be of type tuple, got 64 (int)."),
        ({"hidden_sizes": [64, "b"]}, "Agent.hidden_sizes must hold values of type int, got 'b' (str)."),
        ({"hidden_sizes": [64, True]}, "Agent.hidden_sizes must hold values of type int, got True (bool)."),
        ({"hidden_sizes": [64, 1.5]}, "Agent.hidden_sizes must hold values of type int, got 1.5 (float)."),
        ({"rates": ["a"]}, "Agent.rates must hold values of type float, got 'a' (str)."),
        ({"torso": {"_target_": "nowhere.Net"}}, "The class 'nowhere.Net' cannot be imported (No module named"),
        ({"torso": {"_target_": "Net"}}, "The class 'Net' cannot be imported (Empty module name)."),
        ({"torso": {"_target_": "os.system"}}, "'os.system' is no dataclass, and only dataclasses can be built from"),
        ({"torso": {"_target_": f"{__name__}.Net", "widht": 3}}, "Net has no setting 'widht'; did you mean 'width'?"),
        ({"torso": {"_target_": "flax.linen.Dense"}}, "Dense needs a value for features."),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(settings, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        build(Agent, settings, env=World())
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


def test_a_missing_setting_is_named():
    with pytest.raises(TypeError, match="Agent needs a value for env"):
        build(Agent, {})


def test_numbers_are_taken_as_people_write_them():
    agent = build(Agent, {"num_envs": 1e1, "hidden_sizes": [1e1], "learning_rate": 1, "rates": [1]}, env=World())
    assert agent.num_envs == 10
    assert agent.hidden_sizes == (10,)
    assert type(agent.learning_rate) is np.float32


def test_only_classes_of_settings_are_imported():
    assert import_class(f"{__name__}.Agent") is Agent
    for path in ("subprocess.Popen", "os.system", "builtins.eval"):
        with pytest.raises(TypeError, match="is no dataclass"):
            import_class(path)
