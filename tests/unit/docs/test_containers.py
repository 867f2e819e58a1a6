"""The images and the composition, as files: no user root, hashes for packages, no secret that two share."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
STAGES = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
COMPOSITION: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSITION["services"]
PROXIES = sorted(name for name in SERVICES if name == "ingress" or name.endswith("-sidecar"))


def test_every_package_of_an_image_has_its_hash() -> None:
    installs = [line for stage in STAGES for line in stage.splitlines() if " pip install " in line]
    assert len(installs) == 3
    for line in installs:
        assert "--require-hashes" in line or "--no-deps /wheels/" in line


def test_an_image_runs_as_a_user_without_rights() -> None:
    bases = {stage.split()[2]: stage.split()[0] for stage in STAGES}
    users = {stage.split()[2]: re.findall(r"^USER (\S+)", stage, re.MULTILINE) for stage in STAGES}
    assert users["mizzen"] == ["mizzen"]
    for target in ("sidecar", "control-plane"):
        assert (bases[target], users[target]) == ("mizzen", [])
    assert STAGES[-1].split()[2] == "control-plane"  # what is built if nobody names a target


def test_only_what_ends_runs_as_root() -> None:
    as_root = {name for name, service in SERVICES.items() if service.get("user") == "root"}
    assert as_root == {"configure", *(name for name in SERVICES if name.endswith("-capture"))}
    assert SERVICES["configure"]["network_mode"] == "none"
    for name in ("control-plane", *PROXIES):
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["read_only"]


def test_the_channel_is_encrypted() -> None:
    command = SERVICES["control-plane"]["command"]
    assert "--tls-address" in command
    assert not {"--grpc-address", "--secrets-to-anyone", "--admin-address"} & set(command)
    assert all("control-plane:15012" in SERVICES[name]["command"] for name in PROXIES)


def test_each_proxy_has_a_volume_that_nobody_shares() -> None:
    used = Counter(
        mount.partition(":")[0]
        for name, service in SERVICES.items()
        if name != "configure"
        for mount in service.get("volumes", ())
    )
    own = [mount.partition(":")[0] for name in PROXIES for mount in SERVICES[name]["volumes"]]
    assert len(own) == len(PROXIES) == 7
    assert all(used[volume] == 1 for volume in own)
    assert {*own, "state", "mesh"} == set(COMPOSITION["volumes"])
