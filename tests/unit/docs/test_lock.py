"""The lock has what the project asks for, once, with hashes and without addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked(name: str) -> dict[str, str]:
    """Package -> version."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, re.MULTILINE))


def asked_for(*lists: str) -> list[Requirement]:
    """What pyproject.toml asks for: the dependencies, an extra, or the group that builds."""
    extras = PROJECT["project"]["optional-dependencies"]
    named = {"": PROJECT["project"]["dependencies"], "build": PROJECT["dependency-groups"]["build"], **extras}
    found = [Requirement(text) for name in lists for text in named[name]]
    return [one for one in found if one.name != "mizzen"]


@pytest.mark.parametrize(
    ("name", "lists"),
    [("development", ("", "envoy", "test", "dev", "build")), ("runtime", ("",)), ("build", ("build",))],
)
def test_what_is_asked_for_is_locked(name: str, lists: tuple[str, ...]) -> None:
    versions = locked(name)
    for requirement in asked_for(*lists):
        version = versions[re.sub(r"[-_.]+", "-", requirement.name).lower()]
        assert requirement.specifier.contains(version), f"{requirement} is locked as {version}: make lock"


@pytest.mark.parametrize("name", ["runtime", "build"])
def test_the_parts_have_the_versions_of_the_whole(name: str) -> None:
    assert locked(name).items() <= locked("development").items()


@pytest.mark.parametrize("name", ["development", "runtime", "build"])
def test_every_package_has_hashes_and_no_address(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    packages = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in text
