"""Which lines of YAML the parts of a proxy's configuration come from: filter chain, route, cluster, endpoint.

    origins = PartOrigins(translation, proxy)
    origins.route("9080", "reviews.default.svc.cluster.local:9080", 0)     # (Origin mesh.yaml:31,)

Origins are searched only when they are asked for, so incremental updates do not pay for them. Lines are
current, even if a document moved after the resource was made.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import cached_property
from typing import Any

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config, GroupKind
from mizzen.config.group_kinds import DESTINATION_RULE, SERVICE, SERVICE_ENTRY, VIRTUAL_SERVICE
from mizzen.config.models import AuthorizationAction
from mizzen.explain.missing_secrets import credential_fields
from mizzen.mesh.hosts import matches
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.rules.gateways import GatewayServer
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.translator.base.cluster_names import parse_cluster_name
from mizzen.translator.filters.authorization import RuleName
from mizzen.translator.filters.http.jwt_authn import provider_name, token_rules
from mizzen.translator.listeners.inbound import VIRTUAL_INBOUND
from mizzen.translator.on_demand import Translates
from mizzen.translator.own.resources import WorkloadResources
from mizzen.translator.routes.gateway import gateway_route_origins
from mizzen.translator.shared.part_origins import OutboundParts
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource

Places = tuple[Origin, ...]


class PartOrigins:
    """The places of the parts of the resources that one proxy is sent now.

    Parts that every mesh has (`PassthroughCluster`) have no place, and neither have parts that are not sent.
    """

    def __init__(self, translation: Translates, proxy: Proxy) -> None:
        self._mesh = translation.mesh
        self._proxy = proxy
        self._translation = translation
        self._routes: dict[str, Mapping[str, tuple[tuple[str, Origin], ...]]] = {}

    # Inbound and gateway resources are cheap; the others are made only if one of their parts is asked for.

    @cached_property
    def _own(self) -> WorkloadResources:
        return self._translation.own(self._proxy)

    @cached_property
    def _outbound(self) -> OutboundParts:
        return self._translation.parts(self._proxy)

    @cached_property
    def _own_by_name(self) -> Mapping[tuple[str, str], Resource]:
        own = self._own
        return {(each.type_url, each.name): each for each in (*own.clusters, *own.listeners, *own.routes)}

    def _sent(self, type_url: str, name: str) -> Resource | None:
        own = self._own_by_name.get((type_url, name))
        if own is not None:
            return own
        return self._translation.resource(self._proxy, type_url, name)

    def is_current(self, resource: Resource) -> bool:
        """Return True if the proxy is sent this very resource now: then the places of its parts are known."""
        found = self._sent(resource.type_url, resource.name)
        return found is not None and found.version == resource.version

    def resource(self, type_url: str, name: str) -> Places:
        """Return the places of all documents from which a resource was made."""
        found = self._sent(type_url, name)
        return self._current(found.origins) if found is not None else ()

    def listener(self, name: str) -> Places:
        """Return the places of a listener's services, or servers of a gateway."""
        return self.resource(type_urls.LISTENER, name)

    def filter_chain(
        self, listener: str, index: int, *, name: str = "", server_names: Iterable[str] = ()
    ) -> Places:
        """Return the places of the filter chain at `index` of a listener, -1 for its default one.

        `name` is the chain's name, which distinguishes inbound chains; `server_names` are what it matches.
        """
        inbound = [port for port in self._own.ports if port.name == name]
        if inbound:
            return self._current(inbound[0].origins)
        if listener == VIRTUAL_INBOUND:
            return ()
        if self._proxy.type != "router":
            return self._current(self._outbound.chain_origins(listener, index))
        of_chains = self._own.chain_origins.get(listener, ())
        if 0 <= index < len(of_chains):
            return self._current(of_chains[index])
        of_listener = self.listener(listener)
        current = self._mesh.current_origin
        servers = [
            server
            for server in self._mesh.gateways_for(self._proxy).servers
            if current(server.origin) in of_listener
        ]
        wanted = tuple(server_names)
        named = [server for server in servers if _serves(server, wanted)] if wanted else []
        return self._current(server.origin for server in named or servers)

    def virtual_host(self, route_configuration: str, name: str) -> Places:
        """Return the places of the documents of a virtual host: the hosts of its VirtualServices, or its
        service."""
        if inbound := self._inbound_port(route_configuration):
            return inbound
        found: dict[Origin, None] = {}
        for _, origin in self._of_routes(route_configuration).get(name, ()):
            config = self._config(origin)
            hosts = config is not None and config.group_kind == VIRTUAL_SERVICE
            found[config.origin_of("spec", "hosts") if config is not None and hosts else origin] = None
        return self._current(found)

    def route(self, route_configuration: str, virtual_host: str, index: int) -> Places:
        """Return the places of the route at `index` of a virtual host: its rule, or the service."""
        if inbound := self._inbound_port(route_configuration):
            return inbound
        routes = self._of_routes(route_configuration).get(virtual_host, ())
        if routes and all(name == "default" for name, _ in routes):
            return self._current(origin for _, origin in routes)
        return self._current([routes[index][1]]) if 0 <= index < len(routes) else ()

    def cluster(self, name: str) -> Places:
        """Return the places of a cluster: its service's port, its subset, and the rules that shape it."""
        return self._current(self._narrowed(self.resource(type_urls.CLUSTER, name), name))

    def cluster_policy(self, name: str) -> Places:
        """Return the places of the traffic policies of a cluster's DestinationRules; none if it has none."""
        parsed = parse_cluster_name(name)
        found = self._sent(type_urls.CLUSTER, name)
        places = []
        for config in map(self._config, found.origins if found is not None and parsed is not None else ()):
            if parsed is None or config is None or config.group_kind != DESTINATION_RULE:
                continue
            names = [subset.name for subset in config.spec.subsets]
            at = names.index(parsed.subset) if parsed.subset in names else None
            if at is not None and config.spec.subsets[at].traffic_policy is not None:
                places.append(config.origin_of("spec", "subsets", at, "trafficPolicy"))
            if config.spec.traffic_policy is not None:
                places.append(config.origin_of("spec", "trafficPolicy"))
        return self._current(places)

    def credential(self, type_url: str, resource: str, secret: str) -> Places:
        """Return the places of the fields by which a listener or cluster asks for a secret."""
        found = self._sent(type_url, resource)
        configs = dict.fromkeys(map(self._config, found.origins if found is not None else ()))
        return self._current(
            config.origin_of(*field)
            for config in configs
            if config is not None
            for field in credential_fields(config, secret)
        )

    def policies(self, listener: str, kinds: Container[GroupKind]) -> Places:
        """Return the places of the security policies, of these kinds, from which a listener was made."""
        found = self._sent(type_urls.LISTENER, listener)
        of_kinds = (
            origin
            for origin in (found.origins if found is not None else ())
            if isinstance(origin, Origin)
            and origin.document is not None
            and origin.document.group_kind in kinds
        )
        return self._current(of_kinds)

    def endpoint(self, cluster: str, address: str) -> Places:
        """Return the places of the workload at `address` that is an endpoint of a cluster."""
        parsed = parse_cluster_name(cluster)
        if parsed is None or parsed.direction == "inbound":
            return ()
        service = self._outbound.scope.service(parsed.hostname)
        if service is None:
            return ()
        pool = self._mesh.endpoints(service)
        found = (each.origin for each in pool.endpoints if address in (each.address, *each.addresses))
        return self._current(origin for origin in found if origin is not None)

    def authorization_policies(self, action: AuthorizationAction) -> Places:
        """Return the places of the proxy's AuthorizationPolicies of an action."""
        policies = self._policies.authorization_policies
        return self._current(policy.origin for policy in policies if policy.spec.action is action)

    def policy_rule(self, rule: RuleName) -> Places:
        """Return the place of a rule of one of the proxy's AuthorizationPolicies, or of the closed policy in
        its stead."""
        named = (
            policy
            for policy in self._policies.authorization_policies
            if (policy.namespace, policy.name) == (rule.namespace, rule.policy)
        )
        return self._current(policy.origin_of("spec", "rules", rule.index) for policy in named)

    def token_rule(self, provider: str) -> tuple[str, Places]:
        """Return the issuer of the rule behind a provider of the JWT filter, and the rule's place."""
        for index, (policy, place, rule) in enumerate(token_rules(self._policies)):
            if provider_name(index) == provider:
                return rule.issuer, self._current([policy.origin_of("spec", "jwtRules", place)])
        return "", ()

    @cached_property
    def _policies(self) -> WorkloadPolicies:
        return self._mesh.policies_for(self._proxy)

    def _of_routes(self, name: str) -> Mapping[str, tuple[tuple[str, Origin], ...]]:
        found = self._routes.get(name)
        if found is None:
            servers = self._own.route_servers.get(name)
            if servers is not None:
                scope, mesh_config = self._outbound.scope, self._outbound.mesh_config
                found = gateway_route_origins(servers, self._mesh, scope, mesh_config, self._translation.memo)
            else:
                found = self._translation.parts(self._proxy, name).route_origins(name)
            self._routes[name] = found
        return found

    def _inbound_port(self, name: str) -> Places:
        """Return the places of the port of an inbound route configuration, whose name is its cluster's."""
        parsed = parse_cluster_name(name)
        if parsed is None or parsed.direction != "inbound":
            return ()
        port = next((port for port in self._own.ports if port.number == parsed.port), None)
        return self._current(port.origins) if port is not None else ()

    def _narrowed(self, origins: Iterable[Origin], cluster: str) -> Iterable[Origin]:
        """Yield the places; a service's place becomes that of its port, a rule's place that of its subset."""
        parsed = parse_cluster_name(cluster)
        for origin in origins:
            config = self._config(origin)
            if config is None or parsed is None:
                yield origin
                continue
            if config.group_kind == DESTINATION_RULE:
                names = [subset.name for subset in config.spec.subsets]
                if parsed.subset in names:
                    yield config.origin_of("spec", "subsets", names.index(parsed.subset))
                    continue
            elif parsed.direction == "outbound" and (at := _port_index(config, parsed.port)) is not None:
                yield config.origin_of("spec", "ports", at)
                continue
            yield origin

    def _config(self, origin: object) -> Config[Any] | None:
        """Return the document of an origin, None if it names none that is in force."""
        if not isinstance(origin, Origin) or origin.document is None:
            return None
        return self._mesh.config(origin.document)

    def _current(self, origins: Iterable[object]) -> Places:
        found = (self._mesh.current_origin(each) for each in origins if isinstance(each, Origin))
        return tuple(dict.fromkeys(found))


def _serves(server: GatewayServer, names: Iterable[str]) -> bool:
    return any(matches(name, host) for name in names for host in server.sni_hosts)


def _port_index(config: Config[Any], number: int) -> int | None:
    """Return the index of a port in the document of a service, or None if it does not declare it."""
    if config.group_kind == SERVICE:
        numbers = [port.port for port in config.spec.spec.ports]
    elif config.group_kind == SERVICE_ENTRY:
        numbers = [port.number for port in config.spec.ports]
    else:
        return None
    return numbers.index(number) if number in numbers else None
