"""docs/virtual-machines.md: what its commands for a gateway, and for a copy of the keys, make."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mizzen.mesh.proxy.node import Proxy
from tests.unit.docs.shown_commands import ROOT

PAGE = (ROOT / "docs" / "virtual-machines.md").read_text(encoding="utf-8")
Run = Callable[[str], str]


def command(begin: str) -> str:
    [found] = [line.strip() for line in PAGE.splitlines() if line.strip().startswith(begin)]
    return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command of the page in a folder of its own, as its user, and return its output."""

    def shell(line: str) -> str:
        line = re.sub(r"\bmizzen (?=bootstrap|token|ca)", f"{sys.executable} -m mizzen ", line)
        line = line.replace("/var/lib/mizzen", "state").replace("examples/vm", str(ROOT / "examples/vm"))
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return shell


def test_a_gateway_has_its_labels_and_no_capture(run: Run) -> None:
    told = run(command("mizzen bootstrap gateway").partition(" > ")[0])
    proxy = Proxy.from_node(yaml.safe_load(told)["node"])
    assert (proxy.type, proxy.id) == ("router", "edge-1.default")
    assert (proxy.labels["istio"], proxy.service_account) == ("ingressgateway", "edge")
    unit = run(command("sed -e").partition(" > ")[0]).splitlines()
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in unit
    assert not [line for line in unit if "capture.sh" in line]
    assert [line for line in unit if line.startswith("ExecStart=/opt/mizzen/bin/mizzen agent")]


def test_the_copy_of_the_keys_is_enough_for_another_state_directory(run: Run, tmp_path: Path) -> None:
    run("mizzen ca create --state state && mizzen token --state state --service-account a")
    root, key = ((tmp_path / "state" / name).read_bytes() for name in ("ca/root-cert.pem", "token-key.pem"))
    run(command("(umask 077; tar"))
    assert (tmp_path / "mizzen-keys.tgz").stat().st_mode & 0o077 == 0
    run("mkdir -m 700 new && tar -C new -xzf mizzen-keys.tgz && rm -r state && mv new state")
    run("mizzen ca --state state && mizzen ca create --state state")
    run("mizzen token --state state --service-account a")
    assert (tmp_path / "state/ca/root-cert.pem").read_bytes() == root
    assert (tmp_path / "state/token-key.pem").read_bytes() == key
