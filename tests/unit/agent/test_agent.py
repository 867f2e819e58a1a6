"""The agent has a certificate signed for a key of its own, serves it, and renews it without the token."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from structlog.testing import capture_logs

from mizzen import xds
from mizzen.agent import Agent, AgentError, AgentOptions
from mizzen.agent import agent as agent_module
from mizzen.agent.token_file import TokenFile
from mizzen.demo.envoy_process import find_envoy
from mizzen.identity.token import issue_token
from mizzen.testing.ports import free_port
from tests.self_signed import certificate_and_key
from tests.unit.server.running_process import SOTW
from tests.unit.server.test_channel import NODE_ID, Channel, channel, names_of

SDS = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
IDENTITY = "spiffe://cluster.local/ns/shop/sa/reviews"


def chosen(control: Channel, tmp_path: Path) -> AgentOptions:
    (tmp_path / "token").write_text(control.token() + "\n")
    (tmp_path / "root.pem").write_bytes(control.roots)
    socket = tmp_path / "run" / "agent.sock"
    return AgentOptions(control.tls, control.mutual, tmp_path / "root.pem", tmp_path / "token", socket)


@contextlib.asynccontextmanager
async def started(options: AgentOptions) -> AsyncIterator[Agent]:
    agent = Agent(options)
    await asyncio.wait_for(agent.start(), 30)
    try:
        yield agent
    finally:
        await agent.stop()


def files_with(text: bytes, folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file() and text in each.read_bytes()]


async def answered(
    options: AgentOptions, method: str, type_url: str, *names: str, account: str = ""
) -> bytes:
    async with grpc.aio.insecure_channel(f"unix:{options.socket}") as connection:
        call = connection.stream_stream(method)()
        request = discovery_pb2.DiscoveryRequest(type_url=type_url, resource_names=names)
        request.node.id = NODE_ID
        request.node.metadata.update({"NAMESPACE": "shop", "SERVICE_ACCOUNT": account, "SDS_AGENT": "true"})
        await call.write(request.SerializeToString())
        data = await asyncio.wait_for(call.read(), 30)
        assert isinstance(data, bytes)
        return data


async def test_the_envoy_is_served_a_certificate_for_a_key_that_stays(tmp_path: Path) -> None:
    async with channel(tmp_path) as control:
        options = chosen(control, tmp_path)
        with capture_logs() as lines:
            async with started(options):
                assert options.socket.parent.stat().st_mode & 0o777 == 0o700
                sent = discovery_pb2.DiscoveryResponse.FromString(
                    await answered(options, SDS, xds.type_urls.SECRET, "default")
                )
                secret = secret_pb2.Secret()
                sent.resources[0].Unpack(secret)
                chain = secret.tls_certificate.certificate_chain.inline_bytes
                key = secret.tls_certificate.private_key.inline_bytes
                assert names_of(chain) == [IDENTITY]
                leaf = x509.load_pem_x509_certificates(chain)[0]
                assert load_pem_private_key(key, None).public_key() == leaf.public_key()
                assert not await asyncio.to_thread(files_with, key, tmp_path)
        assert options.token_file is not None
        assert options.token_file.read_text().strip() not in str(lines)
        assert key.decode().splitlines()[1] not in str(lines)


async def test_a_folder_of_another_user_gets_no_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with channel(tmp_path) as control:
        options = chosen(control, tmp_path)
        options.socket.parent.mkdir(mode=0o755)
        with pytest.raises(AgentError, match="others may enter it"):
            await asyncio.wait_for(Agent(options).start(), 30)
        options.socket.parent.chmod(0o700)
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
        with pytest.raises(AgentError, match="belongs to another user"):
            await asyncio.wait_for(Agent(options).start(), 30)


async def test_the_stream_is_passed_on_as_the_one_who_was_certified(tmp_path: Path) -> None:
    async with channel(tmp_path) as control:
        options = chosen(control, tmp_path)
        async with started(options):
            data = await answered(options, SOTW, xds.type_urls.CLUSTER, account="reviews")
            sent = discovery_pb2.DiscoveryResponse.FromString(data)
            assert sent.control_plane.identifier.startswith("mizzen/")
            assert sent.control_plane.identifier != "mizzen/agent"
            with pytest.raises(grpc.aio.AioRpcError, match="PERMISSION_DENIED"):
                await answered(options, SOTW, xds.type_urls.CLUSTER, account="admin")


async def test_it_is_renewed_without_the_token(tmp_path: Path) -> None:
    async with channel(tmp_path) as control:
        options = chosen(control, tmp_path)
        async with started(options) as agent:
            before = agent.certificate
            assert options.token_file is not None
            options.token_file.unlink()
            await agent._renew()
            assert before is not None
            assert agent.certificate is not None
            assert agent.certificate.private_key != before.private_key
            assert names_of(agent.certificate.chain) == [IDENTITY]


async def test_a_machine_that_was_suspended_renews_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock went on, and its timers did not."""
    monkeypatch.setattr(agent_module, "_LONGEST_SLEEP", 0.01)
    (tmp_path / "root.pem").write_text(certificate_and_key()[0])
    now = [datetime(2030, 1, 1, tzinfo=UTC)]
    options = AgentOptions("127.0.0.1:1", "127.0.0.1:2", tmp_path / "root.pem", None, tmp_path / "socket")
    agent = Agent(options, clock=lambda: now[0])
    sleeping = asyncio.create_task(agent._sleep_through(now[0], now[0] + timedelta(hours=24)))
    now[0] += timedelta(hours=11)
    assert (await asyncio.wait({sleeping}, timeout=0.2))[0] == set(), "it is not due"
    now[0] += timedelta(hours=24)
    await asyncio.wait_for(sleeping, 30)


async def test_new_roots_count_for_the_token_too(tmp_path: Path) -> None:
    async with channel(tmp_path) as control:
        options = chosen(control, tmp_path)
        async with started(options) as agent:
            agent._roots = certificate_and_key()[0].encode()  # those of before a change of root
            agent._channel = agent._token_channel(agent._roots)
            await agent._renew()
            agent.certificate = None  # as if it had expired
            await agent._renew()
            assert agent.certificate is not None


async def test_the_token_in_the_file_is_renewed(tmp_path: Path) -> None:
    async with channel(tmp_path) as control:
        options = chosen(control, tmp_path)
        assert options.token_file is not None
        before = options.token_file.read_text()
        async with started(options) as agent:
            held = agent._token_file.renewable()
            assert held is not None
            assert held.lifetime == timedelta(hours=1)
            with capture_logs() as lines:
                await agent._renew_token(held)
            after = options.token_file.read_text()
            assert after != before
            assert options.token_file.stat().st_mode & 0o777 == 0o600
            assert after.strip() not in str(lines)
            # An agent that starts by it is let in.
            options.socket.unlink()
            async with started(options) as again:
                assert again.certificate is not None
                assert names_of(again.certificate.chain) == [IDENTITY]


async def test_the_token_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    foreign = jwt.encode({"iss": "https://kubernetes", "nbf": 1, "exp": 2**33}, key, algorithm="ES256")
    own = issue_token(key, "shop", "reviews", now, timedelta(hours=1))
    file, link = tmp_path / "token", tmp_path / "link"
    link.symlink_to(file)
    for text in (foreign, "no token", ""):
        file.write_text(text)
        assert TokenFile(file).renewable() is None
    file.write_text(own)
    assert TokenFile(file).renewable() is not None
    assert TokenFile(link).renewable() is None
    assert TokenFile(tmp_path / "none").renewable() is None
    assert TokenFile(None).renewable() is None


async def test_a_control_plane_that_is_not_there_is_asked_again_after_growing_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(agent_module, "LONGEST_PAUSE", 0.05)
    (tmp_path / "root.pem").write_text(certificate_and_key()[0])
    (tmp_path / "token").write_text("a-token")
    nobody = f"127.0.0.1:{free_port()}"
    options = AgentOptions(
        nobody, nobody, tmp_path / "root.pem", tmp_path / "token", tmp_path / "run" / "agent.sock"
    )
    agent = Agent(options)
    with capture_logs() as lines:
        starting = asyncio.ensure_future(agent.start())
        try:
            async with asyncio.timeout(30):
                while len(lines) < 5:
                    assert not starting.done()
                    await asyncio.sleep(0.01)
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
    assert [line["again_in"] for line in lines[:5]] == [0.01, 0.02, 0.04, 0.05, 0.05]
    assert "no certificate was signed: UNAVAILABLE" in lines[0]["error"]
    assert "a-token" not in str(lines)


async def test_what_is_missing_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.pem"
    with pytest.raises(AgentError, match=r"nowhere\.pem: cannot be read"):
        Agent(AgentOptions("localhost:1", "localhost:2", nowhere, None, tmp_path / "s"))


@pytest.mark.envoy
async def test_an_envoy_with_an_agent(tmp_path: Path) -> None:
    """`mizzen agent -- envoy`: the Envoy has the agent's certificate, and gets SIGTERM."""
    async with channel(tmp_path) as control:
        options = chosen(control, tmp_path)
        (tmp_path / "mesh" / "reviews.yaml").write_text(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: shop}\n"
            "spec:\n  hosts: [a.example]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n"
            "  resolution: STATIC\n  location: MESH_INTERNAL\n  endpoints: [{address: 127.0.0.1}]\n---\n"
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: shop}"
            "\n"
            "spec: {host: a.example, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}\n"
        )
        admin = free_port()
        mizzen = (sys.executable, "-m", "mizzen")
        node = ("gateway", "--name", "edge", "--namespace", "shop", "--ip", "127.0.0.1")
        where = ("--agent-socket", str(options.socket), "--admin-port", str(admin))
        made = await asyncio.create_subprocess_exec(
            *mizzen, "bootstrap", *node, *where, stdout=asyncio.subprocess.PIPE
        )
        (tmp_path / "envoy.yaml").write_bytes((await made.communicate())[0])
        envoy = (str(find_envoy()), "-c", str(tmp_path / "envoy.yaml"), "--disable-hot-restart", "-l", "warn")
        files = ("--ca-cert", str(options.ca_cert), "--token-file", str(options.token_file))
        addresses = ("--xds-address", control.tls, "--mutual-tls-address", control.mutual)
        arguments = (*files, *addresses, "--socket", str(options.socket), "--", *envoy)
        log = tmp_path / "agent.log"
        plain = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
        with log.open("wb") as output:
            running = await asyncio.create_subprocess_exec(
                *mizzen, "agent", *arguments, stderr=output, env=plain
            )
        try:
            async with asyncio.timeout(60), httpx.AsyncClient() as client:
                while True:
                    with contextlib.suppress(httpx.HTTPError):
                        if IDENTITY in (await client.get(f"http://127.0.0.1:{admin}/certs")).text:
                            break
                    assert running.returncode is None
                    await asyncio.sleep(0.05)
            running.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(running.wait(), 30) == 0
            assert "fork" not in log.read_text(encoding="utf-8")  # as gRPC has it if a child is started
        finally:
            if running.returncode is None:
                os.kill(running.pid, signal.SIGKILL)
                await running.wait()


async def test_no_key_is_made_for_a_proxy_that_has_an_agent(tmp_path: Path) -> None:
    async with channel(tmp_path) as control:
        async with grpc.aio.insecure_channel(control.plain) as connection:
            call = connection.stream_stream(SOTW)()
            request = discovery_pb2.DiscoveryRequest(
                type_url=xds.type_urls.SECRET, resource_names=["default"]
            )
            request.node.id = NODE_ID
            request.node.metadata.update({"NAMESPACE": "shop", "SDS_AGENT": "true"})
            await call.write(request.SerializeToString())
            await control.running.until(lambda: bool(control.running.process.discovery.clients()))
            call.cancel()
        assert "mizzen_workload_certificates_issued_total 0.0" in (await control.running.get("/metrics")).text
