"""Real Envoys that judge cases: what passes Mizzen's validation must be taken by them.

`envoy --mode validate` would miss what is found out when endpoints arrive, when listeners start or when a
balancer is built (and Envoys that crash there), and each case would cost a start. So three Envoys live
through a whole run: a gateway, the sidecar of a service, and a sidecar that a Sidecar shapes. They are sent
one mesh after the other over `mizzen.xds`: a case costs what it changes, and a NACK or a crash is its own.

Two things differ from what a mesh is sent, so that the Envoys need no rights, no ports and no network. No
listener of TCP binds its port, and names are resolved by a closed port of the loopback.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2

from mizzen import xds
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.mesh_config_text import parse_mesh_config
from mizzen.config.store import ConfigChange
from mizzen.config.typed_documents import to_config
from mizzen.config.yaml_documents import parse_documents
from mizzen.demo.child_process import ChildProcess
from mizzen.demo.envoy_process import envoy_command, find_envoy
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.testing.ports import free_port
from mizzen.translator.bootstrap import bootstrap
from mizzen.translator.translation import Translation
from tests.e2e.extremes.base_mesh import MESH_CONFIG, Document, base_mesh
from tests.e2e.extremes.cases import Case
from tests.e2e.extremes.packing import halves, together

NODES: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "router~10.0.0.3~ingress-1.default~default.svc.cluster.local",
        "metadata": {"NAMESPACE": "default", "LABELS": {"istio": "ingressgateway"}},
        "locality": {"region": "eu", "zone": "eu-1", "sub_zone": "a"},
    },
    {
        "id": "sidecar~10.0.0.7~reviews-v1.default~default.svc.cluster.local",
        "metadata": {"NAMESPACE": "default", "LABELS": {"app": "reviews", "version": "v1"}},
        "locality": {"region": "eu", "zone": "eu-1", "sub_zone": "a"},
    },
    {
        "id": "sidecar~10.0.0.8~scoped-1.default~default.svc.cluster.local",
        "metadata": {"NAMESPACE": "default", "LABELS": {"app": "scoped"}},
    },
)
_NO_FILE: Final = ("Invalid path: ", "Failed to load ", "unable to add filesystem watch")
"""What Envoy says of a file that is not there or holds no certificate, which its machine alone can know."""
_FILES: Final = ("serverCertificate", "privateKey", "caCertificates", "clientCertificate", "caCrl")
_LOGS: Final = ("", "/dev/null", "/dev/stdout")
"""Access logs that Envoy may open: another one it would make wherever the case says."""
_SECONDS: Final = 40.0
"""For what hangs; a case takes some 30 ms."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a case: `refused` by Mizzen, or `complaints` of Envoys (and of the translation)."""

    refused: tuple[Diagnostic, ...] = ()
    complaints: tuple[str, ...] = ()
    unchanged: bool = False
    """No Envoy was sent anything else than for the base mesh."""


class Jury:
    """The base mesh, and the Envoys that have it.

    async with Jury(folder) as jury:
        verdict = await jury.verdict(case)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base: Mapping[str, Document] = base_mesh(folder)
        self._proxies = {node["id"]: Proxy.from_node(node) for node in NODES}
        self._settings, errors = self._mesh_config(self.base[MESH_CONFIG])
        assert self._settings is not None, errors
        configs = []
        for name, document in self.base.items():
            if name != MESH_CONFIG:
                config, errors = self._config(document)
                assert config is not None, (name, errors)
                configs.append(config)
        self._configs = {f"{each.kind} {each.name}": each for each in configs}
        self._mesh = Mesh.build(configs, self._settings)
        self._translation = Translation(self._mesh)
        self._base = self._snapshots(self._translation)
        self._rejected: list[str] = []
        self._envoys: dict[str, ChildProcess] = {}
        self._admins = {node["id"]: free_port() for node in NODES}
        self._clusters: dict[bytes, xds.Resource] = {}
        self._http = httpx.AsyncClient(timeout=_SECONDS, trust_env=False)
        self._recent: list[str] = []
        self._grpc = 0

    async def __aenter__(self) -> Self:
        self._server = xds.Server(
            lambda node, peer: node.id,
            on_event=self._note,
            policy=xds.MakeBeforeBreak(grace=timedelta(0), warm_timeout=timedelta(seconds=_SECONDS)),
        )
        for node_id in self._proxies:
            self._server.set_snapshot(node_id, _judged(self._base[node_id]))
        self._grpc = await self._server.start("127.0.0.1:0")
        for node in NODES:
            await self._start(node)
        await self._settled()
        assert not self._rejected, self._rejected
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for envoy in self._envoys.values():
            await envoy.stop()
        await self._http.aclose()
        await self._server.stop(0)

    def refusal(self, case: Case) -> tuple[Diagnostic, ...]:
        """Return why Mizzen refuses the case; nothing if it passes validation."""
        return self._typed({case.document: case.text})[2]

    async def verdicts(self, cases: Sequence[Case]) -> AsyncIterator[tuple[Case, Verdict]]:
        """Judge cases that pass validation each by itself: all at once, and in parts if that goes wrong."""
        verdict = await self._verdict(cases)
        if len(cases) == 1 or not (verdict.refused or verdict.complaints):
            for case in cases:
                yield case, verdict
            return
        for part in halves(cases):
            async for each in self.verdicts(part):
                yield each

    async def verdict(self, case: Case) -> Verdict:
        """Validate the case, translate it for all proxies, and let the Envoys have it."""
        return await self._verdict((case,))

    async def _verdict(self, cases: Sequence[Case]) -> Verdict:
        settings, configs, errors = self._typed(together(cases, self.base))
        if errors or settings is None:
            return Verdict(refused=errors)
        if settings.access_log_file not in _LOGS:
            return Verdict(unchanged=True)
        try:
            if settings is not self._settings:
                mesh = Mesh.build({**self._configs, **configs}.values(), settings)
                translation = Translation(mesh)
            else:
                mesh, _ = self._mesh.updated(self._change(configs))
                translation = self._translation.beside(mesh)
            snapshots = self._snapshots(translation)
        except Exception as error:  # whatever a case brings to light
            return Verdict(complaints=(f"the translation fails: {type(error).__name__}: {error}",))
        changed = [each for each in self._proxies if snapshots[each] is not self._base[each]]
        if not changed:
            return Verdict(unchanged=True)
        return await self._judge(cases, snapshots)

    def _typed(
        self, documents: Mapping[str, Document]
    ) -> tuple[MeshConfig | None, dict[str, Config[Any]], tuple[Diagnostic, ...]]:
        """Return the settings of the mesh, the typed documents by their names, and all errors."""
        settings: MeshConfig | None = self._settings
        configs: dict[str, Config[Any]] = {}
        errors: list[Diagnostic] = []
        for name, document in documents.items():
            if name == MESH_CONFIG:
                settings, found = self._mesh_config(document)
            else:
                config, found = self._config(document)
                if config is not None:
                    configs[name] = config
            errors.extend(found)
        return settings, configs, tuple(errors)

    def _change(self, configs: Mapping[str, Config[Any]]) -> ConfigChange:
        removed = (
            self._configs[name].key for name, each in configs.items() if each.key != self._configs[name].key
        )
        return ConfigChange(updated=tuple(configs.values()), removed=tuple(removed))

    async def _judge(self, cases: Sequence[Case], snapshots: Mapping[str, xds.Snapshot]) -> Verdict:
        self._rejected.clear()
        self._recent = [*self._recent[-2:], "; ".join(map(str, cases))]
        for node_id, snapshot in snapshots.items():
            self._server.set_snapshot(node_id, _judged(snapshot, self._clusters))
        complaints = await self._settled()
        # What was refused in an earlier group is not sent again, and is as wrong as it was.
        for client in self._server.clients():
            self._rejected += [_said(client.node_id, held.message) for held in client.rejected]
        of_files = any(field.endswith(_FILES) for case in cases for field in case.fields)
        complaints += [
            said for said in self._rejected if not (of_files and any(words in said for words in _NO_FILE))
        ]
        for node in NODES:
            ended = self._envoys[node["id"]].returncode
            if ended is not None:
                words = self._envoys[node["id"]].last_words(40)
                recent = "; before it ".join(reversed(self._recent))
                complaints.append(f"{node['id']} CRASHED ({ended}) at {recent}: {words}")
        if complaints or self._rejected:
            await self._again()
        return Verdict(complaints=tuple(dict.fromkeys(complaints)))

    async def _again(self) -> None:
        """Go back to the base mesh, with new Envoys where they ended or hang."""
        for node in NODES:
            self._server.set_snapshot(node["id"], _judged(self._base[node["id"]], self._clusters))
        for node in NODES:
            if self._envoys[node["id"]].returncode is not None:
                await self._start(node)
        if await self._settled():
            for node in NODES:
                await self._envoys[node["id"]].stop()
                await self._start(node)
            await self._settled()
        self._rejected.clear()

    async def _start(self, node: dict[str, Any]) -> None:
        admin = self._admins[node["id"]] = free_port()
        configuration = bootstrap(
            node=node, xds_address=f"127.0.0.1:{self._grpc}", admin_address=f"127.0.0.1:{admin}"
        )
        name = node["id"].split("~")[2]
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(configuration), encoding="utf-8")
        command = ["env", "--chdir", self.folder, *envoy_command(find_envoy(), path), "--concurrency", "1"]
        command += ["--drain-time-s", "1", "--drain-strategy", "immediate"]
        self._envoys[node["id"]] = await ChildProcess.start(name, command, log=self.folder / f"{name}.log")

    async def _settled(self) -> list[str]:
        """Wait until every Envoy has answered and nothing warms; return what does not come to rest."""
        try:
            async with asyncio.timeout(_SECONDS):
                while not await self._at_rest():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            states = [
                f"{client.node_id}: {client.phase}, not synced: "
                f"{[url.rpartition('.')[2] for url, each in client.types.items() if not each.synced]}"
                for client in self._server.clients()
            ]
            return [f"no rest within {_SECONDS:g} s: {states}"]
        return []

    async def _at_rest(self) -> bool:
        running = {name for name, envoy in self._envoys.items() if envoy.returncode is None}
        clients = {client.node_id: client for client in self._server.clients()}
        for name in running:
            client = clients.get(name)
            if client is None or (not client.synced and not self._rejected):
                return False
            if client.phase != "rest" or any(each.pending for each in client.types.values()):
                return False
            if not {xds.type_urls.CLUSTER, xds.type_urls.LISTENER} <= client.types.keys():
                return False
        for name in running:
            if await self._warming(name):
                return False
        return True

    async def _warming(self, node_id: str) -> bool:
        wanted = r"^(cluster_manager\.warming_clusters|listener_manager\.total_listeners_warming)$"
        try:
            answer = await self._http.get(
                f"http://127.0.0.1:{self._admins[node_id]}/stats", params={"filter": wanted}
            )
        except httpx.TransportError:
            return self._envoys[node_id].returncode is None
        return any(not line.endswith(": 0") for line in answer.text.splitlines())

    def _note(self, event: xds.Event) -> None:
        if isinstance(event, xds.Rejected):
            self._rejected.append(_said(event.client.node_id, event.message))

    def _config(self, document: Document) -> tuple[Config[Any] | None, tuple[Diagnostic, ...]]:
        parsed = parse_documents(json.dumps(document, allow_nan=True).encode(), "case.yaml")
        found = [*parsed.diagnostics, *(each for refused in parsed.refused for each in refused.diagnostics)]
        config = None
        for each in parsed.documents:
            config, more = to_config(each)
            found.extend(more)
        errors = _errors(found)
        assert config is not None or errors, found
        return (None if errors else config), errors

    def _mesh_config(self, document: Document) -> tuple[MeshConfig | None, tuple[Diagnostic, ...]]:
        settings, found = parse_mesh_config(json.dumps(document), "mesh.yaml")
        return settings, _errors(found)

    def _snapshots(self, translation: Translation) -> dict[str, xds.Snapshot]:
        made = {node_id: translation.snapshot(proxy) for node_id, proxy in self._proxies.items()}
        base = getattr(self, "_base", None)
        if base is None:
            return made
        # What is the same as for the base mesh is shown by being the same object.
        return {
            node_id: base[node_id] if not _differs(base[node_id], snapshot) else snapshot
            for node_id, snapshot in made.items()
        }


def _said(node_id: str, message: str) -> str:
    """Return an Envoy's words, without the whole listener that it shows before it says what is wrong."""
    before, found, reason = message.partition("Proto constraint validation failed")
    said = f"{before[:300]} ... {found}{reason}" if found else before
    return f"{node_id.split('~')[2]}: {said[:700]}"


def _errors(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(each for each in found if each.severity is Severity.ERROR)


def _differs(one: xds.Snapshot, other: xds.Snapshot) -> bool:
    return {(each.type_url, each.name): each.version for each in one} != {
        (each.type_url, each.name): each.version for each in other
    }


def _judged(snapshot: xds.Snapshot, known: dict[bytes, xds.Resource] | None = None) -> xds.Snapshot:
    """Return the snapshot with listeners that bind no port and clusters that ask nobody for names."""
    known = known if known is not None else {}
    made = []
    for resource in snapshot:
        if resource.type_url not in (xds.type_urls.LISTENER, xds.type_urls.CLUSTER):
            made.append(resource)
            continue
        key = resource.name.encode() + b"\0" + resource.value
        found = known.get(key)
        if found is None:
            if len(known) > 5_000:
                known.clear()
            found = known[key] = (
                _unbound(resource) if resource.type_url == xds.type_urls.LISTENER else _deaf(resource)
            )
        made.append(found)
    return xds.Snapshot.of(made)


def _unbound(resource: xds.Resource) -> xds.Resource:
    listener = listener_pb2.Listener.FromString(resource.value)
    place = listener.address.socket_address
    if place.protocol == address_pb2.SocketAddress.UDP:  # which Envoy must bind: to any port of the loopback
        place.address, place.port_value = "127.0.0.1", 0
    else:
        listener.bind_to_port.value = False
    return xds.Resource.of(listener)


def _deaf(resource: xds.Resource) -> xds.Resource:
    cluster = cluster_pb2.Cluster.FromString(resource.value)
    resolver = cares_dns_resolver_pb2.CaresDnsResolverConfig()
    if not cluster.typed_dns_resolver_config.typed_config.Unpack(resolver):
        return resource
    closed = resolver.resolvers.add().socket_address
    closed.address, closed.port_value = "127.0.0.1", 1
    cluster.typed_dns_resolver_config.typed_config.Pack(resolver)
    cluster.wait_for_warm_on_init.value = False
    return xds.Resource.of(cluster)
