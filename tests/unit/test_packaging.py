"""The files that describe the environment say the same thing."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def locked():
    lines = (line.strip() for line in (ROOT / "requirements.lock").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pins():
    """Package -> pinned version."""
    requirements = map(Requirement, locked())
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in requirements}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def declared():
    extras = project()["optional-dependencies"].values()
    return [Requirement(line) for part in (project()["dependencies"], *extras) for line in part]


def test_lock_pins_every_package_once():
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+( *; *\S.*)?", line) for line in locked())
    assert len(pins()) == len(locked())


def test_conda_has_the_pins_of_the_lock():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert "python=3.11" in dependencies and "cxx-compiler" in dependencies
    assert [part["pip"] for part in dependencies if isinstance(part, dict)] == [locked()]


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_lock_satisfies_the_project(requirement):
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_lock_is_closed():
    """What a locked package needs is locked too."""
    lacking = set()
    for name in pins():
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # pinned for another platform
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                lacking.add(canonicalize_name(need.name))
    assert lacking - set(pins()) == set()


def test_environment_is_the_lock():
    """Results are compared across machines: the packages in use are the pinned ones."""
    relevant = ["torch", "torchvision", "torchaudio", "zennit", "nncodec", "numpy", "snakemake"]
    assert {name: importlib.metadata.version(name) for name in relevant} == {
        name: pins()[name] for name in relevant
    }


def test_nothing_points_to_a_machine_or_an_index():
    for name in ("requirements.lock", "environment.yml", "pyproject.toml", "Makefile"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|file:|--index|--find-links|/home/|/root/", text), name


def test_library_imports_without_snakemake():
    names = {canonicalize_name(Requirement(line).name) for line in project()["dependencies"]}
    assert "snakemake" not in names
    for path in (ROOT / "ecqx").rglob("*.py"):
        assert "snakemake" not in path.read_text(encoding="utf-8"), path


def test_ci_runs_the_tests():
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111 and "make test" in script.read_text()
