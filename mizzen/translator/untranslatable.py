"""Diagnostic documents that cannot be translated. `mizzen analyze` reports them before a server uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from mizzen.config.group_kinds import DESTINATION_RULE, GATEWAY, SIDECAR, VIRTUAL_SERVICE
from mizzen.config.validation.addresses import is_ip_address
from mizzen.incremental import Failure
from mizzen.mesh.analysis import Fault
from mizzen.mesh.fault_search import Withheld
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.contained import ContainedTranslation, ProxyFaultError

MOST_PROXIES: Final = 50
"""Largest number of sidecars, and of gateways, for which the mesh is translated, to limit the time."""


def untranslatable(mesh: Mesh, note: Callable[[Fault], None] | None = None) -> tuple[Withheld, ...]:
    """Translate `mesh` for invented sidecars and gateways; return the documents that make this fail.

    If nothing can be translated for one, and no document is the cause, `note` is called. Without `note`,
    ProxyFaultError is raised.
    """
    translation = ContainedTranslation(mesh)
    # The list keeps the proxies alive: documents count as withheld only while their proxies exist.
    proxies = [*_sidecars(mesh), *_gateways(mesh)]
    for proxy in proxies:
        try:
            translation.translate(proxy)
        except ProxyFaultError as fault:
            error = fault.__cause__
            if note is None or not isinstance(error, Exception):
                raise
            note(
                Fault.of(
                    Failure(
                        "translation for", (proxy.type, "of", proxy.namespace), error, error.__traceback__
                    )
                )
            )
    return translation.withheld


def _sidecars(mesh: Mesh) -> Iterator[Proxy]:
    """Yield one sidecar for each namespace, which serves every service there that has an endpoint."""
    addresses: dict[str, dict[str, None]] = {"default": {}}
    for (namespace, _), pool in sorted(mesh.registry.pools.items()):
        found = addresses.setdefault(namespace, {})
        found.update(
            (endpoint.address, None) for endpoint in pool.endpoints[:1] if _is_ipv4(endpoint.address)
        )
    for config in (
        *mesh.configs(SIDECAR),
        *mesh.configs(DESTINATION_RULE),
        *mesh.configs(VIRTUAL_SERVICE),
    ):
        addresses.setdefault(config.namespace, {})
    for namespace, serving in list(addresses.items())[:MOST_PROXIES]:
        yield _proxy("sidecar", namespace, {}, list(serving))


def _is_ipv4(address: str) -> bool:
    """Return whether `address` is an IPv4 address; endpoints may also be IPv6, DNS names and unix sockets."""
    return ":" not in address and is_ip_address(address)


def _gateways(mesh: Mesh) -> Iterator[Proxy]:
    """Yield one gateway for each selector of a Gateway, in the namespace of the Gateway; none without
    Gateways, because to translate all services as for a gateway takes as long as for three namespaces."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], None] = {}
    for config in sorted(mesh.configs(GATEWAY), key=lambda config: config.key):
        found[config.namespace, tuple(sorted(config.spec.selector.items()))] = None
    for namespace, labels in list(found)[:MOST_PROXIES]:
        yield _proxy("router", namespace, dict(labels), [])


def _proxy(kind: str, namespace: str, labels: dict[str, str], addresses: list[str]) -> Proxy:
    own = "192.0.2.1"  # an address reserved for documentation
    return Proxy.from_node(
        {
            "id": f"{kind}~{own}~analysis.{namespace}~{namespace}.svc.cluster.local",
            "metadata": {
                "NAMESPACE": namespace,
                "LABELS": labels,
                "INSTANCE_IPS": ",".join([own, *addresses]),
            },
        }
    )
