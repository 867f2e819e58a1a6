"""A proxy with all that it is sent, ready to be asked again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from envoy.config.core.v3 import base_pb2

from mizzen.explain.origins import PartOrigins
from mizzen.explain.upstream_connection import upstream_tls
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.simulate import ClientTls, Simulator
from mizzen.simulate.verdict import Endpoint
from mizzen.translator.translate_result import TYPE_URLS, Resources
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource


class ServedProxy:
    """What `proxy` is sent by `translation` as its mesh stands now. It does not follow later changes.

    With `inbound` it is asked only for calls that come to its workload. If its traffic is captured, only its
    own listeners and clusters have a part in them, and the rest is not made.
    """

    def __init__(self, translation: Translation, proxy: Proxy, *, inbound: bool = False) -> None:
        self.proxy = proxy
        self.mesh: Mesh = translation.mesh
        self.scope = translation.mesh.scope(translation.profile(proxy))
        self.origins = PartOrigins(translation, proxy)
        only_own = inbound and proxy.interception_mode != "NONE"
        resources = Resources.decoded((_own if only_own else _sent)(translation, proxy))
        self.simulator = Simulator(resources)
        self._clusters = {cluster.name: cluster for cluster in resources.clusters}
        self._listeners = {listener.name: listener for listener in resources.listeners}
        self._assignments = {each.cluster_name: each for each in resources.endpoints}
        self.addresses: dict[str, tuple[str, tuple[str, ...]]] = {}
        """The addresses that hosts have for the proxy, with what was assumed of them, as far as asked for."""
        self._tls: dict[tuple[str, str, int], ClientTls | None] = {}

    def cluster(self, name: str) -> Any | None:
        """Return the message of a cluster, None if the proxy is not sent one."""
        return self._clusters.get(name)

    def listener(self, name: str) -> Any | None:
        """Return the message of a listener, None if the proxy is not sent one."""
        return self._listeners.get(name)

    def outbound_addresses(self, port: int) -> Iterator[str]:
        """Yield the addresses at which the proxy listens on a port for calls of its own workload."""
        for _, listener in sorted(self._listeners.items()):
            socket = listener.address.socket_address
            if listener.traffic_direction == base_pb2.OUTBOUND and socket.port_value == port:
                yield str(socket.address)

    def endpoint(self, cluster: str, address: str, port: int) -> Any | None:
        """Return the message of an endpoint of a cluster (LbEndpoint), None if there is none."""
        message = self._clusters.get(cluster)
        if message is None:
            return None
        name = message.eds_cluster_config.service_name or cluster
        assignment = self._assignments.get(name, message.load_assignment)
        for locality in assignment.endpoints:
            for endpoint in locality.lb_endpoints:
                socket = endpoint.endpoint.address.socket_address
                if (socket.address, socket.port_value) == (address, port):
                    return endpoint
        return None

    def upstream_tls(self, cluster: Any, endpoint: Endpoint) -> ClientTls | None:
        """Return what the proxy says in its TLS handshake with an endpoint of a cluster (its message), None
        if it speaks none."""
        key = (str(cluster.name), endpoint.address, endpoint.port)
        if key not in self._tls:
            account = self.proxy.account
            identity = self.mesh.settings.spiffe_identity(self.proxy.namespace, account)
            self._tls[key] = upstream_tls(cluster, self.endpoint(*key), identity)
        return self._tls[key]


def _sent(translation: Translation, proxy: Proxy) -> Mapping[str, Mapping[str, Resource]]:
    snapshot = translation.snapshot(proxy)
    return {url: snapshot.collection(url).resources for url in TYPE_URLS.values() if url != type_urls.SECRET}


def _own(translation: Translation, proxy: Proxy) -> Mapping[str, Mapping[str, Resource]]:
    own = translation.own(proxy)
    return {
        type_urls.LISTENER: {each.name: each for each in own.listeners},
        type_urls.CLUSTER: {each.name: each for each in own.clusters},
    }
