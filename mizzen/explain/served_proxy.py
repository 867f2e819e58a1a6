"""A proxy with the resources that it is sent, ready for many questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from envoy.config.core.v3 import base_pb2

from mizzen.explain.missing_secrets import MissingSecrets
from mizzen.explain.origins import PartOrigins
from mizzen.explain.upstream_connection import upstream_tls
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.service import Service
from mizzen.mesh.snapshot import Mesh
from mizzen.simulate import ClientTls, Simulator
from mizzen.simulate.verdict import Endpoint
from mizzen.translator.on_demand import Translates
from mizzen.translator.translate_result import MESSAGES, TYPE_URLS
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource

_MESSAGES: Final = {TYPE_URLS[kind]: message for kind, message in MESSAGES.items()}


@dataclass(frozen=True, slots=True)
class HostAddress:
    """The address of a host as a proxy sees it, what was assumed about it, and its service if it has one."""

    address: str
    notes: tuple[str, ...] = ()
    service: Service | None = None


class ServedProxy:
    """The resources that `translation` sends to `proxy` now. They do not change when the mesh does.

    With `inbound`, questions are only about calls to its workload. If its traffic is captured, these need
    only its inbound resources, and the rest is not made.
    """

    def __init__(self, translation: Translates, proxy: Proxy, *, inbound: bool = False) -> None:
        self.proxy = proxy
        self.mesh: Mesh = translation.mesh
        self.scope = translation.mesh.scope(translation.profile(proxy))
        self.origins = PartOrigins(translation, proxy)
        self.missing_secrets = MissingSecrets(translation, proxy)
        only_own = inbound and proxy.interception_mode != "NONE"
        listeners: Iterable[Resource]
        if only_own:
            own = translation.own(proxy)
            listeners = own.listeners
            self._find = _by_name(*own.clusters)
        else:
            listeners = translation.listeners(proxy)
            self._find = partial(translation.resource, proxy)
        self._listeners = {each.name: _decoded(each) for each in listeners}
        self._messages: dict[tuple[str, str], Any | None] = {}
        self.simulator = Simulator.of(
            [message for _, message in sorted(self._listeners.items())],
            route=partial(self._message, type_urls.ROUTE),
            cluster=self.cluster,
            assignment=self._assignment,
            has_secret=lambda name, authority: not self.missing_secrets.reason(name, authority),
        )
        self.addresses: dict[str, HostAddress] = {}
        """The addresses of hosts as the proxy sees them, once they were asked for."""
        self._tls: dict[tuple[str, str, int], ClientTls | None] = {}

    def _message(self, type_url: str, name: str) -> Any | None:
        """Return a message that the proxy is sent, or None. It is decoded when it is first asked for."""
        if (type_url, name) not in self._messages:
            found = self._find(type_url, name)
            self._messages[type_url, name] = _decoded(found) if found is not None else None
        return self._messages[type_url, name]

    def cluster(self, name: str) -> Any | None:
        """Return the message of a cluster, or None if the proxy is not sent it."""
        return self._message(type_urls.CLUSTER, name)

    def _assignment(self, name: str) -> Any | None:
        return self._message(type_urls.ENDPOINT, name)

    def listener(self, name: str) -> Any | None:
        """Return the message of a listener, or None if the proxy is not sent it."""
        return self._listeners.get(name)

    def outbound_addresses(self, port: int) -> Iterator[str]:
        """Yield the addresses where the proxy listens on a port for calls from its own workload."""
        for _, listener in sorted(self._listeners.items()):
            socket = listener.address.socket_address
            if listener.traffic_direction == base_pb2.OUTBOUND and socket.port_value == port:
                yield str(socket.address)

    def endpoint(self, cluster: str, address: str, port: int) -> Any | None:
        """Return the message of an endpoint of a cluster (LbEndpoint), None if there is none."""
        message = self.cluster(cluster)
        if message is None:
            return None
        assignment = self._assignment(message.eds_cluster_config.service_name or cluster)
        if assignment is None:
            assignment = message.load_assignment
        for locality in assignment.endpoints:
            for endpoint in locality.lb_endpoints:
                socket = endpoint.endpoint.address.socket_address
                if (socket.address, socket.port_value) == (address, port):
                    return endpoint
        return None

    def upstream_tls(self, cluster: Any, endpoint: Endpoint) -> ClientTls | None:
        """Return what the proxy sends in its TLS handshake with an endpoint of a `cluster` (its message), or
        None if it speaks no TLS."""
        key = (str(cluster.name), endpoint.address, endpoint.port)
        if key not in self._tls:
            account = self.proxy.account
            identity = self.mesh.settings.spiffe_identity(self.proxy.namespace, account)
            self._tls[key] = upstream_tls(cluster, self.endpoint(*key), identity)
        return self._tls[key]


def _by_name(*resources: Resource) -> Callable[[str, str], Resource | None]:
    found = {(each.type_url, each.name): each for each in resources}
    return lambda type_url, name: found.get((type_url, name))


def _decoded(resource: Resource) -> Any:
    return _MESSAGES[resource.type_url].FromString(resource.value)
