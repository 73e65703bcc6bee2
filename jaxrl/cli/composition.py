"""From the words of a command line to plain settings, by way of Hydra: configs/train.yaml, its groups, overrides."""

import copy
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.engine.search_space import LogUniform, Uniform, settings_of
from jaxrl.envs.registry import is_known, names
from jaxrl.pytree import unknown_name
from jaxrl.settings import TARGET, import_class

CONFIGS = "jaxrl.configs"
INSIDE = ("algorithm.", "env.")
"""What their own constructors check."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """The settings of one of the runs that a command asks for."""

    settings: dict[str, Any]
    """What configs/train.yaml holds, with `algorithm` and `env` as mappings."""
    algorithm: str
    """The name of its file, such as `ppo`."""
    varied: dict[str, Any]
    """What sets it apart from the others of the same command, such as `algorithm.learning_rate`: 0.001."""
    space: dict[str, Any]
    """Of which numbers it is one choice: name -> a list or a distribution."""


def algorithm_names() -> list[str]:
    """The algorithms that have a file in configs/algorithm."""
    return _file_names("algorithm")


def _file_names(group: str) -> list[str]:
    folder = resources.files(CONFIGS) / group
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def tuned_environments(algorithm: str) -> list[str]:
    """The environments for which `algorithm` has tuned settings."""
    return sorted(_tuned(resources.files(CONFIGS) / "tuned" / algorithm))


def _tuned(folder: Traversable, prefix: str = "") -> Iterator[str]:
    """The names of the files below `folder`; one in a folder is called like an environment of a suite, brax/ant."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir():
            yield from _tuned(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield prefix + entry.name.removesuffix(".yaml")


def compose_runs(words: Sequence[str]) -> list[Choice]:
    """One choice per run: `a=1,2 b=3,4` makes four. Raises UsageError for what cannot be read or is not known.

    `a=interval(0,1)` is drawn `num_samples` times, `a=tag(log,interval(1e-5,1e-2))` with even logarithms.
    """
    parsed = [_parsed(word) for word in words]
    # Numbers of an algorithm or environment are put in afterwards: Hydra takes its time for each composition.
    inner = [override for override in parsed if override.is_sweep_override() and _key(override).startswith(INSIDE)]
    outer = [override for override in parsed if override not in inner]
    alternatives = [_alternatives(override) for override in outer]
    asked = [word.partition("=")[2] for words in alternatives for word in words if word.startswith("env=")]
    for name in {*names(), *filter(is_known, asked)}:  # whatever `make` knows is an option, with or without a file
        group, _, option = f"env/{name}".rpartition("/")
        ConfigStore.instance().store(group=group, name=option, node={"name": name})
    varied = [len(words) > 1 for words in alternatives]
    found = []
    with initialize_config_module(CONFIGS, version_base="1.3"):
        for combination in itertools.product(*alternatives):
            apart = dict(word.split("=", 1) for word in itertools.compress(combination, varied))
            composed = _composed(list(combination), [_key(override) for override in inner], apart)
            space = _space(inner)
            found += [_with_numbers(composed, values, space) for values in _numbers(space, composed.settings)]
    return found


def _key(override: Override) -> str:
    return str(override.get_key_element().lstrip("+"))


def _space(overrides: Sequence[Override]) -> dict[str, Any]:
    """What many-valued overrides stand for: name -> a list or a distribution."""
    space: dict[str, Any] = {}
    for override in overrides:
        value = override.value()
        if isinstance(value, IntervalSweep):
            if value.start is None or value.end is None:
                raise UsageError(f"'{override.input_line}' needs two ends, as in interval(0,1).")
            shape: Any = LogUniform if "log" in value.tags else Uniform
            with as_usage_error():
                space[_key(override)] = shape(float(value.start), float(value.end))
        else:
            space[_key(override)] = [_parsed(word).value() for word in _alternatives(override)]
    return space


def _numbers(space: Mapping[str, Any], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The combinations that are tried: name -> value."""
    if not space:
        if settings["num_samples"] is not None:
            raise UsageError("num_samples is for settings that are given as interval(low,high), and there is none.")
        return [{}]
    with as_usage_error():
        count, seed = settings["num_samples"], settings["seed"]
        return settings_of(space, count, seed if isinstance(seed, int) and seed >= 0 else 0)


def _with_numbers(choice: Choice, values: dict[str, Any], space: dict[str, Any]) -> Choice:
    if not values:
        return choice
    settings = copy.deepcopy(choice.settings)
    for name, value in values.items():
        *path, last = name.split(".")
        place = settings
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return dataclasses.replace(choice, settings=settings, varied=choice.varied | values, space=space)


def _parsed(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        raise UsageError(
            f"'{word}' cannot be read; a setting is written name=value, as in algorithm.learning_rate=1e-3 "
            "(a value with special characters needs quotes of its own, as in 'directory=\"a=b\"')."
        ) from None


def _alternatives(override: Override) -> list[str]:
    """The single-valued overrides that a possibly many-valued one stands for."""
    key = override.get_key_element().lstrip("+")
    if override.is_delete():
        raise UsageError(
            f"'{override.input_line}' cannot be read; a setting is changed by name=value, and none is deleted."
        )
    if not override.is_sweep_override():
        return [f"{key}={(override.input_line or '').partition('=')[2]}"]
    try:
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    except HydraException as error:
        raise UsageError(f"'{override.input_line}' cannot be spread over runs ({error}).") from None


def _composed(words: list[str], other_names: Sequence[str], varied: dict[str, Any]) -> Choice:
    choices = {"algorithm": algorithm_names(), "env": names(), "search": ["null", *_file_names("search")]}
    chosen = {"algorithm": "ppo"}
    for word in words:
        name, _, value = word.partition("=")
        if name in choices:
            if value not in choices[name] and not (name == "env" and is_known(value)):
                raise UsageError(_unknown(name, value, choices[name]))
            chosen[name] = value
    try:
        known = OmegaConf.to_container(compose("train", [word for word in words if word.partition("=")[0] in choices]))
        _check_names([*words, *other_names], known)
        # ++ sets a name whether or not a YAML file mentions it: the dataclasses are what it is checked against.
        forced = [word if word.partition("=")[0] in choices else f"++{word}" for word in words]
        settings: Any = OmegaConf.to_container(compose("train", forced), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(f"{str(error).strip().splitlines()[0].rstrip('.')}.") from None
    if isinstance(settings["search"], dict) and TARGET not in settings["search"]:
        first = min(settings["search"])
        raise UsageError(f"'search.{first}' is a setting of a search; name one before it: {_searches()}.")
    return Choice(settings, chosen["algorithm"], varied, {})


def _check_names(words: Sequence[str], known: Any) -> None:
    """Refuse a name that train.yaml does not have, other than inside of what checks its own."""
    fields = [field.name for field in dataclasses.fields(import_class(known["algorithm"][TARGET]))]
    for word in words:
        name = word.partition("=")[0]
        if name in known or name.startswith((*INSIDE, "search.")):
            continue
        if name in fields:
            raise UsageError(f"There is no setting '{name}'; did you mean 'algorithm.{name}'?")
        raise UsageError(unknown_name("There is no setting", name, list(known)))


def _unknown(name: str, value: str, known: Sequence[str]) -> str:
    what = f"There is no {'environment' if name == 'env' else name}"
    sentence = unknown_name(what, value, known)
    if name == "search":
        return f"{what} '{value}'; use {_searches()}."
    return sentence if "did you mean" in sentence else f"{what} '{value}'; see jaxrl list."


def _searches() -> str:
    return " or ".join(f"search={name}" for name in _file_names("search"))
