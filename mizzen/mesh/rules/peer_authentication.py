"""The modes that PeerAuthentications give to a workload and its ports: plain text, mutual TLS, or both.

Scopes: without a selector, a policy of the root namespace applies to the mesh, and one of any other namespace
to that namespace; with a selector, to the workloads that it picks. The narrowest scope that sets a mode
decides; within a scope the oldest document counts. A selector in the root namespace picks nothing. Source:
Istio's pilot/pkg/security/authn/policy_applier.go (ComposePeerAuthentication).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mizzen.config.document import Config
from mizzen.config.models import ClientTLSMode, MutualTLS, MutualTLSMode, PeerAuthentication
from mizzen.mesh.service import Endpoint, Service
from mizzen.mesh.services.registry import Registry, ServiceKey

Policy = Config[PeerAuthentication]


@dataclass(frozen=True, slots=True)
class PeerModes:
    """The mode of a workload, and of those of its ports that a PeerAuthentication names. Never UNSET."""

    workload: MutualTLSMode = MutualTLSMode.PERMISSIVE
    ports: tuple[tuple[int, MutualTLSMode], ...] = ()

    def of_port(self, number: int) -> MutualTLSMode:
        """Return the mode of a port of the workload."""
        for port, mode in self.ports:
            if port == number:
                return mode
        return self.workload

    def without_certificates(self) -> PeerModes:
        """Return the modes of a workload without a certificate: it cannot accept mutual TLS, so PERMISSIVE
        becomes plain text. STRICT stays, so that it never gets plain text."""
        return PeerModes(
            _without_certificate(self.workload),
            tuple((port, _without_certificate(mode)) for port, mode in self.ports),
        )


PLAIN_TEXT: Final = PeerModes(MutualTLSMode.DISABLE)


@dataclass(frozen=True, slots=True)
class ServicePeers:
    """What clients of a service know about the modes of its endpoints. `namespace` is the mode of the
    service's namespace; `selecting` are the policies that pick at least one of the endpoints, oldest
    first."""

    namespace: MutualTLSMode = MutualTLSMode.PERMISSIVE
    selecting: tuple[Policy, ...] = ()

    @property
    def are_called_by_mutual_tls(self) -> bool:
        """True if clients may use automatic mutual TLS for the service at all;
        single endpoints may refuse it."""
        return self.namespace is not MutualTLSMode.DISABLE

    def refuses_mutual_tls(self, endpoint: Endpoint, port_name: str) -> bool:
        """Return True if the endpoint accepts only plain text on the port of that name."""
        policy = next((one for one in self.selecting if endpoint.has_labels(_wanted(one))), None)
        if policy is None:
            return self.namespace is MutualTLSMode.DISABLE
        modes = _narrowed(self.namespace, policy)
        return modes.of_port(endpoint.port_named(port_name) or 0) is MutualTLSMode.DISABLE


NO_PEERS: Final = ServicePeers()
"""The value without any PeerAuthentication."""

CALLED_IN_PLAIN_TEXT: Final = ServicePeers(MutualTLSMode.DISABLE)
"""The value for a client without a certificate: it never uses automatic mutual TLS."""


def peer_modes(policies: Sequence[Policy], root_namespace: str) -> PeerModes:
    """Return the modes of a workload; `policies` are those that select it, oldest first."""
    mode = namespace_mode(policies, root_namespace)
    policy = next((one for one in policies if _wanted(one) and one.namespace != root_namespace), None)
    return PeerModes(mode) if policy is None else _narrowed(mode, policy)


def refuses(mode: MutualTLSMode, spoken: ClientTLSMode | None) -> bool:
    """Return whether a port of that mode refuses what clients speak by a mode of a DestinationRule; None is
    plain text. Of MUTUAL it is not known: its certificates may be of the mesh."""
    if mode is MutualTLSMode.STRICT:
        return spoken in (None, ClientTLSMode.DISABLE, ClientTLSMode.SIMPLE)
    return mode is MutualTLSMode.DISABLE and spoken is ClientTLSMode.ISTIO_MUTUAL


def deciding(policies: Sequence[Policy], root_namespace: str, number: int) -> Policy | None:
    """Return the policy that sets the mode of a port of a workload; None if none does. `policies` are those
    that select the workload, oldest first."""
    own = [one for one in policies if one.namespace != root_namespace]
    for one in next(([each] for each in own if _wanted(each)), []):
        level = one.spec.port_level_mtls.get(number)
        if _says(level) or _says(one.spec.mtls):
            return one
    for scope in (own, [each for each in policies if each.namespace == root_namespace]):
        first = next((each for each in scope if not _wanted(each)), None)
        if first is not None and _says(first.spec.mtls):
            return first
    return None


def namespace_mode(policies: Iterable[Policy], root_namespace: str) -> MutualTLSMode:
    """Return the mode of the workloads of a namespace that no policy selects; `policies` are those of the
    root namespace and of this one, oldest first."""
    mesh: Policy | None = None
    own: Policy | None = None
    for policy in policies:
        if _wanted(policy):
            continue
        if policy.namespace == root_namespace:
            mesh = mesh or policy
        else:
            own = own or policy
    mode = MutualTLSMode.PERMISSIVE
    for one in (mesh, own):
        mode = _said(None if one is None else one.spec.mtls, mode)
    return mode


def service_peers(
    policies: Sequence[Policy], root_namespace: str, endpoints: Sequence[Endpoint]
) -> ServicePeers:
    """Return what `policies` (of the root namespace and the service's own, oldest first) say about a service
    with these endpoints. Services of a namespace have equal values if the same policies pick their
    endpoints."""
    selecting = [one for one in policies if _wanted(one) and one.namespace != root_namespace]
    return ServicePeers(
        namespace_mode(policies, root_namespace),
        tuple(one for one in selecting if any(each.has_labels(_wanted(one)) for each in endpoints)),
    )


def services_concerned(
    changed: Iterable[Policy], root_namespace: str, registry: Registry
) -> frozenset[ServiceKey]:
    """Return the services whose ServicePeers these policies affect, each given as it was or as it is: all
    services in the scope of a policy, or those with an endpoint that it picks."""
    scopes: set[str] = set()
    picking: dict[str, list[Mapping[str, str]]] = {}
    for policy in changed:
        if wanted := _wanted(policy):
            picking.setdefault(policy.namespace, []).append(wanted)
        else:
            scopes.add(policy.namespace)
    if root_namespace in scopes:
        return frozenset(registry.services)

    def is_picked(service: Service) -> bool:
        endpoints = registry.pool(service).endpoints
        return any(each.has_labels(wanted) for wanted in picking[service.namespace] for each in endpoints)

    return frozenset(
        key
        for key, service in registry.services.items()
        if key[0] in scopes or (key[0] in picking and is_picked(service))
    )


def _narrowed(mode: MutualTLSMode, policy: Policy) -> PeerModes:
    """Return the modes of a workload that `policy` selects, in a namespace of that mode."""
    own = _said(policy.spec.mtls, mode)
    levels = policy.spec.port_level_mtls
    return PeerModes(own, tuple((port, _said(levels[port], own)) for port in sorted(levels)))


def _says(mtls: MutualTLS | None) -> bool:
    return mtls is not None and mtls.mode is not MutualTLSMode.UNSET


def _said(mtls: MutualTLS | None, otherwise: MutualTLSMode) -> MutualTLSMode:
    return mtls.mode if mtls is not None and _says(mtls) else otherwise


def _wanted(policy: Policy) -> Mapping[str, str]:
    selector = policy.spec.selector
    return selector.match_labels if selector is not None else {}


def _without_certificate(mode: MutualTLSMode) -> MutualTLSMode:
    return MutualTLSMode.DISABLE if mode is MutualTLSMode.PERMISSIVE else mode
