"""What is installed is what is in the checkout, whichever way it is installed. Nothing here needs a network."""

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

USE = """
import pathlib, jaxrl, jaxrl.envs.spaces
from jaxrl.cli.composition import compose_runs
env = jaxrl.make("Probe/ActionReward-v0")
assert type(env.action_space) is jaxrl.envs.spaces.Discrete
assert compose_runs([])[0].settings["seeds"] == 16
print(pathlib.Path(jaxrl.__file__).parent)
"""


def build(source, target, kind):
    """Build in a copy of nothing but what `source` holds, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, check=True, capture_output=True, cwd=source)
    (artifact,) = target.iterdir()
    return artifact


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


def use(path, directory):
    """Import what lies in `path` from a directory with an envs/ of its own, and give back where jaxrl came from."""
    (directory / "envs").mkdir(parents=True)
    (directory / "envs" / "__init__.py").write_text("raise ImportError('the user has an envs/ of their own')")
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, "-W", "error::ImportWarning", "-c", USE]
    result = subprocess.run(command, capture_output=True, text=True, cwd=directory, env=environment)
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip())


def copy_checkout(target):
    """The package and its environments without the link between them."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "envs", target / "envs", ignore=ignore)
    shutil.copytree(ROOT / "jaxrl", target / "jaxrl", ignore=lambda *args: {*ignore(*args), "envs"})
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    archive = build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(archive.parent, filter="data")
    return archive.parent / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


def test_the_wheel_holds_every_file_of_the_package(wheel):
    files = set(contents(wheel))
    for folder, prefix in ((ROOT / "jaxrl", "jaxrl"), (ROOT / "envs", "jaxrl/envs")):
        for path in folder.rglob("*"):
            relative = path.relative_to(folder)
            if path.suffix in (".py", ".yaml", ".typed") and relative.parts[0] != "envs":
                assert f"{prefix}/{relative.as_posix()}" in files
    assert "jaxrl/py.typed" in files
    assert any(name.startswith("jaxrl/configs/tuned/ppo/") for name in files)


def test_the_wheel_holds_nothing_else_at_its_top(wheel):
    tops = {name.partition("/")[0] for name in contents(wheel)}
    assert len(tops) == 2
    assert "jaxrl" in tops
    assert not any("__pycache__" in name for name in contents(wheel))


def test_the_metadata_says_what_is_needed(wheel):
    files = contents(wheel)
    (metadata,) = [email.message_from_bytes(files[name]) for name in files if name.endswith("/METADATA")]
    (entry_points,) = [files[name].decode() for name in files if name.endswith("/entry_points.txt")]
    requirements = metadata.get_all("Requires-Dist")
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "jax[cuda12]; extra == 'cuda'" in requirements
    assert "jax[tpu]; extra == 'tpu'" in requirements
    assert "jaxrl = jaxrl.cli.main:main" in entry_points
    assert any(name.endswith("licenses/LICENSE") for name in files)


def test_a_wheel_from_the_sdist_is_the_wheel_from_the_tree(sdist, wheel, tmp_path):
    assert contents(build(sdist, tmp_path / "wheel", "wheel")) == contents(wheel)


def test_the_sdist_holds_the_tests_and_no_local_folder(sdist):
    assert (sdist / "envs" / "spaces.py").is_file()
    assert (sdist / "tests" / "packaging" / "test_packaging.py").is_file()
    assert not {".venv", ".git", "runs", ".pytest_cache"} & {path.name for path in sdist.iterdir()}


def test_the_installed_wheel_works(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert use(tmp_path / "site", tmp_path / "project") == tmp_path / "site" / "jaxrl"


def test_an_editable_install_points_to_the_checkout(tmp_path):
    program = "import sys; from hatchling.build import build_editable; build_editable(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, cwd=ROOT)
    (editable,) = tmp_path.glob("*.whl")
    (target,) = [text.decode().strip() for name, text in contents(editable).items() if name.endswith(".pth")]
    assert Path(target) == ROOT
    assert use(target, tmp_path / "project") == ROOT / "jaxrl"


@pytest.mark.parametrize("link", ["text file", "missing"])
def test_a_checkout_without_symlinks_works(link, tmp_path, wheel):
    checkout = copy_checkout(tmp_path / "checkout")
    if link == "text file":  # what git leaves where the file system knows no links
        (checkout / "jaxrl" / "envs").write_text("../envs")
    assert use(checkout, tmp_path / "project") == checkout / "jaxrl"
    if link == "text file":
        assert contents(build(checkout, tmp_path / "wheel", "wheel")).keys() == contents(wheel).keys()


def test_the_link_is_committed_as_a_link():
    assert os.readlink(ROOT / "jaxrl" / "envs") == "../envs"
    listed = subprocess.run(["git", "ls-files", "-s", "jaxrl/envs"], capture_output=True, text=True, cwd=ROOT)
    if listed.returncode or not listed.stdout:
        pytest.skip("not a git checkout")
    assert listed.stdout.startswith("120000 ")


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_refuses_an_old_python_in_a_sentence(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    for python, found in ((old, f"{old} is Python 3.9.1"), ("", "none was found")):
        command = ["make", "-C", str(ROOT), f"VENV={tmp_path / 'venv'}", f"PYTHON={python}", "train"]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode != 0
        assert f"jaxrl needs Python 3.11 or newer, and {found}" in result.stdout
    assert not (tmp_path / "venv").exists()
