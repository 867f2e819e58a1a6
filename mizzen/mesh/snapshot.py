"""One snapshot of the mesh: all documents, and the answers to every question of the translation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final
from weakref import WeakKeyDictionary

from mizzen.config.diagnostics import Diagnostic, Origin, in_reading_order
from mizzen.config.document import Config, ConfigKey, GroupKind
from mizzen.config.group_kinds import DESTINATION_RULE, GATEWAY, SIDECAR, VIRTUAL_SERVICE
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.changes.delta import ConfigChange, DocumentChange, MeshDelta
from mizzen.mesh.changes.difference import MeshDifference
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.recorded.proxy_questions import ProxyQuestions
from mizzen.mesh.rules.destination_rules import DestinationRuleIndex, MergedDestinationRule
from mizzen.mesh.rules.external_authorizers import ExternalAuthorizer, external_authorizer
from mizzen.mesh.rules.failover_labels import MentionedLabel
from mizzen.mesh.rules.gateways import GatewayConfig, GatewayIndex, MergedGateway, merge_gateways
from mizzen.mesh.rules.peer_authentication import NO_PEERS, ServicePeers, service_peers
from mizzen.mesh.rules.security_policies import POLICY_KINDS, PolicyIndex, WorkloadPolicies
from mizzen.mesh.rules.token_keys import NO_TOKEN_KEYS, FetchedKeys, KeySource, TokenKeys
from mizzen.mesh.rules.virtual_service_index import Rules, VirtualServiceIndex
from mizzen.mesh.scope.label_mentions import LabelMentions
from mizzen.mesh.scope.scopes import Scopes
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.scope.sidecars import SidecarIndex
from mizzen.mesh.service import Endpoint, EndpointPool, Service
from mizzen.mesh.services.registry import REGISTRY_KINDS, Registry, ServiceInstance, ServiceKey
from mizzen.mesh.services.registry_edit import RegistryEdit
from mizzen.mesh.settings import MeshSettings, mesh_config_in_force
from mizzen.persistent import LayeredDict

_NO_CONFIGS: Final[LayeredDict[ConfigKey, Config[Any]]] = LayeredDict()


class Mesh(ProxyQuestions):
    """An immutable snapshot of the mesh.

    It is made by `build`, or from an earlier snapshot by `updated`, which shares every unchanged object, so
    that identity tells whether something changed. Answers are computed when first asked for, and cached
    inside.
    """

    def __init__(
        self,
        settings: MeshSettings,
        configs: dict[GroupKind, LayeredDict[ConfigKey, Config[Any]]],
        registry: Registry,
        virtual_services: VirtualServiceIndex,
        destination_rules: DestinationRuleIndex,
        sidecars: SidecarIndex,
        gateways: GatewayIndex,
        policies: PolicyIndex,
        token_keys: TokenKeys = NO_TOKEN_KEYS,
        moved: LayeredDict[ConfigKey, Config[Any]] = _NO_CONFIGS,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.virtual_service_index = virtual_services
        self.destination_rule_index = destination_rules
        self.sidecar_index = sidecars
        self.gateway_index = gateways
        self.policy_index = policies
        self.token_keys = token_keys
        self._configs = configs
        self.moved = moved
        """The current documents that differ only in their lines from those from which the mesh was made."""
        self.label_mentions = LabelMentions(virtual_services, destination_rules, sidecars, self.mesh_config)
        self._scopes = Scopes(settings)
        self._has_successor = False
        self._differences: WeakKeyDictionary[Mesh, MeshDifference] = WeakKeyDictionary()
        self._diagnostics: tuple[Diagnostic, ...] | None = None

    @classmethod
    def build(
        cls,
        configs: Iterable[Config[Any]],
        mesh_config: MeshConfig | None = None,
        *,
        domain: str = "cluster.local",
        certificates_served: bool = False,
        token_keys: TokenKeys = NO_TOKEN_KEYS,
    ) -> Mesh:
        """Return the mesh of valid documents of any kind; of two with one key the last counts.

        `domain` completes short names after `.svc.` (istiod's `--domain`). `certificates_served`: workloads
        get certificates from the control plane. `token_keys` are the fetched keys.
        """
        given = mesh_config if mesh_config is not None else MeshConfig()
        in_force = mesh_config_in_force(given, certificates_served=certificates_served)
        settings = MeshSettings(in_force, domain, certificates_served)
        latest = {config.key: config for config in configs}
        return cls._empty(settings, token_keys)._changed([(None, config) for config in latest.values()])[0]

    @classmethod
    def _empty(cls, settings: MeshSettings, token_keys: TokenKeys) -> Mesh:
        return cls(
            settings,
            {},
            Registry(settings),
            VirtualServiceIndex(settings),
            DestinationRuleIndex(settings),
            SidecarIndex(settings),
            GatewayIndex(),
            PolicyIndex(settings),
            token_keys,
        )

    def without_documents(self) -> Mesh:
        """Return a mesh with the same settings and no documents."""
        return self._empty(self.settings, self.token_keys)

    def updated(self, change: ConfigChange, mesh_config: MeshConfig | None = None) -> tuple[Mesh, MeshDelta]:
        """Return the mesh after `change`, and the delta between the two.

        The cost depends on the size of the change. A new `mesh_config` builds the mesh anew, as it may affect
        everything.
        """
        changes = list(self._pairs(change))
        served = self.settings.certificates_served
        if (
            mesh_config is not None
            and mesh_config_in_force(mesh_config, certificates_served=served) != self.mesh_config
        ):
            configs = {
                config.key: self.moved.get(config.key, config)
                for kind in self._configs.values()
                for config in kind.values()
            }
            configs.update(self._moves(change.moved))
            for old, new in changes:
                if old is not None:
                    del configs[old.key]
                if new is not None:
                    configs[new.key] = new
            mesh = Mesh.build(
                configs.values(),
                mesh_config,
                domain=self.settings.domain,
                certificates_served=served,
                token_keys=self.token_keys,
            )
            return mesh, MeshDelta(everything=True)
        mesh, delta = self._changed(changes)
        return mesh.with_moved(change.moved), delta

    def with_moved(self, moved: Mapping[ConfigKey, Config[Any]]) -> Mesh:
        """Return the same mesh, with some documents at different lines.

        All other objects stay the same; only the results of `current_origin` change.
        """
        places = dict(self._moves(moved))
        if not places:
            return self
        return self._of_same_documents(self.token_keys, self.moved.updated(places))

    def _of_same_documents(self, token_keys: TokenKeys, moved: LayeredDict[ConfigKey, Config[Any]]) -> Mesh:
        """Return the mesh with the same documents, and with all objects made from them."""
        mesh = Mesh(
            self.settings,
            self._configs,
            self.registry,
            self.virtual_service_index,
            self.destination_rule_index,
            self.sidecar_index,
            self.gateway_index,
            self.policy_index,
            token_keys,
            moved,
        )
        mesh._take_over(self)
        return mesh

    def says_the_same(self, other: Mesh) -> bool:
        """Return True if this mesh was made from `other` by moves of documents alone (`with_moved`)."""
        return (
            self.settings is other.settings
            and self._configs is other._configs
            and self.token_keys is other.token_keys
        )

    def _moves(self, moved: Mapping[ConfigKey, Config[Any]]) -> Iterable[tuple[ConfigKey, Config[Any]]]:
        """Yield the moved documents that are in force here; of a withheld document an earlier version is."""
        for key, config in moved.items():
            known = self._configs.get(config.group_kind, _NO_CONFIGS).get(key)
            if known is not None and known.spec is config.spec:
                yield key, config

    def with_token_keys(self, token_keys: TokenKeys) -> tuple[Mesh, MeshDelta]:
        """Return the mesh with different keys of token issuers, and the delta between the two. Its documents,
        and all objects made from them, stay the same."""
        if token_keys == self.token_keys:
            return self, MeshDelta()
        return self._of_same_documents(token_keys, self.moved), MeshDelta(token_keys=True)

    def documents_since(self, other: Mesh) -> tuple[DocumentChange, ...]:
        """Return the documents that are different in `other`, which need not be an earlier snapshot."""
        return tuple((other.config(key), self.config(key)) for key in self.keys_differing(other))

    def keys_differing(self, other: Mesh) -> Iterator[ConfigKey]:
        """Yield the keys of the documents that differ between two snapshots, kind by kind."""
        for kind in sorted(self._configs.keys() | other._configs.keys()):
            yield from self.configs_by_key(kind).differing(other.configs_by_key(kind))

    def difference(self, before: Mesh) -> MeshDifference:
        """Return the difference from a snapshot with the same settings, computed once for all callers."""
        found = self._differences.get(before)
        if found is None:
            found = self._differences[before] = MeshDifference.between(before, self)
        return found

    def _pairs(self, change: ConfigChange) -> Iterable[DocumentChange]:
        pairs: dict[ConfigKey, DocumentChange] = {}
        for key in change.removed:
            old = self._configs.get(key.group_kind, _NO_CONFIGS).get(key)
            if old is not None:
                pairs[key] = (old, None)
        for config in change.updated:
            old = self._configs.get(config.group_kind, _NO_CONFIGS).get(config.key)
            if old is not config:
                pairs[config.key] = (old, config)
            else:
                pairs.pop(config.key, None)
        return pairs.values()

    def _changed(self, changes: list[DocumentChange]) -> tuple[Mesh, MeshDelta]:
        by_kind = _by_kind(changes)
        if not by_kind:
            return self, MeshDelta()
        registry_edit = RegistryEdit(self.registry)
        for kind in by_kind.keys() & REGISTRY_KINDS:
            for old, new in by_kind[kind]:
                registry_edit.change(old, new)
        touches_registry = not REGISTRY_KINDS.isdisjoint(by_kind)
        mesh = Mesh(
            self.settings,
            self._with(by_kind),
            registry_edit.finish() if touches_registry else self.registry,
            self.virtual_service_index.updated(by_kind.get(VIRTUAL_SERVICE, ())),
            self.destination_rule_index.updated(by_kind.get(DESTINATION_RULE, ())),
            self.sidecar_index.updated(by_kind.get(SIDECAR, ())),
            self.gateway_index.updated(by_kind.get(GATEWAY, ())),
            self.policy_index.updated(_policies(by_kind)),
            self.token_keys,
            self._still_moved(changes),
        )
        delta = MeshDelta(
            services=frozenset(registry_edit.changed_services),
            endpoints=frozenset(registry_edit.changed_pools),
            documents=tuple(changes),
        )
        mesh._take_over(self)
        return mesh, delta

    def _still_moved(self, changes: Iterable[DocumentChange]) -> LayeredDict[ConfigKey, Config[Any]]:
        edit = self.moved.edit()
        if self.moved:
            for old, _ in changes:
                if old is not None:
                    edit.discard(old.key)
        return edit.finish()

    def _with(
        self, by_kind: Mapping[GroupKind, list[DocumentChange]]
    ) -> dict[GroupKind, LayeredDict[ConfigKey, Config[Any]]]:
        configs = dict(self._configs)
        for kind, changes in by_kind.items():
            edit = configs.get(kind, _NO_CONFIGS).edit()
            for old, new in changes:
                if new is not None:
                    edit.put(new.key, new)
                elif old is not None:
                    edit.discard(old.key)
            configs[kind] = edit.finish()
        return configs

    def _take_over(self, before: Mesh) -> None:
        """Reuse the results of the last snapshot that may still be valid."""
        if self.label_mentions.equals(before.label_mentions):
            self.label_mentions = before.label_mentions
        # Several snapshots made from one need separate scopes, or they would undo each other's updates.
        self._scopes = before._scopes.copy() if before._has_successor else before._scopes
        before._has_successor = True

    def configs(self, kind: GroupKind) -> tuple[Config[Any], ...]:
        """Return all documents of a kind, in no particular order."""
        return tuple(self._configs.get(kind, _NO_CONFIGS).values())

    def documents(self) -> Iterator[Config[Any]]:
        """Yield all documents, each with its current place."""
        for configs in self._configs.values():
            for key, config in configs.items():
                yield self.moved.get(key, config)

    def config(self, key: ConfigKey) -> Config[Any] | None:
        """Return the document of that key, or None."""
        return self._configs.get(key.group_kind, _NO_CONFIGS).get(key)

    def document(self, key: ConfigKey) -> Config[Any]:
        """Return the document of that key, which must exist."""
        return self._configs[key.group_kind][key]

    def configs_by_key(self, kind: GroupKind) -> LayeredDict[ConfigKey, Config[Any]]:
        """Return all documents of a kind by key: the same mapping object as long as none of them changes."""
        return self._configs.get(kind, _NO_CONFIGS)

    def current_origin(self, origin: Origin) -> Origin:
        """Return the current place of the field at `origin`, or `origin` if its document was removed."""
        if origin.document is None:
            return origin
        config = self.moved.get(origin.document) or self.config(origin.document)
        return config.origin_of(*origin.path) if config is not None else origin

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Conflicts between documents that are each valid, such as ignored parts and missing delegates,
        sorted by place. (`analysis.analyze` finds more.)"""
        if self._diagnostics is None:
            found = chain(
                *self.registry.diagnostics.values(),
                *self.destination_rule_index.diagnostics.values(),
                *self.virtual_service_index.diagnostics.values(),
            )
            current = (one.current(self.current_origin) for one in found)
            self._diagnostics = tuple(in_reading_order(dict.fromkeys(current)))
        return self._diagnostics

    def labels_mentioned(self, namespace: str, labels: Mapping[str, str]) -> frozenset[MentionedLabel]:
        """Return which of a client's `labels` rules for clients of `namespace` mention, and all keys of
        labels that they mention without a value."""
        return self.label_mentions.among(namespace, tuple(labels.items()))

    def any_asks_for_nodes(self) -> bool:
        """Return True if some service asks for endpoints on the client's node."""
        return bool(self.registry.node_aware)

    def any_distributes_traffic(self) -> bool:
        """Return True if some service has a trafficDistribution."""
        return bool(self.registry.distributing)

    def scope(self, profile: OutboundProfile) -> SidecarScope:
        """Return what proxies of that profile see: the same object as long as its content is the same."""
        return self._scopes.scope(
            profile,
            self.registry,
            self.virtual_service_index,
            self.destination_rule_index,
            self.sidecar_index,
        )

    def advanced(self, scope: SidecarScope) -> SidecarScope:
        """Return a sidecar's scope of an earlier snapshot as one of this snapshot. The difference between the
        two snapshots must not concern it (`NamedDifference`); so the cost does not depend on its size."""
        return self._scopes.advanced(
            scope, self.registry, self.virtual_service_index, self.destination_rule_index
        )

    def forget_scopes(self, used: Iterable[OutboundProfile]) -> None:
        """Drop cached scopes of all profiles but these; they are computed again if asked for."""
        profiles = tuple(used)
        self._scopes.keep(profiles)
        self.label_mentions.keep(profile.namespace for profile in profiles)

    def endpoints(self, service: Service) -> EndpointPool:
        """Return the endpoints of the service's namespace and hostname."""
        return self.registry.pool(service)

    def endpoints_at(self, address: str) -> Mapping[ServiceKey, tuple[Endpoint, ...]]:
        """Return the endpoints at an address, by their services."""
        return self.registry.by_address.get(address)

    def service_of(self, key: ServiceKey) -> Service:
        """Return the service of that namespace and hostname, which must exist."""
        return self.registry.services[key]

    def gateways_selecting(self, labels: Mapping[str, str]) -> tuple[GatewayConfig, ...]:
        """Return the Gateways whose selector is a subset of `labels`, oldest first."""
        return self.gateway_index.selecting(labels)

    def merged_gateway(
        self, configs: tuple[GatewayConfig, ...], instances: tuple[ServiceInstance, ...]
    ) -> MergedGateway:
        """Return the servers of Gateways, merged for a proxy that serves `instances`."""
        return merge_gateways(configs, instances)

    def policies_of(self, namespace: str, labels: Mapping[str, str]) -> WorkloadPolicies:
        """Return the security policies that select a workload of `namespace` with these labels."""
        return self.policy_index.of_workload(namespace, labels)

    def fetched_keys(self, source: KeySource) -> FetchedKeys | None:
        """Return the keys that were fetched last from an issuer's `source`; None before the first fetch."""
        return self.token_keys.by_source.get(source)

    def external_authorizer(self, name: str) -> ExternalAuthorizer:
        """Return the external authorizer that MeshConfig has under `name`."""
        return external_authorizer(name, self.mesh_config, self.registry)

    def inbound_rule(self, namespace: str, service: Service) -> MergedDestinationRule | None:
        """Return the DestinationRule for the inbound ports of a service's workloads in `namespace`."""
        return self.destination_rule_index.inbound_rule(namespace, service)

    def service_peers(self, service: Service) -> ServicePeers:
        """Return the mutual TLS modes of a service's endpoints, as far as clients with certificates need them
        for automatic mutual TLS."""
        if not self.mesh_config.enable_auto_mtls:
            return NO_PEERS
        policies = self.policy_index.peer_authentications(service.namespace)
        if not policies:
            return NO_PEERS
        return service_peers(policies, self.settings.root_namespace, self.endpoints(service).endpoints)

    def virtual_services_for_gateway(self, gateway_name: str, proxy_namespace: str) -> Rules:
        """Return the rules bound to a Gateway ("namespace/name") that are visible in a proxy's namespace:
        private ones, exported ones, public ones, each group oldest first."""
        return self.virtual_service_index.for_gateway(gateway_name, proxy_namespace)


def _by_kind(changes: Iterable[DocumentChange]) -> dict[GroupKind, list[DocumentChange]]:
    by_kind: dict[GroupKind, list[DocumentChange]] = {}
    for old, new in changes:
        config = new if new is not None else old
        assert config is not None
        by_kind.setdefault(config.group_kind, []).append((old, new))
    return by_kind


def _policies(by_kind: Mapping[GroupKind, list[DocumentChange]]) -> tuple[DocumentChange, ...]:
    return tuple(chain.from_iterable(by_kind.get(kind, ()) for kind in sorted(POLICY_KINDS)))
