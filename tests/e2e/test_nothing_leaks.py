"""The demonstration runs with mutual TLS and tokens, and no key and no token is seen in anything it shows.

Everything that people or programs can read is searched for every secret that the test knows: the keys of the
authority, of tokens, of each workload and of a Gateway's Secret, and the tokens of the calls that are made.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mizzen.demo.checks.outcome import sidecar
from mizzen.demo.options import DemoOptions
from mizzen.demo.security import GUARDED_APP, TokenIssuer
from mizzen.demo.shop import Shop, open_shop
from mizzen.demo.topology import ADMIN_PORT, SERVICE_PORT
from mizzen.identity.certificate_store import CertificateStore
from mizzen.identity.token import KEY_FILE
from mizzen.server.address import Address
from mizzen.server.admin import application
from mizzen.server.admin_hosts import Hosts
from mizzen.server.workload_certificates import now_utc
from mizzen.testing.ports import free_port
from tests.authority import Authority, secret
from tests.forked_mizzen import mizzen

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Run:
    """The running shop, its folder, what its start printed, and the secrets: a name for each, and the forms
    in which it could be seen."""

    shop: Shop
    directory: Path
    printed: list[str]
    secrets: dict[str, list[bytes]]

    @property
    def admin(self) -> str:
        return self.shop.topology.control_plane_admin

    def seen_in(self, *texts: bytes | str) -> list[str]:
        """Return the names of the secrets that are in one of the texts."""
        data = [text.encode() if isinstance(text, str) else text for text in texts]
        return [
            name
            for name, forms in self.secrets.items()
            if any(form in each for form in forms for each in data)
        ]


def forms_of_key(pem: str) -> list[bytes]:
    """Return what a key looks like: its lines, as base64 says those in any position, its number."""
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    raw = number.to_bytes(32, "big")
    lines = [line.encode() for line in pem.splitlines() if line and not line.startswith("---")]
    # Within a longer text, base64 has one of three forms, and its ends depend on what stands beside.
    inside = [base64.b64encode(b"x" * shift + line)[8:-8] for line in lines[:2] for shift in range(3)]
    return [*lines[:2], *inside, raw, f"{number:x}".encode(), str(number).encode()]


def forms_of_token(token: str) -> list[bytes]:
    """Return the signature of a token, which nobody else can make; the rest may be shown."""
    signature = token.rpartition(".")[2].encode()
    return [signature, base64.b64encode(signature)[:-4]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Run]:
    folder = tmp_path_factory.mktemp("leaks")
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(folder))
        async with open_shop(DemoOptions(port=free_port()), printed.append) as shop:
            found = Run(shop, shop.private_rules.parent, printed, {})
            await use(found)
            yield found


async def use(run: Run) -> None:
    """Let the shop use everything that is secret, and note what that is."""
    shop, state = run.shop, run.directory / "state"
    of_gateway = Authority().issue("secure.example.com")
    document = secret("secure", of_gateway)
    port = free_port()
    server = {
        "port": {"number": port, "name": "https", "protocol": "HTTPS"},
        "bind": "127.0.0.1",
        "hosts": ["secure.example.com"],
        "tls": {"mode": "SIMPLE", "credentialName": "secure"},
    }
    gateway = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "secure", "namespace": "default"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
    }
    private = shop.private_rules / "secure.json"
    private.touch(mode=0o600)
    private.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [document, gateway]}))

    tokens = {"good token": shop.issuer.token(), "wrong token": TokenIssuer().token()}
    code, out, err = await mizzen("token", "--state", str(state), "--service-account", "details")
    assert code == 0, err
    tokens["workload's token"] = out.strip()
    door = sidecar(shop, f"{GUARDED_APP}:{SERVICE_PORT}")
    for name, status in (("good token", 200), ("wrong token", 401)):
        answer = await door.get("/echo", {"authorization": f"Bearer {tokens[name]}"})
        assert answer.status_code == status
    await say_to_control_plane(shop, tokens["workload's token"])
    await handshakes(port)

    store = CertificateStore(state)
    keys = {
        str(each.certificate.identity): each.certificate.private_key.decode()
        for each in store.read(now_utc())
    }
    store.close()
    assert len(keys) >= 5
    keys["the Gateway's key"] = of_gateway.key.decode()
    keys["the authority's key"] = (state / "ca" / "ca-key.pem").read_text()
    keys["the key of tokens"] = (state / KEY_FILE).read_text()
    run.secrets.update({name: forms_of_key(key) for name, key in keys.items()})
    run.secrets.update({name: forms_of_token(token) for name, token in tokens.items()})


async def say_to_control_plane(shop: Shop, token: str) -> None:
    """Come as a stranger with a token, on a port where tokens count for nothing."""
    async with grpc.aio.insecure_channel(shop.topology.xds_address) as channel:
        method = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
        call = channel.stream_stream(method)(metadata=(("authorization", f"Bearer {token}"),))
        await call.write(b"\x12\x02\x0a\x00")  # a node without an id
        assert await asyncio.wait_for(call.code(), 60) is grpc.StatusCode.INVALID_ARGUMENT


async def handshakes(port: int) -> None:
    """Wait until the Gateway uses its key."""
    context = httpx.create_ssl_context(verify=False)
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context, server_hostname="secure.example.com"
                )
                writer.close()
                return
            await asyncio.sleep(0.05)


async def got(url: str) -> bytes:
    """Return what a URL answers, of one without an end what it says at first; fail if it is a fault."""
    client = httpx.AsyncClient(trust_env=False, timeout=60, verify=False)
    async with client, client.stream("GET", url) as answer:
        assert answer.status_code < 500, url
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            async for chunk in answer.aiter_bytes():
                return chunk
        return await answer.aread()


async def test_what_is_searched_for_can_be_found(run: Run) -> None:
    """Each secret is found where it has to be, so the search would see it elsewhere too."""
    state = run.directory / "state"
    held = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    held += (run.shop.private_rules / "secure.json").read_bytes()
    assert sorted(run.seen_in(held)) == sorted(
        name for name in run.secrets if "token" not in name or "key" in name
    )
    assert run.seen_in(base64.b64encode(held))


async def test_the_admin_address_shows_none(run: Run) -> None:
    status = json.loads(await got(f"http://{run.admin}/status"))
    proxies = [each["node_id"] for each in status["proxies"]]
    assert len(proxies) >= 7
    asked = [f"/debug/{what}?proxy={proxy}" for what in ("resources", "diff") for proxy in proxies]
    kinds = ("clusters", "endpoints", "listeners", "routes", "secrets")
    asked += [f"/debug/table?proxy={proxy}&kind={kind}" for kind in kinds for proxy in proxies]
    call = "url=http://details:9080/echo&from=productpage-v1"
    asked += ["/", "/ready", "/metrics", "/status", "/version", f"/debug/why?{call}", "/news"]
    asked += ["/debug/describe?name=details", "/debug/served", "/static/nothing", "/nowhere"]
    pages: dict[str, bytes] = {}
    while asked:
        path = asked.pop()
        if path in pages:
            continue
        pages[path] = await got(f"http://{run.admin}{path}")
        if b"<!doctype html>" in pages[path][:100].lower() and len(pages) < 300:
            links = re.findall(rb'(?:href|src)="(/[^"#]*)', pages[path])
            asked += [link.decode().replace("&amp;", "&") for link in links]
    routes = application(cast(Any, None), Hosts(Address("127.0.0.1", 1), ())).routes
    missed = {
        cast(Any, route).path
        for route in routes
        if not any(cast(Any, route).path_regex.match(path.partition("?")[0]) for path in pages)
    }
    assert not missed, "ask for these too, so that nothing new is shown unsearched"
    assert {path: seen for path, page in pages.items() if (seen := run.seen_in(page))} == {}
    assert b"[redacted]" in b"".join(pages.values())


async def test_the_admin_pages_of_the_envoys_show_none(run: Run) -> None:
    topology = run.shop.topology
    addresses = [topology.gateway_address, *(each.address for each in topology.workloads if each.in_mesh)]
    for address in addresses:
        url = f"http://{address}:{ADMIN_PORT}"
        pages = [
            await got(f"{url}/{page}")
            for page in ("config_dump?include_eds", "certs", "clusters", "listeners", "stats", "server_info")
        ]
        assert b"default" in pages[0]
        assert run.seen_in(*pages) == [], address


async def test_the_commands_print_none(run: Run) -> None:
    admin = ("--admin", run.admin)
    state = ("--state", str(run.directory / "state"))
    config = ("--config", str(run.shop.rules), str(run.shop.private_rules))
    commands: list[tuple[str, ...]] = [
        ("status", *admin),
        ("secrets", "istio-ingressgateway.default", *admin),
        ("secrets", "bookinfo-gateway", *config),
        ("ca", *state),
        ("analyze", *config[1:]),
        ("describe", "details", *admin),
    ]
    ended = await asyncio.gather(*(mizzen(*command) for command in commands))
    for command, (code, out, err) in zip(commands, ended, strict=True):
        assert code in (0, 1), (command, err)
        assert run.seen_in(out, err) == [], command


def processes(directory: Path) -> Iterator[Path]:
    """Yield the folders in /proc of the processes that name the directory in their arguments."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(directory).encode() in (entry / "cmdline").read_bytes():
                yield entry


async def test_no_argument_of_a_process_is_one(run: Run) -> None:
    found = list(processes(run.directory))
    assert len(found) >= 15
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            texts = [(process / name).read_bytes() for name in ("cmdline", "environ")]
            assert run.seen_in(*texts) == [], texts[0]


async def test_the_control_plane_leaves_no_core(run: Run) -> None:
    [server] = [each for each in processes(run.directory) if b"\0serve\0" in (each / "cmdline").read_bytes()]
    assert re.search(r"Max core file size +0 ", (server / "limits").read_text())


async def test_files_with_one_are_for_their_user_alone(run: Run) -> None:
    """Logs, bootstraps and all else in the folder of the run."""
    files = [path for path in run.directory.rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".log"]) >= 15
    holding: Mapping[Path, list[str]] = {
        path: seen for path in files if (seen := run.seen_in(path.read_bytes()))
    }
    state, rules = run.directory / "state", run.shop.private_rules
    assert [path for path in holding if state not in path.parents and path.parent != rules] == []
    assert len(holding) >= 4
    for path in holding:
        assert path.stat().st_mode & 0o077 == 0, path
    assert state.stat().st_mode & 0o077 == 0
    assert run.seen_in(*run.printed) == []
