"""Envoys whose keys stay with an agent: certificates and tokens of seconds are renewed while calls go on."""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mizzen.demo.child_process import ChildProcess
from mizzen.demo.envoy_process import EnvoyProcess, envoy_command, find_envoy
from mizzen.identity.token import issue_token, open_or_create_key
from mizzen.testing import ports
from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import DEADLINE, eventually
from mizzen.translator.bootstrap import bootstrap
from tests.e2e.test_workload_certificates import load, pair

pytestmark = pytest.mark.envoy


TOKEN_LIFETIME = timedelta(minutes=12)
"""Of tokens that were issued ten minutes ago: an agent renews them at once, and none expires meanwhile. Those
that it gets hold as long as a certificate."""


class MeshWithAgents(LiveMesh):
    """Every Envoy is started by an agent of its own, which has a token that is due to be renewed."""

    def __init__(self, directory: Path, *, certificate_ttl: str) -> None:
        self.state = directory / "state"
        self.tls, self.mutual = (f"127.0.0.1:{ports.free_port()}" for _ in range(2))
        super().__init__(
            directory,
            arguments=[
                *("--state", str(self.state), "--workload-certificate-ttl", certificate_ttl),
                *("--tls-address", self.tls, "--mutual-tls-address", self.mutual),
            ],
        )

    async def _envoy(
        self,
        name: str,
        node_id: str,
        metadata: dict[str, Any],
        address: str,
        port: int,
        locality: str = "",
    ) -> Caller:
        folder = self.directory / name
        folder.mkdir()
        admin = f"127.0.0.1:{ports.free_port()}"
        socket, configuration, token = folder / "run" / "agent.sock", folder / "envoy.yaml", folder / "token"
        made = bootstrap(
            node={"id": node_id, "cluster": name, "metadata": metadata},
            xds_address="127.0.0.1:1",
            admin_address=admin,
            delta=self.delta,
            stats="full",
            agent_socket=str(socket),
        )
        configuration.write_text(json.dumps(made), encoding="utf-8")
        account, begin = metadata["SERVICE_ACCOUNT"], datetime.now(UTC) - timedelta(minutes=10)
        issued = issue_token(open_or_create_key(self.state), "default", account, begin, TOKEN_LIFETIME)
        token.touch(mode=0o600)
        token.write_text(issued, encoding="utf-8")
        command = [
            *(sys.executable, "-m", "mizzen", "agent", "--socket", socket, "--token-file", token),
            *("--xds-address", self.tls, "--mutual-tls-address", self.mutual),
            *("--ca-cert", self.state / "ca" / "root-cert.pem"),
            *("--", *envoy_command(find_envoy(), configuration), "--concurrency", "1"),
        ]
        child = await ChildProcess.start(name, command, log=folder / "agent.log")
        caller = Caller(EnvoyProcess(child, admin), address, port, node_id)
        self.callers.append(caller)
        await caller.envoy.wait_ready(caller.http, DEADLINE)
        return caller

    def files(self) -> bytes:
        """What all files of the mesh but those of the control plane hold."""
        found = [each for each in self.directory.rglob("*") if each.is_file()]
        return b"".join(each.read_bytes() for each in found if self.state not in each.parents)


async def test_certificates_and_tokens_are_renewed_under_load(tmp_path: Path) -> None:
    async with MeshWithAgents(tmp_path, certificate_ttl="10s") as mesh:
        both = await pair(mesh)
        files = [mesh.directory / name / "token" for name in ("reviews", "client")]
        seen: list[set[str]] = [set() for _ in range(4)]
        async with load(both.client) as answers:

            async def renewed() -> bool:
                tokens = [file.read_text() for file in files]
                for values, value in zip(seen, [*await both.certificates(), *tokens], strict=True):
                    values.add(value)
                return all(len(values) >= 3 for values in seen)

            await eventually(renewed, "each certificate and each token is renewed twice")
        assert set(answers) == {"200"}, answers
        assert answers.total() > 200
        held = mesh.files()
        assert b"PRIVATE KEY" not in held
        logs = b"".join(caller.envoy.child.log.read_bytes() for caller in mesh.callers)
        for token in {token for tokens in seen[2:] for token in tokens}:
            assert token.strip().encode() not in logs


async def test_calls_go_on_while_the_control_plane_is_away(tmp_path: Path) -> None:
    async with MeshWithAgents(tmp_path, certificate_ttl="1h") as mesh:
        both = await pair(mesh)
        before = await both.certificates()
        assert mesh.control_plane is not None
        async with load(both.client) as answers:
            mesh.control_plane.kill()
            await mesh.control_plane.stop()
            await mesh.start_control_plane()
            await mesh.settled()
            enough = answers.total() + 100

            async def went_on() -> bool:
                return answers.total() >= enough

            await eventually(went_on, "calls go on")
        assert set(answers) == {"200"}, answers
        assert await both.certificates() == before

        one, other = (caller.envoy.child for caller in (both.client, both.server))
        os.kill(child_of(one.pid), signal.SIGKILL)
        assert await one.wait() == 128 + signal.SIGKILL, "the agent ends with its Envoy, and says how"
        left = child_of(other.pid)
        other.kill()
        await other.wait()

        async def has_ended() -> bool:
            return is_gone(left)

        await eventually(has_ended, "the Envoy does not outlive its agent")


def child_of(process: int) -> int:
    [child] = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(child)


def is_gone(process: int) -> bool:
    """Whether it has ended, also if nobody has waited for it yet."""
    try:
        return ") Z " in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
