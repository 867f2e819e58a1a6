"""A control plane with a stand-in for the translation: one cluster for each Service document."""

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from envoy.config.core.v3 import base_pb2

from mizzen import xds
from mizzen.config import Diagnostic, ParsedFile, parse_documents
from mizzen.config.group_kinds import SERVICE
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.fault_search import Withheld
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.server.configuration import Configuration
from mizzen.server.control_plane import ControlPlane
from mizzen.server.faults import Faults
from mizzen.server.metrics import Metrics

CDS = xds.type_urls.CLUSTER


class StandIn:
    """Gives every proxy the services as clusters whose bytes are their names; counts what it is asked."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.profiles = 1
        self.asked = 0
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.withheld: tuple[Withheld, ...] = ()
        self.updates: list[MeshDelta] = []
        self.failed: tuple[str, ...] = ()
        self.before: Callable[[Proxy], None] = lambda proxy: None
        self.steps: Callable[[Proxy], Iterator[None]] | None = None
        self.needed: list[str] = []
        self.known: dict[Proxy, None] = {}
        self.forgot = threading.Event()
        self._snapshot: xds.Snapshot | None = None

    def update(self, mesh: Mesh, delta: MeshDelta) -> None:
        self.mesh = mesh
        self.updates.append(delta)
        self._snapshot = None

    def knows(self, proxy: Proxy) -> bool:
        self.known[proxy] = None
        return not self.steps

    def prepare(self, proxy: Proxy) -> Iterator[None]:
        return self.steps(proxy) if self.steps else iter(())

    def concerned(self) -> Iterator[Proxy]:
        yield from tuple(self.known)

    def forget_unused(self, proxies: Iterable[Proxy]) -> Iterator[None]:
        self.needed = [proxy.id for proxy in proxies]
        yield
        self.forgot.set()

    def overcome(self) -> tuple[str, ...]:
        found, self.failed = self.failed, ()
        return found

    def translate(self, proxy: Proxy) -> tuple[xds.Snapshot, tuple[Diagnostic, ...]]:
        self.asked += 1
        self.before(proxy)
        if self._snapshot is None:
            names = [config.name for config in self.mesh.configs(SERVICE)]
            self._snapshot = xds.Snapshot.of(xds.Resource(CDS, name, name.encode()) for name in names)
        return self._snapshot, self.diagnostics


class Sent:
    """What the discovery server was given."""

    def __init__(self) -> None:
        self.snapshots: list[tuple[Hashable, list[str]]] = []

    def set_snapshot(self, group: Hashable, snapshot: xds.Snapshot) -> None:
        self.snapshots.append((group, sorted(snapshot.collection(CDS))))


class Tracked:
    """What was said of one change."""

    def __init__(self) -> None:
        self.told: dict[Hashable, list[tuple[str, list[str]]]] = {}
        self.ended = False

    def handed(self, group: Hashable, changes: Iterable[tuple[str, Iterable[str]]]) -> None:
        self.told[group] = [(type_url, list(names)) for type_url, names in changes]

    async def answered(self, groups: Iterable[Hashable], seconds: float) -> None:
        raise AssertionError("nobody is to be waited for")

    def done(self) -> None:
        self.ended = True


class Running:
    def __init__(self) -> None:
        self.sent = Sent()
        self.tracked: list[Tracked] = []
        self.metrics = Metrics("test")
        self.settled = 0
        self.plane = ControlPlane(
            Configuration(faults=Faults(self.metrics.faults.inc)),
            self._translate,
            self.metrics,
            self._follow,
            settled=self._settle,
        )
        self.plane.serve_through(self.sent)

    def _settle(self) -> None:
        self.settled += 1

    def _follow(self, seen: float, documents: Sequence[str], more: int) -> Tracked:
        self.tracked.append(Tracked())
        return self.tracked[-1]

    def _translate(self, mesh: Mesh) -> StandIn:
        self.translation = StandIn(mesh)
        return self.translation

    async def connects(self, name: str) -> Hashable:
        node = base_pb2.Node(id=f"sidecar~10.0.0.7~{name}.default~default.svc.cluster.local")
        key = self.plane.group_of(node, xds.Peer())
        await self.plane.first_snapshot(key, node)
        return key

    def value(self, metric: str) -> float:
        return self.metrics.registry.get_sample_value(metric) or 0.0


def service(name: str, *, port: object = 80) -> ParsedFile:
    text = f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{name: http, port: {port}}}]}}
"""
    return parse_documents(text.encode(), f"{name}.yaml")


def lost(name: str) -> ParsedFile:
    """A VirtualService whose destination is not there."""
    text = f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec: {{hosts: [{name}.example], http: [{{route: [{{destination: {{host: {name}-is-missing.example}}}}]}}]}}
"""
    return parse_documents(text.encode(), f"{name}.yaml")
