"""Who may import whom, read from the source; and what `import jaxrl` must not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# package of the project -> what it may import of the project, besides itself (prefixes of module names)
ALLOWED = {
    "jaxrl.envs": ["jaxrl.pytree"],
    "jaxrl.pytree": [],
    "jaxrl.metrics": [],
    "jaxrl.memory": [],
    "jaxrl.algorithm": ["jaxrl.metrics"],
    "jaxrl.settings": ["jaxrl.pytree"],
    "jaxrl.analysis": [],
    "jaxrl.components": ["jaxrl.pytree", "jaxrl.metrics", "jaxrl.memory", "jaxrl.algorithm", "jaxrl.envs"],
    "jaxrl.algorithms": ["jaxrl.pytree", "jaxrl.metrics", "jaxrl.algorithm", "jaxrl.components", "jaxrl.envs"],
    "jaxrl.engine": [
        "jaxrl.pytree",
        "jaxrl.metrics",
        "jaxrl.memory",
        "jaxrl.algorithm",
        "jaxrl.settings",
        "jaxrl.analysis",
        "jaxrl.envs",
    ],
    "jaxrl.probing": ["jaxrl.algorithm", "jaxrl.engine", "jaxrl.envs"],
    "jaxrl.export": ["jaxrl.algorithm", "jaxrl.engine", "jaxrl.envs"],
    "jaxrl.cli": ["jaxrl"],
    "jaxrl.configs": [],
    "jaxrl.__init__": ["jaxrl"],
    "jaxrl.__main__": ["jaxrl"],
}

# Of the environments, the parts that learn know the contract and the spaces, and how to make, batch and draw one; never
# a particular world.
ENVIRONMENT_CONTRACT = ("environment", "spaces", "registry", "vector", "drawing")

# Imported where they are needed, so that `import jaxrl` stays near the cost of jax, flax and optax.
HEAVY = ("gymnax", "gymnasium", "brax", "matplotlib", "hydra", "omegaconf", "distrax", "rich", "pandas", "scipy")
HEAVY += ("PIL", "av")
MAY_BE_HEAVY = ("jaxrl.cli.", "jaxrl.envs.adapters.")  # themselves imported only when they are asked for


def modules():
    """Module name -> file, with envs/ under the name by which it is imported."""
    files = [*(ROOT / "envs").rglob("*.py"), *(ROOT / "jaxrl").rglob("*.py")]
    for path in files:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[:2] == ("jaxrl", "envs"):
            continue  # the link
        yield ".".join(("jaxrl", *parts) if parts[0] == "envs" else parts), path


def imports(name, tree):
    """(line, imported module) of every import in a module, relative ones resolved; those at the top are marked."""
    package = name.removesuffix(".__init__") if name.endswith(".__init__") else name.rpartition(".")[0]
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [base, node.module]))
            found = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in found:
            yield node.lineno, module, id(node) in top


def is_within(module, prefixes):
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def broken_rules(name, source):
    """What a module with this source would do against the rules, in words."""
    owner = max((package for package in ALLOWED if is_within(name, [package])), key=len, default=None)
    if owner is None:
        return [f"{name} belongs to no package that ALLOWED knows"]
    broken = []
    for line, module, is_top in imports(name, ast.parse(source)):
        where = f"{name}:{line} imports {module}"
        if is_within(module, ["envs"]):
            broken.append(f"{where}: the second copy of every class; it is jaxrl.envs")
        if is_within(module, ["jaxrl"]) and not is_within(module, [owner, *ALLOWED[owner]]):
            broken.append(f"{where}: {owner} may import of the project only {ALLOWED[owner]}")
        is_learning = is_within(owner, ["jaxrl.components", "jaxrl.algorithms", "jaxrl.engine"])
        if (
            is_learning
            and is_within(module, ["jaxrl.envs"])
            and module.split(".")[2:3] not in ([part] for part in ENVIRONMENT_CONTRACT)
        ):
            broken.append(f"{where}: only {ENVIRONMENT_CONTRACT} of jaxrl.envs are known to those who learn")
        if is_top and is_within(module, HEAVY) and not name.startswith(MAY_BE_HEAVY):
            broken.append(f"{where} at the top of the module; import it where it is needed")
    return broken


@pytest.mark.parametrize(("name", "path"), [pytest.param(*pair, id=pair[0]) for pair in modules()])
def test_imports_keep_to_the_rules(name, path):
    assert broken_rules(name, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("jaxrl.envs.grid", "from jaxrl.metrics import mean"),
        ("jaxrl.envs.grid", "from ..components import returns"),
        ("jaxrl.envs.grid", "import envs.spaces"),
        ("jaxrl.components.returns", "from jaxrl.engine.train import train"),
        ("jaxrl.components.returns", "def f():\n    from jaxrl.algorithms.policy_gradient.ppo import PPO"),
        ("jaxrl.components.returns", "from jaxrl.envs.probes import ConstantReward"),
        ("jaxrl.engine.train", "from jaxrl.algorithms.policy_gradient import ppo"),
        ("jaxrl.engine.train", "from jaxrl import algorithms"),
        ("jaxrl.engine.train", "import jaxrl.components.returns"),
        ("jaxrl.analysis.plots", "from jaxrl.engine.run import Run"),
        ("jaxrl.analysis.plots", "from matplotlib.figure import Figure"),
        ("jaxrl.engine.progress", "import rich.progress"),
        ("jaxrl.pytree", "import jaxrl.metrics"),
        ("jaxrl.newcomer", "import jax"),
    ],
)
def test_a_broken_rule_is_seen(name, source):
    assert broken_rules(name, source)


def test_no_module_has_a_name_that_says_nothing():
    empty_names = {"utils", "common", "core", "helpers", "misc", "base"}
    assert not [name for name, _ in modules() if empty_names & set(name.split("."))]


def test_importing_jaxrl_loads_nothing_heavy():
    program = (
        "import sys, jax, flax.linen, optax; before = set(sys.modules); import jaxrl; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    added = set(output.stdout.split())
    assert "jaxrl" in added
    assert not added & set(HEAVY)
    assert not added & {"IPython", "orbax", "tensorstore", "requests", "asyncio", "tfp", "tensorflow_probability"}


def test_importing_jaxrl_starts_no_device_and_changes_no_setting():
    program = (
        "import jax; before = dict(jax.config.values); import jaxrl; from jax._src import xla_bridge; "
        "assert dict(jax.config.values) == before; assert not xla_bridge.backends_are_initialized()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
