"""docs/xds.md, run as it is written: against the real Envoy and gRPC's own client."""

import ast
import asyncio
import base64
import datetime
import json
import re
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from google.protobuf.json_format import ParseError

from mizzen import xds
from mizzen.testing.ports import free_port
from tests.e2e.xds.xds_envoy import BINARY, address, bootstrap, until, until_awaited

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "xds.md").read_text(encoding="utf-8")
TYPE = "type.googleapis.com/envoy.extensions."


@pytest.fixture
def page() -> SimpleNamespace:
    """The names that the program of the page defines."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        exec(compile(block, "xds.md", "exec"), names)
    return SimpleNamespace(**names)


@asynccontextmanager
async def envoy_with(config: dict[str, Any], tmp_path: Path, name: str = "envoy"):
    path, log = tmp_path / f"{name}.json", tmp_path / f"{name}.log"
    path.write_text(json.dumps(config))
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it only starts it
            [BINARY, "-c", path, "--concurrency", "1", "-l", "warning", "--use-dynamic-base-id"],
            stdout=output,
            stderr=output,
        )
        try:
            yield log
        finally:
            process.kill()
            process.wait()


@asynccontextmanager
async def upstream(text: str):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text.encode()))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def answers(url: str, text: str) -> bool:
    async with httpx.AsyncClient(timeout=5, verify=False) as client:
        try:
            return (await client.get(url)).text == text
        except httpx.TransportError:
            return False


async def test_services_from_a_file(page, tmp_path, capsys) -> None:
    file = tmp_path / "services.json"
    xds_port, port, admin = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{port}/"
    async with upstream("one") as one, upstream("two") as two:
        file.write_text(json.dumps({"one": {"prefix": "/", "endpoints": [one]}}))
        serving = asyncio.create_task(page.serve_file(file, xds_port, port))
        try:
            async with envoy_with(bootstrap(xds_port, admin, delta=True), tmp_path):
                await until_awaited(lambda: answers(url, "one"))
                file.write_text(json.dumps({"two": {"prefix": "/", "endpoints": [two]}}))
                await until_awaited(lambda: answers(url, "two"))
                file.write_text("{")
                await until(lambda: "the last good one stays" in capsys.readouterr().out)
                assert await answers(url, "two")
                file.write_text(json.dumps({"two": {"prefix": "/", "endpoints": ["no-address:1"]}}))
                await until(lambda: "envoy-1 refuses EDS ['two']: malformed IP" in capsys.readouterr().out)
                assert await answers(url, "two")
        finally:
            serving.cancel()
            await asyncio.wait([serving])


def test_what_an_any_holds_must_be_imported(page) -> None:
    unknown = {"@type": "type.googleapis.com/envoy.never.imported.Message"}
    body = {"name": "a", "filter_chains": [{"filters": [{"typed_config": unknown}]}]}
    with pytest.raises(ParseError, match="Can not find message descriptor by type_url"):
        page.ParseDict(body, page.Listener())


class Authority:
    """Signs certificates."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("authority", self.key, authority=True)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._sign(name, key), private

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, *, authority: bool = False) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )


def with_certificate(config: dict[str, Any], node: str, pair: tuple[bytes, bytes], authority: bytes) -> None:
    chain, key, trusted = ({"inline_bytes": base64.b64encode(pem).decode()} for pem in (*pair, authority))
    config["node"]["id"] = node
    config["static_resources"]["clusters"][0]["transport_socket"] = {
        "name": "tls",
        "typed_config": {
            "@type": TYPE + "transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "control.plane",
            "common_tls_context": {
                "tls_certificates": [{"certificate_chain": chain, "private_key": key}],
                "validation_context": {"trusted_ca": trusted},
            },
        },
    }


async def test_a_snapshot_for_each_node_with_client_certificates(page, tmp_path) -> None:
    class Database:
        async def find(self, node_id: str) -> dict[str, Any] | None:
            await asyncio.sleep(0.2)
            return None if node_id == "c" else {"cluster": f"for-{node_id}", "endpoints": ["127.0.0.1:1"]}

    authority = Authority()
    server = page.server_for_each_node(Database())
    certificate, key = authority.issue("control.plane")
    tls = page.credentials(key, certificate, authority.certificate)
    grpc_server, port = await page.start_with_certificates(server, "127.0.0.1:0", tls)

    def config(node: str, certified: str) -> dict[str, Any]:
        found = bootstrap(port, free_port(), delta=True)
        with_certificate(found, node, authority.issue(certified), authority.certificate)
        return found

    try:
        async with (
            envoy_with(config("a", "a"), tmp_path, "a"),
            envoy_with(config("b", "b"), tmp_path, "b"),
            envoy_with(config("a", "thief"), tmp_path, "thief") as thief,
            envoy_with(config("c", "c"), tmp_path, "c") as unknown,
        ):
            await until(
                lambda: (
                    [c.node_id for c in server.clients() if c.synced and c.types] in (["a", "b"], ["b", "a"])
                )
            )
            assert {group: len(server.snapshot(group)) for group in ("a", "b")} == {"a": 2, "b": 2}
            assert server.snapshot("b").get(xds.type_urls.CLUSTER, "for-b")
            await until(lambda: "the certificate is for ('thief',), not for a" in thief.read_text())
            await until(lambda: "no proxy is called c" in unknown.read_text())
    finally:
        await server.stop(0)
        await grpc_server.stop(0)


def test_what_a_node_tells() -> None:
    node = base_pb2.Node(cluster="web")
    node.locality.zone = "z"
    node.metadata["team"] = "shop"
    assert (node.cluster, node.locality.zone, node.metadata["team"]) == ("web", "z", "shop")
    assert "other" not in node.metadata


def fetching_all_by_itself(page: Any, xds_port: int, port: int, admin: int, api: str) -> dict[str, Any]:
    """The bootstrap of an Envoy whose listener at `port` is its own, and fetches its certificate, a layer of
    runtime and a filter, each by a stream of its own."""
    config: dict[str, Any] = bootstrap(xds_port, admin, delta=False)
    del config["dynamic_resources"]
    services = [{"envoy_grpc": {"cluster_name": "xds"}}]
    source = {
        "resource_api_version": "V3",
        "api_config_source": {"api_type": api, "transport_api_version": "V3", "grpc_services": services},
    }
    http = page.http("unused")
    del http["rds"]
    http["route_config"] = {"virtual_hosts": [{"name": "all", "domains": ["*"]}]}
    discovery = {"config_source": source, "type_urls": [TYPE + "filters.http.fault.v3.HTTPFault"]}
    http["http_filters"].insert(0, {"name": "fault", "config_discovery": discovery})
    secrets = {"tls_certificate_sds_secret_configs": [{"name": "web", "sds_config": source}]}
    tls = {"@type": TYPE + "transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": secrets}
    chain = {
        "filters": [{"name": "http", "typed_config": http}],
        "transport_socket": {"name": "tls", "typed_config": tls},
    }
    config["static_resources"]["listeners"] = [
        {"name": "web", "address": address(port), "filter_chains": [chain]}
    ]
    layer = {"name": "layer", "rtds_layer": {"name": "layer", "rtds_config": source}}
    config["layered_runtime"] = {"layers": [layer]}
    return config


@pytest.mark.parametrize("api", ["GRPC", "DELTA_GRPC"])
async def test_certificates_runtime_and_extensions(page, tmp_path, api) -> None:
    authority = Authority()
    first, second = authority.issue("first"), authority.issue("second")
    fault = fault_pb2.HTTPFault()
    fault.abort.http_status, fault.abort.percentage.numerator = 418, 100
    server = xds.Server(group_of=lambda node, peer: "web")
    server.set_snapshot(
        "web",
        xds.Snapshot.of(
            [page.secret("web", *first), page.runtime("layer", **{"a.b": 7}), page.extension("fault", fault)]
        ),
    )
    xds_port, port, admin = await server.start("127.0.0.1:0"), free_port(), free_port()
    config = fetching_all_by_itself(page, xds_port, port, admin, api)

    async def served() -> bytes:
        try:
            return (await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))).encode()
        except OSError:
            return b""

    async def serves(pair: tuple[bytes, bytes]) -> bool:
        return await served() == pair[0]

    try:
        async with envoy_with(config, tmp_path), httpx.AsyncClient(verify=False) as client:
            await until_awaited(lambda: serves(first))
            assert (await client.get(f"https://127.0.0.1:{port}/")).status_code == 418
            entries = (await client.get(f"http://127.0.0.1:{admin}/runtime")).json()["entries"]
            assert entries["a.b"]["final_value"] == "7"
            page.rotate(server, *second)
            await until_awaited(lambda: serves(second))
            kind = "Delta" if api == "DELTA_GRPC" else "Stream"
            assert {each.method.rpartition("/")[2] for each in server.clients()} == {
                f"{kind}Secrets",
                f"{kind}Runtime",
                f"{kind}ExtensionConfigs",
            }
    finally:
        await server.stop(0)


CALL = """
import grpc
call = grpc.insecure_channel("xds:///greeter").unary_unary("/test.Greeter/Who")
print(call(b"", timeout=20, wait_for_ready=True).decode())
"""


async def test_a_grpc_client_without_a_proxy(page, tmp_path) -> None:
    async def who(_request: bytes, _context: object) -> bytes:
        return b"me"

    greeter = grpc.aio.server()
    handlers = {"Who": grpc.unary_unary_rpc_method_handler(who)}
    greeter.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Greeter", handlers),))
    port = greeter.add_insecure_port("127.0.0.1:0")
    await greeter.start()
    server = xds.Server(group_of=lambda node, peer: "all")
    server.set_snapshot("all", page.greeter(f"127.0.0.1:{port}"))
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps(page.grpc_bootstrap(await server.start("127.0.0.1:0"))))
    try:
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CALL, stdout=subprocess.PIPE, env={"GRPC_XDS_BOOTSTRAP": str(file)}
        )
        assert (await client.communicate())[0] == b"me\n"
    finally:
        await server.stop(0)
        await greeter.stop(0)


async def test_metrics_and_status(page, tmp_path) -> None:
    server = xds.Server(group_of=lambda node, peer: "all", on_event=page.count)
    server.set_snapshot("all", xds.Snapshot.of([page.listener("main", "127.0.0.1:0", "none")]))

    def value(name: str, **labels: str) -> float:
        return page.REGISTRY.get_sample_value(name, labels) or 0

    try:
        port = await server.start("127.0.0.1:0")
        async with envoy_with(bootstrap(port, free_port(), delta=True), tmp_path):
            await until(lambda: value("xds_ack_seconds_count", type="LDS") == 1)
            assert value("xds_clients") == 1
            server.update("all", [xds.Resource(xds.type_urls.CLUSTER, "bad", b"\xff")])
            await until(lambda: value("xds_rejected_total", type="CDS") == 1)
            await until(lambda: server.clients()[0].synced)
            assert page.lagging(server) == ["envoy-1"]
            server.update("all", removed=[(xds.type_urls.CLUSTER, "bad")])
            await until(lambda: page.lagging(server) == [])
        await until(lambda: value("xds_clients") == 0)
    finally:
        await server.stop(0)


async def test_the_bootstrap_of_the_example(tmp_path) -> None:
    """The three commands at the head of the page, with other ports."""
    script, file = ROOT / "examples" / "xds_minimal.py", ROOT / "examples" / "xds_minimal_envoy.yaml"
    config = yaml.safe_load(file.read_text())
    (cluster,) = config["static_resources"]["clusters"]
    (where,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    xds_port, port = free_port(), free_port()
    assert where["endpoint"]["address"] == address(18000)
    where["endpoint"]["address"] = address(xds_port)
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, str(xds_port), str(port), stdout=subprocess.PIPE
    )
    try:
        async with envoy_with(config, tmp_path):
            await until_awaited(lambda: answers(f"http://127.0.0.1:{port}/", "Ahoy!\n"))
    finally:
        process.kill()
        await process.wait()


def test_every_name_of_the_page_is_used() -> None:
    """In the program of the page, or here."""
    tests = Path(__file__).read_text(encoding="utf-8")
    program = "".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    for node in ast.parse(program).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            used = len(re.findall(rf"\b{node.name}\b", program)) > 1 or f"page.{node.name}" in tests
            assert used, node.name
