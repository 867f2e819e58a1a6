"""Control planes of tests, each with a stand-in for the translation; files for whole servers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mizzen.server.delayed_changes import DelayedChanges
from tests.self_signed import certificate_and_key
from tests.unit.server.running_plane import Running
from tests.unit.server.running_process import GATEWAY


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    made = Running()
    yield made
    made.plane.close()


@pytest.fixture
def unheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve changes at once that lead calls nowhere."""
    monkeypatch.setattr(DelayedChanges, "GRACE", 0.0)


@pytest.fixture
def edge_folder(tmp_path: Path) -> tuple[Path, str]:
    """A folder with a gateway and its certificate, and the private key."""
    certificate, key = certificate_and_key()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "shop", "namespace": "edge"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key},
    }
    path = tmp_path / "mesh"
    path.mkdir()
    (path / "secret.json").write_text(json.dumps(secret))
    (path / "gateway.yaml").write_text(GATEWAY)
    return path, key
