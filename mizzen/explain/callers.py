"""Callers and servers: the proxies that documents imply, by the names that people use."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Protocol

from mizzen.config.document import Config
from mizzen.config.group_kinds import GATEWAY
from mizzen.config.interception import InterceptionMode, interception_mode
from mizzen.explain.near_names import did_you_mean, there_are
from mizzen.mesh.hosts import resolve_short_name
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.service import Endpoint, Locality
from mizzen.mesh.services.workloads import Workload
from mizzen.mesh.snapshot import Mesh

NO_WORKLOAD: Final = "192.0.2.1"
"""The address of a gateway for which no document declares a workload: for documentation only (RFC 5737)."""


class UnknownCallerError(ValueError):
    """No proxy has that name; the message lists similar names."""


class Callers(Protocol):
    """Finds proxies."""

    def sidecar(self, name: str) -> Proxy:
        """Return the sidecar of a workload. Raises UnknownCallerError."""

    def gateway(self, name: str) -> Proxy:
        """Return a proxy that serves a Gateway. Raises UnknownCallerError."""

    def at(self, address: str) -> Proxy | None:
        """Return the proxy in front of the workload at an address, or None if there is none."""


def gateway_names(config: Config[Any]) -> tuple[str, str, str]:
    """Return the names that people may use for a Gateway: `name`, `name.namespace`, `namespace/name`."""
    return config.name, f"{config.name}.{config.namespace}", f"{config.namespace}/{config.name}"


def gateway_as_workload(name: str) -> UnknownCallerError:
    """Return the error for the name of a gateway where that of a workload is asked for."""
    return UnknownCallerError(
        f'"{name}" is a gateway, not a workload; name it as a gateway (on the command line: --gateway {name})'
    )


class DeclaredCallers:
    """The proxies that the documents of a mesh imply: a sidecar beside each workload, and a gateway for each
    Gateway.

    An annotation of its Pod or WorkloadEntry says how a sidecar's traffic is captured, else
    `interception_mode` does. `earlier` are the callers of a previous snapshot of the mesh: an unchanged
    workload keeps its proxy object.
    """

    def __init__(
        self,
        mesh: Mesh,
        earlier: DeclaredCallers | None = None,
        interception_mode: InterceptionMode = "REDIRECT",
    ) -> None:
        self._mesh = mesh
        self._interception_mode = interception_mode
        self._named: list[tuple[str, Workload]] | None = None
        self._at: dict[str, Proxy | None] = {}
        self._made: dict[tuple[str, Hashable], Proxy] = earlier._made if earlier is not None else {}

    def sidecar(self, name: str) -> Proxy:
        """Return the sidecar of a workload: `name` or `name.namespace` of a WorkloadEntry or Pod, an IP
        address, or the host of a service, which stands for its first endpoint. Raises UnknownCallerError."""
        workloads = self._workloads()
        found = [workload for key, workload in workloads if name in (key, workload.key.name)]
        if found:
            return self._of_workload(found[0])
        proxy = self.at(name) or self._of_service(name)
        if proxy is not None:
            return proxy
        if any(name in gateway_names(config) for config in self._mesh.configs(GATEWAY)):
            raise gateway_as_workload(name)
        raise UnknownCallerError(_unknown("workload", name, (key for key, _ in workloads)))

    def gateway(self, name: str) -> Proxy:
        """Return a proxy that serves a Gateway, by one of its `gateway_names`: at the address of a workload
        that the Gateway selects, if there is one. The name of such a workload works too. Raises
        UnknownCallerError."""
        gateways = sorted(self._mesh.configs(GATEWAY), key=lambda config: config.key)
        for config in gateways:
            if name in gateway_names(config):
                return self._of_gateway(config)
        workloads = self._workloads()
        for key, workload in workloads:
            if name in (key, workload.key.name):
                return self._of_workload(workload, "router")
        names = (f"{config.name}.{config.namespace}" for config in gateways)
        raise UnknownCallerError(_unknown("Gateway", name, names))

    def at(self, address: str) -> Proxy | None:
        """Return the sidecar of the workload at an address, or None if no document declares one there."""
        if address not in self._at:
            self._at[address] = self._found_at(address)
        return self._at[address]

    def _found_at(self, address: str) -> Proxy | None:
        workload = self._workloads_by_address.get(address)
        if workload is not None:
            return self._of_workload(workload)
        for key, endpoints in sorted(self._mesh.registry.by_address.get(address).items()):
            if not self._mesh.registry.services[key].mesh_external:
                return self._of_endpoint(endpoints[0], address, key[0])
        return None

    def all(self) -> Iterator[Proxy]:
        """Yield every implied proxy: a gateway for each Gateway, a sidecar for each other workload, and in a
        namespace that has services but no workloads a sidecar that belongs to no service."""
        gateways: dict[str, Proxy] = {}
        for config in sorted(self._mesh.configs(GATEWAY), key=lambda config: config.key):
            proxy = self._of_gateway(config)
            gateways.setdefault(proxy.id, proxy)
        sidecars = [self._of_workload(workload) for _, workload in self._workloads()]
        yield from gateways.values()
        yield from (each for each in sidecars if each.id not in gateways)
        services = self._mesh.registry.services.values()
        empty = {each.namespace for each in services} - {each.namespace for each in sidecars}
        for namespace in sorted(empty):
            yield self._proxy("sidecar", namespace, (NO_WORKLOAD,), "client", namespace)

    @cached_property
    def _workloads_by_address(self) -> Mapping[str, Workload]:
        found: dict[str, Workload] = {}
        for _, workload in self._workloads():
            for address in workload.addresses:
                found.setdefault(address, workload)
        return found

    def _workloads(self) -> list[tuple[str, Workload]]:
        """Return the workloads that have an IP address, each with `name.namespace`."""
        if self._named is None:
            found = self._mesh.registry.workloads_by_key.items()
            named = [(f"{key.name}.{key.namespace}", each) for key, each in found]
            self._named = sorted(
                (pair for pair in named if pair[1].address and pair[1].has_ip_address),
                key=lambda pair: pair[0],
            )
        return self._named

    def _of_workload(self, workload: Workload, kind: str = "sidecar") -> Proxy:
        return self._proxy(
            kind,
            workload,
            workload.addresses,
            workload.key.name,
            workload.key.namespace,
            workload.labels,
            workload.locality,
            workload.network,
            workload.identity,
            self._mode_of(workload),
        )

    def _mode_of(self, workload: Workload) -> str:
        config = self._mesh.config(workload.key)
        return interception_mode(config.annotations) if config is not None else ""

    def _of_service(self, name: str) -> Proxy | None:
        """Return the sidecar of the first endpoint of a service: its host, or the first labels of it."""
        domain = self._mesh.settings.domain
        hosts = {name, resolve_short_name(name, "default", domain), f"{name}.svc.{domain}"}
        services = [service for _, service in sorted(self._mesh.registry.services.items())]
        named = [each for each in services if each.hostname in hosts or each.name == name]
        short = [each for each in services if each.hostname.startswith(f"{name}.")]
        for service in (*named, *short):
            for endpoint in self._mesh.endpoints(service).endpoints:
                proxy = self.at(endpoint.address)
                if proxy is not None:
                    return proxy
        return None

    def _of_endpoint(self, endpoint: Endpoint, address: str, namespace: str) -> Proxy:
        return self._proxy(
            "sidecar",
            (endpoint, address, namespace),
            endpoint.addresses or (address,),
            endpoint.workload_name or address,
            namespace,
            dict(endpoint.labels),
            endpoint.locality,
            endpoint.network,
            endpoint.identity,
        )

    def _of_gateway(self, config: Config[Any]) -> Proxy:
        selector: Mapping[str, str] = config.spec.selector
        for _, workload in self._workloads():
            if selector and selector.items() <= dict(workload.labels).items():
                return self._of_workload(workload, "router")
        namespace = self._namespace_before(selector) or config.namespace
        return self._proxy("router", config, (NO_WORKLOAD,), config.name, namespace, selector)

    def _namespace_before(self, selector: Mapping[str, str]) -> str:
        """Return the namespace of the Services in front of a gateway, which select its labels."""
        services = self._mesh.registry.services.values()
        found = {
            each.namespace
            for each in services
            if selector and each.selector and selector.items() <= each.selector.items()
        }
        return min(found, default="")

    def _proxy(
        self,
        kind: str,
        beside: Hashable,
        addresses: Sequence[str],
        name: str,
        namespace: str,
        labels: Mapping[str, str] = MappingProxyType({}),
        locality: Locality | None = None,
        network: str = "",
        identity: str = "",
        mode: str = "",
    ) -> Proxy:
        """Return the proxy `beside` something. It is always the same object, the key of what the proxy is
        sent.

        `identity` is the SPIFFE ID that documents give its workload, empty for none; so is the interception
        `mode`."""
        found = self._made.get((kind, beside))
        locality = locality or Locality()
        if found is None:
            domain = self._mesh.settings.domain
            found = self._made[kind, beside] = Proxy.from_node(
                {
                    "id": f"{kind}~{addresses[0]}~{name}.{namespace}~{namespace}.svc.{domain}",
                    "locality": {
                        "region": locality.region,
                        "zone": locality.zone,
                        "sub_zone": locality.subzone,
                    },
                    "metadata": {
                        "NAMESPACE": namespace,
                        "LABELS": dict(labels),
                        "INSTANCE_IPS": ",".join(addresses),
                        "NETWORK": network,
                        "SERVICE_ACCOUNT": identity.rpartition("/")[2],
                        "INTERCEPTION_MODE": mode or self._interception_mode,
                    },
                }
            )
        return found


def _unknown(kind: str, name: str, names: Iterable[str]) -> str:
    known = sorted(names)
    meant = did_you_mean(name, known)
    if meant:
        return f'no {kind} is named "{name}"; {meant}'
    if not known:
        return f'no {kind} is named "{name}": the configuration declares none'
    return f'no {kind} is named "{name}"; {there_are(known)}'
