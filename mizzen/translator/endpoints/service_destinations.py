"""The clusters of one service for its clients, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.config.diagnostics import Origin
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.service import Service
from mizzen.translator.base.by_identity import ByIdentity
from mizzen.translator.base.destinations import Destination, Discovery, destinations
from mizzen.translator.endpoints.localities import NO_POLICY, LocalityPolicy, locality_policy


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ServiceDestinations:
    """The clusters of a service as plain values, each with its locality policy, and the settings of the mesh
    that they depend on.

    Compared by identity: it is the key by which the memo finds what was made from it.
    """

    service: Service
    rule: MergedDestinationRule | None
    mesh_config: MeshConfig
    each: tuple[tuple[Destination, LocalityPolicy], ...]
    origins: tuple[Origin, ...]
    """The documents of the service and its DestinationRules."""
    is_inline: bool = False
    """Whether a cluster contains its endpoints itself."""
    dials_original: bool = False
    """Whether a cluster calls the address that its client dialled."""
    reads_location: bool = False
    """Whether the order of endpoints depends on the client's location."""


def service_destinations(
    service: Service,
    rule: MergedDestinationRule | None,
    settings: ByIdentity[MeshConfig],
    is_router: bool,
    sni_dnat: bool,
) -> ServiceDestinations:
    """Return the clusters of `service` under its DestinationRule, for gateways or for sidecars."""
    mesh_config = settings.value
    found = tuple(destinations(service, rule, mesh_config, is_router=is_router, sni_dnat=sni_dnat))
    policies = [_localities(each, mesh_config) for each in found]
    discovered = [each.discovery for each in found]
    return ServiceDestinations(
        service,
        rule,
        mesh_config,
        tuple(zip(found, policies, strict=True)),
        service.origins + (() if rule is None else tuple([each.origin for each in rule.configs])),
        any(each.is_inline for each in discovered),
        Discovery.ORIGINAL_DST in discovered,
        any(policy.reads_proxy for policy in policies if policy is not NO_POLICY),
    )


def _localities(destination: Destination, mesh_config: MeshConfig) -> LocalityPolicy:
    policy = destination.policy
    has_outlier_detection = policy.outlier_detection is not None
    return locality_policy(policy.load_balancer, has_outlier_detection, destination.service, mesh_config)
