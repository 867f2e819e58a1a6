"""Consequences of several changes together: destinations without endpoints, and missing secrets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor

from mizzen.explain.chain_words import chains, target
from mizzen.explain.route_words import cluster_words, destinations
from mizzen.plan.change import Change, Danger, Sign
from mizzen.plan.message_differences import unwrapped
from mizzen.plan.places import of_cluster, of_secret
from mizzen.plan.resource_changes import decoded
from mizzen.plan.side import Side
from mizzen.translator.tls.secret_names import OF_EVERY_WORKLOAD
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource

Differing = Sequence[tuple[Resource | None, Resource | None]]
"""The resources that differ: before and after."""


class Consequences:
    """Finds the consequences for a proxy. Decodes each resource once for all proxies."""

    def __init__(self) -> None:
        self._targets: dict[Resource, frozenset[str]] = {}
        self._secrets: dict[Resource, frozenset[str]] = {}

    def of(self, differing: Differing, old: Side, new: Side) -> Iterator[Change]:
        """Yield the consequences for a proxy of the resources that differ for it."""
        pairs = tuple(differing)
        for name in sorted(self._candidates(pairs)):
            yield from self._destination(name, old, new)
        yield from self._of_secrets(pairs, old, new)

    def _candidates(self, pairs: Differing) -> set[str]:
        """Return the clusters that may have lost their endpoints, or may get traffic without having any."""
        found: set[str] = set()
        for old, new in pairs:
            resource = new or old
            assert resource is not None
            if resource.type_url in (type_urls.ROUTE, type_urls.LISTENER):
                found |= self._targets_of(new) - self._targets_of(old)
            elif new is None or (new.empty and (old is None or not old.empty)):
                found.add(resource.name)
        return found

    def _destination(self, name: str, old: Side, new: Side) -> Iterator[Change]:
        wrong = _wrong(name, new)
        if not wrong or not self._is_target(name, new):
            return
        if _wrong(name, old) and self._is_target(name, old):
            return
        words, place = cluster_words(name), of_cluster(name)
        yield Change(Sign.CHANGED, "destination", words, wrong, danger=Danger.NO_ENDPOINTS, place=place)

    def _is_target(self, name: str, side: Side) -> bool:
        """Return whether some route or filter chain sends traffic to a cluster."""
        wanted = name.encode()
        return any(
            # Decoding all resources would take seconds; few have the name anywhere in their bytes.
            wanted in resource.value and name in self._targets_of(resource)
            for type_url in (type_urls.ROUTE, type_urls.LISTENER)
            for resource in side.resources(type_url).values()
        )

    def _targets_of(self, resource: Resource | None) -> frozenset[str]:
        if resource is None:
            return frozenset()
        if resource not in self._targets:
            self._targets[resource] = frozenset(targets(decoded(resource)))
        return self._targets[resource]

    def _secrets_of(self, resource: Resource | None) -> frozenset[str]:
        if resource is None:
            return frozenset()
        if resource not in self._secrets:
            self._secrets[resource] = frozenset(secret_names(decoded(resource)))
        return self._secrets[resource]

    def _of_secrets(self, pairs: Differing, old: Side, new: Side) -> Iterator[Change]:
        asked: set[str] = set()
        lost: list[str] = []
        for was, now in pairs:
            resource = now or was
            assert resource is not None
            if resource.type_url in (type_urls.LISTENER, type_urls.CLUSTER):
                asked |= self._secrets_of(now) - self._secrets_of(was)
            elif resource.type_url == type_urls.SECRET and now is None:
                lost.append(resource.name)
        if new.certified:
            asked -= OF_EVERY_WORKLOAD
        held, known = (side.resources(type_urls.SECRET) if asked else {} for side in (new, old))
        for name in sorted(asked):
            missing = name not in held
            what = "is asked for" + (
                ", and is not there: what uses it refuses connections" if missing else ""
            )
            danger = Danger.NO_SECRET if missing and name not in known else Danger.NONE
            yield Change(Sign.CHANGED, "secret", name, what, danger=danger, place=of_secret(name))
        for name in lost:
            if name not in asked and self._is_asked_for(name, new):
                what = "is not there any more: what uses it refuses connections"
                place = of_secret(name)
                yield Change(Sign.REMOVED, "secret", name, what, danger=Danger.NO_SECRET, place=place)

    def _is_asked_for(self, name: str, side: Side) -> bool:
        wanted = name.encode()
        return any(
            wanted in resource.value and name in self._secrets_of(resource)
            for type_url in (type_urls.LISTENER, type_urls.CLUSTER)
            for resource in side.resources(type_url).values()
        )


def targets(message: Any | None) -> set[str]:
    """Return the clusters to which a RouteConfiguration or a Listener sends traffic."""
    if message is None:
        return set()
    if hasattr(message, "virtual_hosts"):
        return {
            name
            for host in message.virtual_hosts
            for route in host.routes
            if route.WhichOneof("action") == "route"
            for name, _ in destinations(route)
        }
    found: set[str] = set()
    for _, chain in chains(message):
        reached = target(chain)
        found.update(name for name, _ in reached.clusters)
        found |= targets(reached.routes)
    return found


def _wrong(name: str, side: Side) -> str:
    """Return why calls to a cluster fail, or an empty text if they may succeed."""
    cluster = side.get(type_urls.CLUSTER, name)
    if cluster is None:
        return "calls to it fail with 503: there is no such cluster"
    message = decoded(cluster)
    if message is None or message.type != message.EDS or message.HasField("cluster_type"):
        return ""
    assignment = side.get(type_urls.ENDPOINT, message.eds_cluster_config.service_name or name)
    if assignment is not None and not assignment.empty:
        return ""
    return "calls to it fail with 503: it has no endpoints"


def secret_names(message: Any | None) -> set[str]:
    """Return the secrets that a message asks the control plane for."""
    if message is None:
        return set()
    if isinstance(message, AnyMessage):
        return secret_names(unwrapped(message))
    if isinstance(message, secret_pb2.SdsSecretConfig):
        return {message.name} if message.sds_config.HasField("ads") else set()
    found: set[str] = set()
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_MESSAGE:
                for each in value.values():
                    found |= secret_names(each)
        elif field.is_repeated:
            for each in value:
                found |= secret_names(each)
        else:
            found |= secret_names(value)
    return found
