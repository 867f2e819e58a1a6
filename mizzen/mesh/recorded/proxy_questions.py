"""Questions to a mesh about one proxy: what its workload serves, and which documents select it.

The answers are computed here, once. Subclasses provide the facts: `Mesh` has them, and `RecordedMesh` also
records that they were read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mizzen.config.document import Config, ConfigKey, GroupKind
from mizzen.config.group_kinds import SECRET
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import OutboundProfile, outbound_profile
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.rules.external_authorizers import ExternalAuthorizer, external_authorizer_names
from mizzen.mesh.rules.failover_labels import MentionedLabel
from mizzen.mesh.rules.gateways import GatewayConfig, MergedGateway
from mizzen.mesh.rules.peer_authentication import PeerModes, peer_modes
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.mesh.rules.token_keys import FetchedKeys, KeySource, key_sources
from mizzen.mesh.rules.virtual_service_index import Rules
from mizzen.mesh.service import Endpoint, Service
from mizzen.mesh.services.registry import ServiceInstance, ServiceKey, instances_of
from mizzen.mesh.settings import MeshSettings
from mizzen.mesh.topology import proxy_locality


class ProxyQuestions(ABC):
    """The questions, and the facts from which they are answered."""

    settings: MeshSettings

    @property
    def mesh_config(self) -> MeshConfig:
        """The mesh configuration."""
        return self.settings.mesh_config

    # The facts.

    @abstractmethod
    def endpoints_at(self, address: str) -> Mapping[ServiceKey, tuple[Endpoint, ...]]:
        """Return the endpoints at an address, by their services."""

    @abstractmethod
    def service_of(self, key: ServiceKey) -> Service:
        """Return the service of that namespace and hostname, which must exist."""

    @abstractmethod
    def labels_mentioned(self, namespace: str, labels: Mapping[str, str]) -> frozenset[MentionedLabel]:
        """Return which of a client's `labels` rules for clients of `namespace` mention, and all keys of
        labels that they mention without a value."""

    @abstractmethod
    def any_asks_for_nodes(self) -> bool:
        """Return True if some service asks for endpoints on the client's node."""

    @abstractmethod
    def any_distributes_traffic(self) -> bool:
        """Return True if some service has a trafficDistribution."""

    @abstractmethod
    def policies_of(self, namespace: str, labels: Mapping[str, str]) -> WorkloadPolicies:
        """Return the security policies that select a workload of `namespace` with these labels."""

    @abstractmethod
    def external_authorizer(self, name: str) -> ExternalAuthorizer:
        """Return the external authorizer that MeshConfig has under `name`."""

    @abstractmethod
    def fetched_keys(self, source: KeySource) -> FetchedKeys | None:
        """Return the keys that were fetched last from an issuer's `source`; None before the first fetch."""

    @abstractmethod
    def merged_gateway(
        self, configs: tuple[GatewayConfig, ...], instances: tuple[ServiceInstance, ...]
    ) -> MergedGateway:
        """Return the servers of Gateways, merged for a proxy that serves `instances`."""

    @abstractmethod
    def gateways_selecting(self, labels: Mapping[str, str]) -> tuple[GatewayConfig, ...]:
        """Return the Gateways whose selector is a subset of `labels`, oldest first."""

    @abstractmethod
    def virtual_services_for_gateway(self, gateway_name: str, proxy_namespace: str) -> Rules:
        """Return the rules bound to a Gateway ("namespace/name") that are visible in a proxy's namespace:
        private ones, exported ones, public ones, each group oldest first."""

    @abstractmethod
    def inbound_rule(self, namespace: str, service: Service) -> MergedDestinationRule | None:
        """Return the DestinationRule for the inbound ports of a service's workloads in `namespace`."""

    @abstractmethod
    def config(self, key: ConfigKey) -> Config[Any] | None:
        """Return the document of that key, or None."""

    @abstractmethod
    def configs(self, kind: GroupKind) -> tuple[Config[Any], ...]:
        """Return all documents of a kind, in no particular order."""

    # The answers.

    def secret(self, namespace: str, name: str) -> Config[Any] | None:
        """Return the Secret of that name, or None."""
        return self.config(SECRET.key(namespace, name))

    def instances(self, proxy: Proxy) -> tuple[ServiceInstance, ...]:
        """Return what the proxy's workload serves: the oldest service first, then by hostname."""
        return instances_of(proxy, self.endpoints_at, self.service_of)

    def workload_labels(self, proxy: Proxy) -> Mapping[str, str]:
        """Return the labels with which selectors are compared: those of the node's metadata, overridden by
        those of its first instance (docs/decisions/0006-labels-of-the-node-count.md)."""
        own = self._endpoint_labels(proxy)
        return proxy.labels if own is None else {**proxy.static_labels, **proxy.labels, **own}

    def _endpoint_labels(self, proxy: Proxy) -> Mapping[str, str] | None:
        """Return the labels of the proxy's first instance, or None if its workload serves nothing."""
        return next((dict(instance.endpoint.labels) for instance in self.instances(proxy)), None)

    def outbound_profile(self, proxy: Proxy) -> OutboundProfile:
        """Return all that outbound translation may read of `proxy`."""
        labels = self.workload_labels(proxy)
        mentioned = self.labels_mentioned(proxy.namespace, labels)
        return outbound_profile(
            proxy,
            tuple(
                sorted(
                    label for label in labels.items() if label in mentioned or (label[0], None) in mentioned
                )
            ),
            self.mesh_config.default_config,
            is_labelled=bool(labels or proxy.metadata.node_name) and self._compares_labels(mentioned),
            locality=proxy_locality(proxy.locality, self._endpoint_labels(proxy) or {}, labels),
            with_node_name=self.any_asks_for_nodes(),
            has_certificate=not self._is_left_without_certificate(proxy),
        )

    def _compares_labels(self, mentioned: Iterable[MentionedLabel]) -> bool:
        """Return whether some service prefers endpoints by labels that they have in common with the client:
        by failoverPriority, or by trafficDistribution."""
        return any(value is None for _, value in mentioned) or self.any_distributes_traffic()

    def gateways_for(self, proxy: Proxy) -> MergedGateway:
        """Return the servers of all Gateways that select `proxy`, merged."""
        return self.merged_gateway(
            self.gateways_selecting(self.workload_labels(proxy)), self.instances(proxy)
        )

    def policies_for(self, proxy: Proxy) -> WorkloadPolicies:
        """Return the security policies that select the proxy's workload."""
        policies = self.policies_of(proxy.namespace, self.workload_labels(proxy))
        names = external_authorizer_names(policies.authorization_policies)
        told = sorted(key_sources(policies.request_authentications))
        fetched = tuple((source, keys) for source in told if (keys := self.fetched_keys(source)) is not None)
        if not names and not fetched:
            return policies
        authorizers = tuple(map(self.external_authorizer, names))
        return replace(policies, external_authorizers=authorizers, fetched_keys=fetched)

    def _is_left_without_certificate(self, proxy: Proxy) -> bool:
        """Return True for a proxy without proof of its identity, which gets no certificate from us."""
        return self.settings.certificates_served and proxy.is_unproven

    def peer_modes(self, proxy: Proxy, policies: WorkloadPolicies) -> PeerModes:
        """Return for each port whether the proxy's workload, with these policies, accepts plain text or
        mutual TLS."""
        modes = peer_modes(policies.peer_authentications, self.settings.root_namespace)
        return modes if self.has_certificate(proxy) else modes.without_certificates()

    def has_certificate(self, proxy: Proxy) -> bool:
        """Return whether the proxy's workload has a certificate of the mesh."""
        return self.settings.mutual_tls and not self._is_left_without_certificate(proxy)
