"""The mesh as queries read it: reads are recorded, so that a change runs the concerned queries again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mizzen.config.document import Config, ConfigKey, GroupKind
from mizzen.incremental import Database, Lookup, Query
from mizzen.mesh.hosts import is_wildcard
from mizzen.mesh.recorded.proxy_questions import ProxyQuestions
from mizzen.mesh.rules.destination_rules import DestinationRuleIndex, MergedDestinationRule
from mizzen.mesh.rules.external_authorizers import ExternalAuthorizer, external_authorizer
from mizzen.mesh.rules.failover_labels import MentionedLabel
from mizzen.mesh.rules.gateways import GatewayConfig, GatewayIndex, MergedGateway, merge_gateways
from mizzen.mesh.rules.security_policies import PolicyIndex, WorkloadPolicies
from mizzen.mesh.rules.token_keys import FetchedKeys, KeySource, TokenKeys
from mizzen.mesh.rules.virtual_service_index import Rules, VirtualServiceIndex
from mizzen.mesh.scope.label_mentions import LabelMentions
from mizzen.mesh.service import Endpoint, Service
from mizzen.mesh.services.registry import Registry, ServiceInstance, ServiceKey
from mizzen.mesh.snapshot import Mesh

_Labels = tuple[tuple[str, str], ...]
_Workload = tuple[str, _Labels]
"""A namespace and labels, sorted."""
_Documents = Mapping[ConfigKey, Config[Any]]


class RecordedMesh(ProxyQuestions):
    """Answers of the latest snapshot given to `renew`, for queries of one database.

    Each fact is a lookup in one part of the snapshot. Unchanged parts are the same object from one snapshot
    to the next, so that nothing is looked up in them again.
    """

    def __init__(self, database: Database, mesh: Mesh) -> None:
        self.settings = mesh.settings
        registry = mesh.registry
        self._endpoints: Lookup[Registry, str, Mapping[ServiceKey, tuple[Endpoint, ...]]] = Lookup(
            database, "endpoints at an address", registry, lambda of, address: of.by_address.get(address)
        )
        self._services: Lookup[Registry, ServiceKey, Service] = Lookup(
            database, "service", registry, lambda of, key: of.services[key]
        )
        self._node_aware: Lookup[Registry, None, bool] = Lookup(
            database, "services that ask for nodes", registry, lambda of, _: bool(of.node_aware)
        )
        self._distributing: Lookup[Registry, None, bool] = Lookup(
            database, "services with a trafficDistribution", registry, lambda of, _: bool(of.distributing)
        )
        self._authorizers: Lookup[Registry, str, ExternalAuthorizer] = Lookup(
            database,
            "external authorizer",
            registry,
            lambda of, name: external_authorizer(name, self.mesh_config, of),
        )
        self._mentioned: Lookup[LabelMentions, _Workload, frozenset[MentionedLabel]] = Lookup(
            database, "labels that rules mention", mesh.label_mentions, lambda of, key: of.among(*key)
        )
        self._policies: Lookup[PolicyIndex, _Workload, WorkloadPolicies] = Lookup(
            database,
            "policies of a workload",
            mesh.policy_index,
            lambda of, workload: of.of_workload(workload[0], dict(workload[1])),
        )
        self._keys: Lookup[TokenKeys, KeySource, FetchedKeys | None] = Lookup(
            database, "fetched keys", mesh.token_keys, lambda of, source: of.by_source.get(source)
        )
        self._gateways: Lookup[GatewayIndex, _Labels, tuple[GatewayConfig, ...]] = Lookup(
            database, "Gateways that select", mesh.gateway_index, lambda of, key: of.selecting(dict(key))
        )
        self._rules: Lookup[VirtualServiceIndex, tuple[str, str], Rules] = Lookup(
            database,
            "VirtualServices of a Gateway",
            mesh.virtual_service_index,
            lambda of, key: of.for_gateway(*key),
        )
        self._inbound: Lookup[DestinationRuleIndex, tuple[str, Service], MergedDestinationRule | None] = (
            Lookup(
                database,
                "inbound DestinationRule",
                mesh.destination_rule_index,
                lambda of, key: of.inbound_rule(*key),
            )
        )
        self._documents: Lookup[Mesh, ConfigKey, Config[Any] | None] = Lookup(
            database, "document", mesh, Mesh.config
        )
        self._kinds: Lookup[Mesh, GroupKind, _Documents] = Lookup(
            database, "documents of a kind", mesh, Mesh.configs_by_key
        )
        self._mesh = mesh
        self._merged = Query(database, "merged Gateways", merge_gateways)

    def renew(self, mesh: Mesh) -> None:
        """Switch to a different snapshot with the same settings. Of what each proxy reads for itself, only
        that is looked up again which may differ."""
        before, self._mesh = self._mesh, mesh
        registry, was = mesh.registry, before.registry
        self._endpoints.renew(registry, registry.by_address.differing(was.by_address))
        self._services.renew(registry, registry.services.differing(was.services))
        self._node_aware.renew(registry)
        self._distributing.renew(registry)
        self._authorizers.renew(registry)
        mentions, policies, rules = mesh.label_mentions, mesh.policy_index, mesh.destination_rule_index
        clients, workloads = self._mentioned.keys_read, self._policies.keys_read
        self._mentioned.renew(mentions, mentions.changed_among(before.label_mentions, clients))
        self._policies.renew(policies, policies.selections_changed(before.policy_index, workloads))
        self._documents.renew(mesh, mesh.keys_differing(before))
        self._kinds.renew(mesh)
        self._keys.renew(mesh.token_keys)
        self._gateways.renew(mesh.gateway_index)
        self._rules.renew(mesh.virtual_service_index)
        hosts = mesh.difference(before).destination_hosts
        if any(map(is_wildcard, hosts)):
            self._inbound.renew(rules)
        else:
            served = [key for key in self._inbound.keys_read if key[1].hostname in hosts]
            self._inbound.renew(rules, served)

    def endpoints_at(self, address: str) -> Mapping[ServiceKey, tuple[Endpoint, ...]]:
        """Return the endpoints at an address, by their services."""
        return self._endpoints(address)

    def service_of(self, key: ServiceKey) -> Service:
        """Return the service of that namespace and hostname, which must exist."""
        return self._services(key)

    def labels_mentioned(self, namespace: str, labels: Mapping[str, str]) -> frozenset[MentionedLabel]:
        """Return which of a client's `labels` rules for clients of `namespace` mention, and all keys of
        labels that they mention without a value."""
        return self._mentioned((namespace, tuple(sorted(labels.items()))))

    def any_asks_for_nodes(self) -> bool:
        """Return True if some service asks for endpoints on the client's node."""
        return self._node_aware(None)

    def any_distributes_traffic(self) -> bool:
        """Return True if some service has a trafficDistribution."""
        return self._distributing(None)

    def policies_of(self, namespace: str, labels: Mapping[str, str]) -> WorkloadPolicies:
        """Return the security policies that select a workload of `namespace` with these labels."""
        return self._policies((namespace, tuple(sorted(labels.items()))))

    def external_authorizer(self, name: str) -> ExternalAuthorizer:
        """Return the external authorizer that MeshConfig has under `name`."""
        return self._authorizers(name)

    def fetched_keys(self, source: KeySource) -> FetchedKeys | None:
        """Return the keys that were fetched last from an issuer's `source`; None before the first fetch."""
        return self._keys(source)

    def merged_gateway(
        self, configs: tuple[GatewayConfig, ...], instances: tuple[ServiceInstance, ...]
    ) -> MergedGateway:
        """Return the merged servers of Gateways; the same object for the same parts."""
        return self._merged(configs, instances)

    def gateways_selecting(self, labels: Mapping[str, str]) -> tuple[GatewayConfig, ...]:
        """Return the Gateways whose selector is a subset of `labels`, oldest first."""
        return self._gateways(tuple(sorted(labels.items())))

    def virtual_services_for_gateway(self, gateway_name: str, proxy_namespace: str) -> Rules:
        """Return the rules bound to a Gateway that are visible in a proxy's namespace, as `Mesh` does."""
        return self._rules((gateway_name, proxy_namespace))

    def inbound_rule(self, namespace: str, service: Service) -> MergedDestinationRule | None:
        """Return the DestinationRule for the inbound ports of a service's workloads in `namespace`."""
        return self._inbound((namespace, service))

    def config(self, key: ConfigKey) -> Config[Any] | None:
        """Return the document of that key, or None."""
        return self._documents(key)

    def configs(self, kind: GroupKind) -> tuple[Config[Any], ...]:
        """Return all documents of a kind, in no particular order."""
        return tuple(self._kinds(kind).values())
